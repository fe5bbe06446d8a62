"""Files of packings."""

from __future__ import annotations

import json

import numpy as np

from morphobench.files.packings import read_positions


def test_positions_survive_a_round_trip(tmp_path):
    positions = np.random.default_rng(0).normal(size=(5, 3))
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"0": {"nucleus_interior_pcna": positions.tolist()}}))
    np.testing.assert_array_equal(read_positions(path), positions)
