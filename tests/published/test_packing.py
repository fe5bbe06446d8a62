"""Published packings: the cells sampled here come back, or keep the published frame for published weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate.packings import dataset as raw_dataset
from fabricate.packings import ellipsoid, write_shapes

from morphobench import files
from morphobench.align import packing as align
from morphobench.download import packing as download
from morphobench.mask import packing as mask
from morphobench.published import folder, manifest, packing
from morphobench.sample import packing as sample

DOWNLOAD = {"cache": None, "connections": 2, "retries": 1, "timeout_s": 5, "backoff_s": 0.01}
POINTS = {"n_points": 100, "jitter_um": 0.01, "jitter_clip_um": 0.02}
CUBE = {"size": 16, "side_um": 8.0, "radius_um": 0.1, "oversample": 2}
MASK = {"tolerance_um": 0.05, "min_points": 16}
LIMIT = {"max_failed_fraction": 0.0}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> tuple[Path, dict]:
    """Pack, sample and publish two shapes; return the folder of all, and the dataset that reads them back."""
    root = tmp_path_factory.mktemp("packings")
    shapes = write_shapes(root / "shapes", {"1": ellipsoid([3, 2.5, 1.5]), "2": ellipsoid([2, 3, 1.8])})
    dataset = raw_dataset(shapes) | {
        "mask": MASK,
        "sample": {"points": POINTS, "cube": CUBE},
        "stratum": "rule",
    }
    at = {stage: root / stage for stage in ("download", "align", "mask", "sample")}
    download.run(at["download"], dataset=dataset, shard=0, n_shards=1, seed=1, **LIMIT)
    align.run(at["download"], at["align"], dataset=dataset, **LIMIT)
    mask.run(at["align"], at["mask"], **MASK, **LIMIT)
    sample.run(at["mask"], at["sample"], dataset_name="cellpack", points=POINTS, cube=CUBE, seed=1, **LIMIT)
    cells = files.read_cells(at["sample"]).assign(shard=0, split="test")
    files.write_table(cells, root / "manifest.parquet")
    shards = {stage: [at[stage]] for stage in ("download", "mask", "sample")}
    folder.run(root / "manifest.parquet", shards, {}, {}, root / "out", dataset=dataset, seed=1)
    dataset["published"] = {
        "location": str(root / "out"),
        "preprocessed": "preprocessed_data/cellpack/manifest.csv",
    }
    dataset["source"] |= {"shape_unit_um": dataset["voxel_um"], "shape_axes": "depth_first"}
    manifest.run(root / "published.parquet", dataset=dataset, max_cells=None, download=DOWNLOAD)
    return root, dataset


def read(root: Path, out: Path, dataset: dict) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    packing.run(
        root / "published.parquet",
        out,
        dataset=dataset,
        shard=0,
        n_shards=1,
        download=DOWNLOAD,
        seed=1,
        **LIMIT,
    )
    return files.read_cells(out), {name: np.load(out / f"{name}.npy") for name in ("points_um", "cube")}


def test_published_packings_are_sampled_as_those_made_here(published, tmp_path):
    root, dataset = published
    cells, arrays = read(root, tmp_path / "shard", dataset)
    made = files.read_cells(root / "sample").set_index("CellId")
    assert set(cells["CellId"]) == set(made.index)
    for row in cells.itertuples():
        for name, array in arrays.items():
            stored = np.load(root / f"sample/{name}.npy")[made.loc[row.CellId, "index"]]
            np.testing.assert_array_equal(array[row.index], stored)
