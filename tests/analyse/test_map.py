"""The map: seeded, places further points, none of too few cells."""

import numpy as np
import pytest

from morphobench.analyse.map import pacmap_map


@pytest.mark.long
def test_a_map_is_seeded_and_places_points_near_their_cells():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(40, 6)), rng.normal(size=(40, 6)) + 12])
    first, placed = pacmap_map(z, z[[0, 79]] + 1e-3, seed=3)
    again, _ = pacmap_map(z, z[[0, 79]], seed=3)
    np.testing.assert_array_equal(first, again)
    middles = first[:40].mean(axis=0), first[40:].mean(axis=0)
    apart = np.linalg.norm(middles[0] - middles[1])
    for point, middle in zip(placed, middles, strict=True):
        assert np.linalg.norm(point - middle) < apart / 2


def test_too_few_or_equal_embeddings_have_no_map():
    for z in (np.random.default_rng(0).normal(size=(5, 3)), np.ones((30, 3))):
        found, placed = pacmap_map(z, z[:2], seed=1)
        assert found.shape == (len(z), 2)
        assert np.isnan(found).all()
        assert np.isnan(placed).all()
