"""A small data set in the layout of stage `sample`: clouds with intensities, cubes, and surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench.files import CELL_TABLE, write_table
from morphobench.geometry.packing import rasterise

DATASET = "tiny"
N_POINTS, CUBE_SIZE, SIDE_UM = 64, 9, 9.0
SPLITS = ["train"] * 9 + ["val"] * 3 + ["test"] * 4
FAILED = 5
CUBE = {"size": CUBE_SIZE, "side_um": SIDE_UM, "radius_um": 0.7, "oversample": 2}
# Points on a surface, and query points with their distances to it.
N_SURFACE, N_QUERIES = 48, 80


class Sampled(NamedTuple):
    """Where a data set lies: its manifest and its shard folders in order."""

    manifest: Path
    shards: list[Path]


def clouds_um(n: int = len(SPLITS)) -> np.ndarray:
    """Clouds without symmetry and unlike each other, shape (n, 64, 3), float32, within 4 um of the origin."""
    rng = np.random.default_rng(5)
    scale = rng.uniform(0.4, 1.0, (n, 1, 3))
    points = rng.normal(size=(n, N_POINTS, 3)).clip(-2, 2) * scale
    points[:, : N_POINTS // 4] += [1.5, 0.8, -0.6]
    return points.astype(np.float32)


def intensities(n: int = len(SPLITS)) -> np.ndarray:
    """Camera counts of every point of `clouds_um`, shape (n, 64), float32."""
    return np.random.default_rng(6).gamma(2.0, 60.0, (n, N_POINTS)).astype(np.float32)


def surfaces(n: int = len(SPLITS)) -> dict[str, np.ndarray]:
    """Two touching spheres per cell: points on them, query points, and exact distances outside of them."""
    rng = np.random.default_rng(7)
    radii = rng.uniform(0.08, 0.24, (n, 1, 2))
    centres = np.zeros((n, 1, 2, 3))
    centres[:, 0, 0, 0], centres[:, 0, 1, 0] = radii[:, 0, 0], -radii[:, 0, 1]
    directions = rng.normal(size=(n, N_SURFACE, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    which = rng.integers(0, 2, N_SURFACE)
    surface = centres[:, 0, which] + radii[:, 0, which, None] * directions
    queries = rng.uniform(-0.5, 0.5, (n, N_QUERIES, 3))
    distances = (np.linalg.norm(queries[:, :, None] - centres, axis=-1) - radii).min(axis=-1)
    arrays = {"surface": surface, "queries": queries, "distances": distances}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def write_sampled(root: Path, n_shards: int = 2, splits: list[str] = SPLITS) -> Sampled:
    """Write shards and manifest; cell FAILED could not be sampled and has no arrays."""
    numbers = np.arange(len(splits))
    cells = pd.DataFrame(
        {
            "CellId": [f"{number:02d}" for number in numbers],
            "group": [f"nucleus_{number:02d}" for number in numbers],
            "rule": [f"rule_{number % 2}" for number in numbers],
            "success": numbers != FAILED,
            "error": np.where(numbers == FAILED, "made to fail", ""),
            "index": -1,
            "first": 0,
            "n_points": 0,
            "shard": numbers % n_shards,
            "split": splits,
        }
    )
    clouds = clouds_um(len(splits))
    others = {"intensity": intensities(len(splits)), **surfaces(len(splits))}
    shards = [root / f"shard-{shard}" for shard in range(n_shards)]
    for shard, folder in enumerate(shards):
        folder.mkdir(parents=True)
        mine = numbers[(cells["shard"] == shard) & cells["success"]]
        cells.loc[mine, "index"] = np.arange(len(mine))
        np.save(folder / "points_um.npy", clouds[mine])
        # One copy of each sphere, and no jitter: cubes are of these.
        cells.loc[mine, ["first", "n_points"]] = np.stack(
            [N_POINTS * np.arange(len(mine)), [N_POINTS] * len(mine)], 1
        )
        np.save(folder / "centres_um.npy", clouds[mine].reshape(-1, 3))
        for name, array in others.items():
            np.save(folder / f"{name}.npy", array[mine])
        np.save(folder / "cube.npy", np.stack([cube_of(clouds[number]) for number in mine]))
        write_table(cells[cells["shard"] == shard].drop(columns=["shard", "split"]), folder / CELL_TABLE)
    write_table(cells, root / "manifest.parquet")
    return Sampled(root / "manifest.parquet", shards)


def cube_of(cloud_um: np.ndarray) -> np.ndarray:
    """Draw a cloud as stage `sample` does, shape (9, 9, 9), zyx, counts."""
    return rasterise(cloud_um, **CUBE)
