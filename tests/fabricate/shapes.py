"""A small polymorphic data set in the layouts of stages `mask` and `sample`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import trimesh
from fabricate.masked import write_meshes

from morphobench import files
from morphobench.sample import polymorphic as sample

DATASET, RESOLUTION = "blobs", 12
SPLITS = ["train", "train", "val", "test", "test", "test", "test"]
# Micrometres that half the grid spans, less a margin.
_HALF_VOXEL = 4.5


class SampledShapes(NamedTuple):
    """Where a data set lies: manifest, shard folders of `sample` and of `mask`."""

    manifest: Path
    shards: list[Path]
    meshes: list[Path]


def blob(number: int) -> trimesh.Trimesh:
    """Two ellipsoids, one in the other's corner, somewhere in the crop; no symmetry; unlike the others."""
    rng = np.random.default_rng(number)
    pieces = []
    for radius_um, centre_um in ((3.0, (0, 0, 0)), (1.5, (2.0, 1.5, 1.0))):
        piece = trimesh.creation.icosphere(subdivisions=3, radius=radius_um)
        piece.vertices *= rng.uniform(0.6, 1.0, 3)
        pieces.append(piece.apply_translation(centre_um))
    return trimesh.util.concatenate(pieces).apply_translation(rng.uniform(5, 20, 3))


def write_sampled_shapes(root: Path, n_shards: int = 2) -> SampledShapes:
    """Write masked meshes and sample them; each cell has a scale of its own."""
    numbers = np.arange(len(SPLITS))
    tables, shards, meshes = [], [], []
    for shard in range(n_shards):
        mine = [int(number) for number in numbers[numbers % n_shards == shard]]
        masked = write_meshes(root / f"mask-{shard}", {f"{number:02d}": blob(number) for number in mine})
        scale = {f"{n:02d}": _HALF_VOXEL / (np.ptp(blob(n).vertices, axis=0).max() / 2) for n in mine}
        files.write_table(
            pd.DataFrame({"CellId": list(scale), "scale_factor": list(scale.values())}),
            root / "scale_factor.parquet",
        )
        sample.run(
            masked,
            root / f"sample-{shard}",
            dataset_name=DATASET,
            scale_factor=root / "scale_factor.parquet",
            resolution=RESOLUTION,
            n_surface=200,
            n_queries=100,
            n_points=64,
            seed=1,
            max_failed_fraction=0.0,
        )
        shards.append(root / f"sample-{shard}")
        meshes.append(masked)
        tables.append(files.read_cells(shards[-1]).assign(shard=shard))
    table = pd.concat(tables).sort_values("CellId", ignore_index=True).assign(split=SPLITS)
    files.write_table(table, root / "manifest.parquet")
    return SampledShapes(root / "manifest.parquet", shards, meshes)
