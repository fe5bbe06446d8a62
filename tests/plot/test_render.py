"""The view, the shading and the rendering of surfaces, with and without VTK."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate import plot_tables

from morphobench.plot import render


def cube() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = plot_tables.blob(3)
    return vertices, faces


def test_the_view_is_a_rotation_that_displays_height():
    page = render.to_view(np.eye(3), "side")
    np.testing.assert_allclose(page @ page.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(page) == pytest.approx(1)
    up = render.to_view(np.array([[0, 0, 1.0]]), "side")[0]
    assert up[1] > 0.5
    np.testing.assert_array_equal(render.to_view(np.eye(3), "above"), np.eye(3))


def test_made_up_surfaces_face_outwards():
    vertices, faces = cube()
    a, b, c = vertices[faces].transpose(1, 0, 2)
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0


def test_a_face_towards_the_light_is_brighter():
    towards = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]]], dtype=float)
    away = towards[:, ::-1]
    assert render.shades(towards).sum() > render.shades(away).sum()


def test_surfaces_are_rendered_at_their_scale_or_drawn_by_hand(caplog):
    pictures = render.render([cube(), cube()], 60, half_um=[6, 12], view="side")
    if pictures is None:
        pytest.skip("VTK finds neither EGL nor OSMesa here: apt-get install libegl1 libegl-mesa0")
    large, small = ((picture < 250).any(axis=2).mean() for picture in pictures)
    assert large == pytest.approx(4 * small, rel=0.25)
    assert 0.02 < large < 0.9
