"""The measured factor of intensities: the same for every camera, as large as coordinates, and recorded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench.errors import InputError
from morphobench.files import intensities

QUANTILE = 0.99


def clouds(seed=0, n_cells=4, n=500):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(n, 3)) * 3, rng.uniform(400, 900, n)) for _ in range(n_cells)]


@given(st.floats(1e-3, 1e3), st.floats(0.01, 10))
@settings(max_examples=30, deadline=None)
def test_scaled_intensities_do_not_depend_on_the_camera_and_reach_as_far_as_points(gain, input_scale):
    plain = clouds()
    of_camera = [(points_um, counts * gain) for points_um, counts in plain]
    factor = intensities.measure(of_camera, QUANTILE).factor(input_scale)
    np.testing.assert_allclose(factor * gain, intensities.measure(plain, QUANTILE).factor(input_scale))
    scaled = np.quantile(np.concatenate([counts for _, counts in of_camera]) * factor, QUANTILE)
    points_um = np.concatenate([points_um for points_um, _ in of_camera])
    reach = np.quantile(np.linalg.norm(points_um, axis=1), QUANTILE) * input_scale
    assert scaled == pytest.approx(reach)


def test_the_choice_of_cells_depends_on_their_names_alone():
    cells = [f"c{i}" for i in range(600)]
    rows = intensities.chosen_rows(cells, 256)
    assert len(rows) == 256
    backwards = cells[::-1]
    assert {cells[row] for row in rows} == {backwards[row] for row in intensities.chosen_rows(backwards, 256)}


@pytest.mark.parametrize(
    ("given_clouds", "reason"),
    [([], "no training cell has intensities"), ([(np.ones((9, 3)), np.zeros(9))], "training cells are 0")],
)
def test_what_cannot_be_measured_is_said(given_clouds, reason):
    with pytest.raises(InputError, match=reason):
        intensities.measure(given_clouds, QUANTILE)


def test_counts_come_into_the_range_of_their_structure():
    table = pd.DataFrame({"structure_name": ["SON", "LMNB1"]})
    norms = {"structure_norms": {"SON": [400, 900], "LMNB1": [0, 100]}}
    np.testing.assert_array_equal(intensities.ranges(table, norms), [[400, 900], [0, 100]])
    assert intensities.ranges(table, {"input_scale": 1}) is None
    with pytest.raises(InputError, match="structure SON has no range"):
        intensities.ranges(table, {"structure_norms": {"LMNB1": [0, 100]}})
