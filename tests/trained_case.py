"""A small sampled data set in the layout of stage `sample`, and settings of models that train in a second."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from morphobench import models, train
from morphobench.files import CELL_TABLE, write_table
from morphobench.sample.packing import rasterise

DATASET = "tiny"
N_POINTS, CUBE_SIZE, SIDE_UM = 64, 9, 9.0
SPLITS = ["train"] * 9 + ["val"] * 3 + ["test"] * 4
FAILED = 5
TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "strategy": "auto",
    "precision": "32-true",
    "compile": False,
    "gradient_clip": None,
    "loggers": [],
}
EMBED = {
    "batch_size": 3,
    "n_uniform": 4,
    "error_points": 24,
    "sinkhorn_blur_um": 0.05,
    "sinkhorn_scaling": 0.5,
}
_POINTS = {"latent_dim": 8, "hidden_dim": 4, "k": 6, "folding_hidden": 16, "n_output_points": 32}
# 9, 5 and 3 voxels: odd at every level, so the 24 rotations of the grid are exact.
_CUBE = {"size": CUBE_SIZE, "latent_dim": 8, "channels": [2, 3, 4], "strides": [1, 2, 2]}
_TRAINING = {
    "loss": "chamfer",
    "loss_options": None,
    "lr": 3e-3,
    "batch_size": 4,
    "min_epochs": 1,
    "max_epochs": 3,
    "patience": 50,
    "jitter": 0.01,
}
FAMILIES = list(models.FAMILIES)


class Case(NamedTuple):
    """Where a data set lies: its manifest and its shard folders in order."""

    manifest: Path
    shards: list[Path]


def settings(family: str, **training) -> dict:
    """Content of a model's yaml; keywords replace entries of `training`."""
    cube = family.endswith("image")
    return copy.deepcopy(
        {
            "label": family,
            "color": "#000000",
            "family": family,
            "representation": "cube" if cube else "points",
            "input_scale": 0.5,
            "architecture": _CUBE if cube else _POINTS,
            "training": {**_TRAINING, **({"loss": "mse", "jitter": 0.0} if cube else {}), **training},
        }
    )


def clouds_um(n: int = len(SPLITS)) -> np.ndarray:
    """Clouds without symmetry and unlike each other, shape (n, 64, 3), float32, within 4 um of the origin."""
    rng = np.random.default_rng(5)
    scale = rng.uniform(0.4, 1.0, (n, 1, 3))
    points = rng.normal(size=(n, N_POINTS, 3)).clip(-2, 2) * scale
    points[:, : N_POINTS // 4] += [1.5, 0.8, -0.6]
    return points.astype(np.float32)


def write_case(root: Path, n_shards: int = 2, splits: list[str] = SPLITS) -> Case:
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
            "shard": numbers % n_shards,
            "split": splits,
        }
    )
    clouds = clouds_um(len(splits))
    shards = [root / f"shard-{shard}" for shard in range(n_shards)]
    for shard, folder in enumerate(shards):
        folder.mkdir(parents=True)
        mine = numbers[(cells["shard"] == shard) & cells["success"]]
        cells.loc[mine, "index"] = np.arange(len(mine))
        np.save(folder / "points_um.npy", clouds[mine])
        np.save(folder / "cube.npy", np.stack([cube_of(clouds[number]) for number in mine]))
        write_table(cells[cells["shard"] == shard].drop(columns=["shard", "split"]), folder / CELL_TABLE)
    write_table(cells, root / "manifest.parquet")
    return Case(root / "manifest.parquet", shards)


def cube_of(cloud_um: np.ndarray) -> np.ndarray:
    """Draw a cloud as stage `sample` does, shape (9, 9, 9), zyx, counts."""
    return rasterise(cloud_um, size=CUBE_SIZE, side_um=SIDE_UM, radius_um=0.7, oversample=2)


def run_training(case: Case, out: Path, settings: dict, *, seed: int = 1, code: str = "a", **trainer) -> Path:
    """Call the stage `train` as its rule does; return the folder with model.pt, record.json, curves.csv."""
    train.run(
        case.manifest,
        case.shards,
        model_out=out / "model.pt",
        record_out=out / "record.json",
        curves_out=out / "curves.csv",
        checkpoints=out / "checkpoints",
        dataset=DATASET,
        model_name=settings["family"],
        settings=settings,
        trainer={**TRAINER, **trainer},
        seed=seed,
        code=code,
        threads=1,
    )
    return out


def write_untrained(path: Path, family: str) -> Path:
    """Save a model with seeded weights that has only met some noise."""
    torch.manual_seed(2)
    chosen = settings(family)
    model = models.create(family, **chosen["architecture"])
    noise = (
        torch.randn(4, N_POINTS, 3) if chosen["representation"] == "points" else torch.randn(4, 1, 9, 9, 9)
    )
    model.train()(noise)
    models.save(model, chosen, path)
    return path
