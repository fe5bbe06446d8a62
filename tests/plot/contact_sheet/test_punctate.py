"""The contact sheet of punctate cells: projections, one scale, the same bytes every time."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate.cells import ellipsoid_mask, spots

from morphobench.files import atomic_file
from morphobench.plot.contact_sheet import punctate as sheet


def view(cell, seed=0):
    rng = np.random.default_rng(seed)
    mask = ellipsoid_mask((8, 30, 40), (3, 10, 16), 20)
    counts = spots(mask, rng)
    pictures = tuple(
        sheet.project(volume, outline, 0.108)
        for volume, outline in ((counts, mask), (counts, mask), (counts, None))
    )
    points_um = rng.normal(size=(300, 3))
    cube = sheet.project(rng.integers(0, 9, (9, 9, 9)), None, 0.5)
    return sheet.Views(cell, pictures, points_um, rng.uniform(400, 900, 300), cube)


def test_a_picture_is_a_projection_along_z_with_its_size_in_micrometres():
    volume = np.zeros((3, 4, 6))
    volume[2, 1, 5] = 7.0
    found = sheet.project(volume, volume > 0, 0.5)
    assert found.image_yx[1, 5] == 7
    assert found.outline_yx.sum() == 1
    assert found.half_um == (1.5, 1.0)


def test_all_panels_have_one_scale_and_the_columns_their_names():
    figure = sheet.draw([view("a"), view("b", 1)], "title", "voxels")
    assert len(figure.axes) == 10
    assert {axes.get_xlim() for axes in figure.axes} == {axes.get_ylim() for axes in figure.axes}
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert [axes.get_title() for axes in figure.axes[:5]][:3] == ["crop", "aligned", "masked"]
    assert [figure.axes[i].get_ylabel() for i in (0, 5)] == ["a", "b"]
    assert [text.get_text() for text in figure.axes[5].texts] == ["1 voxel"]


@pytest.mark.parametrize("bad", ["empty cube", "flat crop"])
def test_what_is_empty_or_flat_is_drawn_all_the_same(bad):
    one = view("a")
    if bad == "empty cube":
        one = one._replace(cube=sheet.project(np.zeros((9, 9, 9)), None, 0.5))
    else:
        one = one._replace(pictures=(sheet.project(np.full((2, 5, 5), 3.0), None, 0.1), *one.pictures[1:]))
    assert len(sheet.draw([one], "t", "µm").axes) == 5


def test_the_same_cells_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        figure = sheet.draw([view("a")], "title", "µm")
        with atomic_file(tmp_path / name) as part:
            figure.savefig(part, format="png", metadata={"Software": None})
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
