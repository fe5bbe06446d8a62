"""A small sampled data set in the layout of stage `sample`, and settings of models that train in a second."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from morphobench import models
from morphobench.files import CELL_TABLE, write_json, write_table
from morphobench.geometry.packing import rasterise
from morphobench.score import cost
from morphobench.train import run as train

DATASET = "tiny"
N_POINTS, CUBE_SIZE, SIDE_UM = 64, 9, 9.0
SPLITS = ["train"] * 9 + ["val"] * 3 + ["test"] * 4
FAILED = 5
TRAIN_CONFIG = {
    "accelerator": "cpu",
    "nodes": 1,
    "devices": 1,
    "strategy": "auto",
    "precision": "32-true",
    "tf32": False,
    "compile": False,
    "gradient_clip": None,
    "checkpoint_minutes": 10,
    "loggers": [],
}
EMBED = {
    "batch_size": 3,
    "n_uniform": 4,
    "precision": "32-true",
    "error_points": 24,
    "error_voxels": 24,
    "sinkhorn_blur_um": 0.05,
    "sinkhorn_scaling": 0.5,
}
_POINTS = {"latent_dim": 8, "hidden_dim": 4, "k": 6, "folding_hidden": 16, "n_output_points": 32}
# 9, 5 and 3 voxels: odd at every level, so the 24 rotations of the grid are exact.
_CUBE = {"size": CUBE_SIZE, "latent_dim": 8, "channels": [2, 3, 4], "strides": [1, 2, 2]}
# Implicit: clouds of a surface, and query points with their distances to it.
N_SURFACE, N_QUERIES = 48, 80
_SURFACE = {"latent_dim": 8, "hidden_dim": 4, "k": 6, "decoder_hidden": 8, "grid_size": 5}
_IMPLICIT = "rotation_invariant_pointcloud_sdf"
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
# Families whose codes can be decoded into clouds.
DECODING = [family for family in FAMILIES if family != _IMPLICIT]


# What a training told, and how often a model is timed.
RECORD = {"parameters": 123, "train_s": 4.5, "gpu_hours": 0.0}
N_REPEATS = 3


class Case(NamedTuple):
    """Where a data set lies: its manifest and its shard folders in order."""

    manifest: Path
    shards: list[Path]


def settings(family: str, **training) -> dict:
    """Content of a model's yaml; keywords replace entries of `training`."""
    own = {"representation": "points", "architecture": _POINTS}
    if family.endswith("image"):
        own = {"representation": "cube", "architecture": _CUBE}
        training = {"loss": "mse", "jitter": 0.0} | training
    if family == _IMPLICIT:
        draw = {"n_points": 32, "n_queries": 40}
        own = {"representation": "surface", "architecture": _SURFACE, "subsample": draw}
        training = {"loss": "l1"} | training
    look = {"label": family, "color": "#000000"}
    return copy.deepcopy(
        {**look, "family": family, "input_scale": 0.5, **own, "training": {**_TRAINING, **training}}
    )


def with_intensity(**training) -> dict:
    """Settings of the invariant model that reads intensities, of clouds drawn anew at each access."""
    chosen = settings("rotation_invariant_pointcloud", **training)
    chosen["architecture"]["intensity"] = True
    return chosen | {"intensity": {"input_scale": 0.01}, "subsample": {"n_points": 40, "weight": "uniform"}}


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
    found = {"surface": surface, "queries": queries, "distances": distances}
    return {name: array.astype(np.float32) for name, array in found.items()}


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
    others = {"intensity": intensities(len(splits)), **surfaces(len(splits))}
    shards = [root / f"shard-{shard}" for shard in range(n_shards)]
    for shard, folder in enumerate(shards):
        folder.mkdir(parents=True)
        mine = numbers[(cells["shard"] == shard) & cells["success"]]
        cells.loc[mine, "index"] = np.arange(len(mine))
        np.save(folder / "points_um.npy", clouds[mine])
        for name, array in others.items():
            np.save(folder / f"{name}.npy", array[mine])
        np.save(folder / "cube.npy", np.stack([cube_of(clouds[number]) for number in mine]))
        write_table(cells[cells["shard"] == shard].drop(columns=["shard", "split"]), folder / CELL_TABLE)
    write_table(cells, root / "manifest.parquet")
    return Case(root / "manifest.parquet", shards)


def cube_of(cloud_um: np.ndarray) -> np.ndarray:
    """Draw a cloud as stage `sample` does, shape (9, 9, 9), zyx, counts."""
    return rasterise(cloud_um, size=CUBE_SIZE, side_um=SIDE_UM, radius_um=0.7, oversample=2)


def run_training(
    case: Case, out: Path, settings: dict, *, seed: int = 1, source_digest: str = "a", **train_config
) -> Path:
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
        model_config=settings,
        train_config={**TRAIN_CONFIG, **train_config},
        seed=seed,
        source_digest=source_digest,
        threads=1,
    )
    return out


def write_untrained(path: Path, family: str) -> Path:
    """Save a model with seeded weights that has only met some noise."""
    torch.manual_seed(2)
    chosen = settings(family)
    model = models.create(family, **chosen["architecture"])
    model.train()(torch.randn(4, 1, 9, 9, 9) if chosen["representation"] == "cube" else torch.randn(4, 64, 3))
    models.save(model, chosen, path)
    return path


def cost_of(case: Case, folder: Path, family: str, accelerator: str = "cpu") -> dict:
    """Call the costs of stage `score` as their rule does, of an untrained model; return what they wrote."""
    write_json(RECORD, folder / "record.json")
    cost.run(
        case.manifest,
        case.shards,
        write_untrained(folder / "model.pt", family),
        folder / "record.json",
        folder / "cost.json",
        n_points=16,
        n_repeats=N_REPEATS,
        largest_batch=4,
        country="USA",
        accelerator=accelerator,
        threads=1,
    )
    return json.loads((folder / "cost.json").read_text())
