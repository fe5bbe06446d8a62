"""Surfaces are closed and face outwards whatever they were; large openings and sheets are refused."""

import numpy as np
import pytest
from fabricate.meshes import ball, box

from morphobench.errors import InputError
from morphobench.geometry.isosurface import enclosed_volume
from morphobench.geometry.mesh_repair import closed

VERTICES, FACES = ball(5.0, subdivisions=3)
VOLUME = enclosed_volume(VERTICES, FACES)


def directed_edges_cancel(faces):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forth, back = (np.unique(e, axis=0, return_counts=True) for e in (edges, edges[:, ::-1]))
    return np.array_equal(forth[0], back[0]) and np.array_equal(forth[1], back[1])


def some_flipped(faces, share):
    flipped = np.random.default_rng(1).random(len(faces)) < share
    return np.where(flipped[:, None], faces[:, ::-1], faces)


@pytest.mark.parametrize(
    "faces", [FACES, FACES[:, ::-1], some_flipped(FACES, 0.4), np.concatenate([FACES] * 2)]
)
def test_whole_surfaces_keep_their_volume(faces):
    vertices, whole, open_share = closed(VERTICES, faces, 0.0)
    assert directed_edges_cancel(whole)
    assert enclosed_volume(vertices, whole) == pytest.approx(VOLUME)
    assert open_share == 0


@pytest.mark.parametrize("flipped", [0.0, 0.4])
def test_a_ball_without_a_cap_is_closed_by_a_plane(flipped):
    kept = VERTICES[FACES].mean(axis=1)[:, 2] < 4.0
    vertices, whole, open_share = closed(VERTICES, some_flipped(FACES[kept], flipped), 0.2)
    assert directed_edges_cancel(whole)
    # Less a cap of height 1 of a ball of radius 5.
    assert enclosed_volume(vertices, whole) == pytest.approx(VOLUME - np.pi * (5 - 1 / 3), rel=0.02)
    assert open_share == pytest.approx(9 / (9 + 90), abs=0.02)
    with pytest.raises(
        InputError, match=r"open: \d+% of its surface is missing, source\.mesh\.max_open = 0\.05"
    ):
        closed(VERTICES, FACES[kept], 0.05)


def test_pieces_are_kept_and_cavities_stay_cavities():
    (inner, inner_faces), (beside, beside_faces) = ball(2.0, subdivisions=2), box([2.0, 2.0, 2.0], (20, 0, 0))
    vertices = np.concatenate([VERTICES, inner, beside])
    n = len(VERTICES)
    faces = np.concatenate([FACES, inner_faces[:, ::-1] + n, beside_faces + n + len(inner)])
    volume = VOLUME - enclosed_volume(inner, inner_faces) + 8.0
    assert enclosed_volume(*closed(vertices, faces, 0.0)[:2]) == pytest.approx(volume)


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        (VERTICES * [1, 1, 0], FACES, "encloses no volume"),
        (VERTICES, np.zeros((0, 3), int), "no face"),
        (VERTICES, FACES[:, [0, 0, 1]], "no face"),
    ],
)
def test_what_is_no_solid_is_refused(vertices, faces, words):
    with pytest.raises(InputError, match=words):
        closed(vertices, faces, 1.0)
