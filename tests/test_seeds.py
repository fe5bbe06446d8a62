from __future__ import annotations

import numpy as np

from morphobench import seeds


def test_seeds_depend_on_every_part_and_on_nothing_else():
    parts = [
        (42, "cellpack", "sample", "7_0"),
        (43, "cellpack", "sample", "7_0"),
        (42, "pcna", "sample", "7_0"),
    ]
    draws = [seeds.generator(*part).random() for part in parts]
    assert len(set(draws)) == 3
    assert seeds.generator(*parts[0]).random() == draws[0]


def test_shards_are_stable_and_balanced():
    numbers = [seeds.shard_of(f"cell-{i}", 8) for i in range(4000)]
    assert numbers == [seeds.shard_of(f"cell-{i}", 8) for i in range(4000)]
    counts = np.bincount(numbers, minlength=8)
    assert (np.abs(counts - 500) < 5 * np.sqrt(500 * 7 / 8)).all()
