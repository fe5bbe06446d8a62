"""Decoded volumes become surfaces in micrometres, where and as large as the cell is."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate.perfect_models import Echo, volume_config

from morphobench.geometry.isosurface import enclosed_volume
from morphobench.models.decode import decode_shapes, invalid_reason
from morphobench.models.decode_surfaces import volume_mesh

SIZE = 17


def ball_distances(radius_voxel, centre_xyz=(0, 0, 0)):
    axis = np.arange(SIZE) - SIZE // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    offset = np.stack([x, y, z], axis=-1) - centre_xyz
    return (np.linalg.norm(offset, axis=-1) - radius_voxel).astype(np.float32)


def decoded(fields, representation, sizes_um, scale=1.0, **more):
    z = np.stack(fields).reshape(len(fields), -1) * scale
    place = {"batch_size": 2, "sizes_um": np.asarray(sizes_um)}
    return decode_shapes(Echo(size=SIZE), z, volume_config(representation, scale, SIZE), **place, **more)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_distances_become_a_surface_in_micrometres(scale):
    fields = [ball_distances(4.0, (1, -2, 0.5)), ball_distances(5.0), ball_distances(3.0)]
    meshes = decoded(fields, "sdf", [0.5, 1.0, 2.0], scale)
    for (vertices_um, faces), radius_um in zip(meshes, (2.0, 5.0, 6.0), strict=True):
        np.testing.assert_allclose(np.ptp(vertices_um, axis=0) / 2, radius_um, rtol=0.03)
        # Flat faces between the grid's lines cut a little off a ball of three voxels.
        assert 0.92 < enclosed_volume(vertices_um, faces) / (4 / 3 * np.pi * radius_um**3) < 1
    centre_um = (meshes[0][0].max(axis=0) + meshes[0][0].min(axis=0)) / 2
    np.testing.assert_allclose(centre_um, [0.5, -1.0, 0.25], atol=0.02)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_occupancies_are_cut_at_one_half_and_published_ones_at_otsus(scale):
    # A soft ball that never gets beyond 0.7: one half is nearer to its top than to its bottom.
    occupancy = (0.7 / (1 + np.exp(ball_distances(5.0)))).astype(np.float32)
    radii = []
    for legacy in (False, True):
        (mesh,) = decoded([occupancy], "seg", [1.0], scale, legacy=legacy)
        radii.append(np.linalg.norm(mesh[0], axis=1).mean())
    # 0.7 / (1 + e^d) = 1/2 at d = ln 0.4.
    assert radii[0] == pytest.approx(5.0 + np.log(0.4), abs=0.15)
    assert radii[1] > radii[0] + 0.3


def test_a_shape_that_fills_its_grid_is_closed_at_the_border():
    vertices, faces = volume_mesh(np.ones((4, 5, 6)), edge_um=1.0, origin_voxel=0.0)
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    np.testing.assert_allclose(np.ptp(vertices, axis=0), [6, 5, 4], atol=1e-5)


@pytest.mark.parametrize("representation", ["sdf", "seg"])
@pytest.mark.parametrize("value", [np.nan, None])
def test_nothing_decoded_is_invalid(representation, value):
    outside = {"sdf": 2.0, "seg": 0.1}[representation]
    field = np.full((SIZE,) * 3, outside if value is None else value, np.float32)
    for legacy in (False, True):
        (mesh,) = decoded([field], representation, [1.0], legacy=legacy)
        assert len(mesh[1]) == 0
        assert invalid_reason(mesh) == "decodes to no surface"
