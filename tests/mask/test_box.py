from __future__ import annotations

import json

import numpy as np
import pytest
from fabricate.cells import make_cell
from fabricate.masked import write_aligned

from morphobench import files
from morphobench.errors import InputError
from morphobench.mask import box
from morphobench.mask import punctate as mask

SETTINGS = {"role": "nucleus_mask", "dilation_voxel": 2, "max_failed_fraction": 1.0}


def masked_shards(folder):
    sizes = {"a": (3, 5, 8), "b": (4, 6, 7), "c": (5, 4, 9), "d": (3, 4, 5)}
    for name, semi_axes in sizes.items():
        shard = write_aligned(folder / f"in-{name}", {name: make_cell((14, 20, 24), semi_axes)})
        mask.run(shard, folder / f"out-{name}", **SETTINGS)
    return [folder / f"out-{name}" for name in sizes]


@pytest.mark.parametrize(("quantile", "policy"), [(1.0, "drop"), (0.5, "crop")])
def test_the_common_box_holds_the_quantile_of_all_shards(tmp_path, quantile, policy):
    shards = masked_shards(tmp_path)
    box.run(shards, tmp_path / "box.json", quantile=quantile, policy=policy)
    found = json.loads((tmp_path / "box.json").read_text())
    tables = [files.read_cells(shard).query("success") for shard in shards]
    extents = np.array([table[[f"box_{axis}" for axis in "zyx"]].iloc[0] for table in tables])
    expected = np.ceil(np.quantile(extents, quantile, axis=0))
    n_fit = (extents <= expected).all(1).sum()
    assert found == {
        **dict(zip("zyx", expected, strict=True)),
        "quantile": quantile,
        "policy": policy,
        "n_cells": 4,
        "n_fit": n_fit,
        "n_not_fit": 4 - n_fit,
    }
    assert n_fit == (4 if quantile == 1 else 1)


def test_a_box_needs_cells(tmp_path):
    mask.run(write_aligned(tmp_path / "in", {}), tmp_path / "out", **SETTINGS)
    with pytest.raises(InputError, match="no cell of 1 passed stage mask: 1 x 'no file'"):
        box.run([tmp_path / "out"], tmp_path / "box.json")
