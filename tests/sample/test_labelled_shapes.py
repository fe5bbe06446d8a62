"""The committed shapes of known classes, some of each, from download to the manifest of samples."""

import numpy as np
import pandas as pd
import pytest
from harness.stages import folder, run_stages
from paths import ROOT

from morphobench import config, files
from morphobench.config import schema

FEW = {"n_surface": 64, "n_queries": 32, "n_points": 64, "resolution": 16}


def sampled(name, root, n_cells):
    demo = schema.read_yaml(ROOT / "config/config.yaml")
    change = {"datasets": {name: {"n_shards": 1, "source": {"max_cells": n_cells}, "sample": FEW}}}
    change["datasets"][name]["subsample"] = {"n_points": 64, "n_queries": 32}
    return run_stages(config.resolve(schema.merge(demo, change), ROOT), name, root)


@pytest.mark.parametrize(
    ("name", "label", "n_classes"),
    [("red_blood_cells", "cell_class", 4), pytest.param("adrenal", "shape", 2, marks=pytest.mark.long)],
)
def test_shapes_reach_the_manifest_with_their_classes(tmp_path, monkeypatch, name, label, n_classes):
    monkeypatch.chdir(ROOT)
    table = sampled(name, tmp_path, 12)
    source = config.resolve(schema.read_yaml(ROOT / "config/config.yaml"), ROOT)["datasets"][name]["source"]
    known = pd.read_csv((ROOT / source["stack"]).parent / "manifest.csv").set_index("CellId").loc[table.index]
    assert len(table) == 12
    assert table["success"].all(), table["error"].tolist()
    assert table[label].tolist() == known[label].tolist()
    assert table[label].nunique() == n_classes
    seg = files.read_array(folder(tmp_path, "sample", name, 0), "seg")
    volumes = seg.sum(axis=(1, 2, 3)) / table.sort_values("index")["scale_factor"].to_numpy() ** 3
    # Thin glands on 16 voxels.
    np.testing.assert_allclose(volumes, table.sort_values("index")["volume_um3"], rtol=0.35)
    if "source_voxels" in table:
        # Holes are filled.
        filled = table["n_voxels"] / table["source_voxels"].astype(int)
        assert filled.between(1, 1.05).all()


def test_adrenal_glands_keep_their_official_split(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    table = sampled("adrenal", tmp_path, 40)
    assert set(table["split"]) == {"train", "val", "test"}
    assert (table["split"] == table.index.str.split("_").str[0]).all()
