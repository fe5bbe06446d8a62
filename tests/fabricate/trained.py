"""Small models that train in a second: their configurations, trainings, and what they cost."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from fabricate.sampled import CUBE_SIZE, DATASET, Sampled

from morphobench import models
from morphobench.files import write_json
from morphobench.score import cost
from morphobench.train import run as train

TRAIN_CONFIG = {
    "accelerator": "cpu",
    "nodes": 1,
    "devices": 1,
    "strategy": "auto",
    "precision": "32-true",
    "tf32": False,
    "compile": False,
    "scale_cells": 256,
    "checkpoint_minutes": 10,
    "loggers": [],
}
EMBED = {
    "batch_size": 3,
    "n_uniform": 4,
    "precision": "32-true",
    "error_points": 24,
    "error_voxels": 24,
    "speck_share": 0.01,
    "mean_shape_cells": 128,
    "sinkhorn_blur_um": 0.05,
    "sinkhorn_scaling": 0.5,
}
# What made the cells of `sampled`, as far as weights are concerned.
CELLS = {"preprocessing": {"kind": "packing", "voxel_um": 0.2}, "sections": {}, "draw_seed": 42}
_POINTS = {"latent_dim": 8, "hidden_dim": 4, "k": 6, "folding_hidden": 16, "n_output_points": 32}
# 9, 5 and 3 voxels: odd at every level, so the 24 rotations of the grid are exact.
_CUBE = {"size": CUBE_SIZE, "latent_dim": 8, "channels": [2, 3, 4], "strides": [1, 2, 2]}
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
# Families whose embeddings can be decoded into clouds.
DECODING = [family for family in FAMILIES if family != _IMPLICIT]


# Record of a training, and how often a model is timed.
RECORD = {"parameters": 123, "train_s": 4.5, "gpu_hours": 0.0}
N_REPEATS = 3


def small_config(family: str, **training) -> dict:
    """Return the content of a model's yaml; keywords replace entries of `training`."""
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


def intensity_config(**training) -> dict:
    """Return the configuration of the invariant model that reads intensities, of random subsets of points."""
    chosen = small_config("rotation_invariant_pointcloud", **training)
    chosen["architecture"]["intensity"] = True
    return chosen | {"intensity": {"input_scale": 0.01}, "subsample": {"n_points": 40, "weight": "uniform"}}


def run_training(
    sampled: Sampled,
    out: Path,
    model_config: dict,
    *,
    seed: int = 1,
    source_digest: str = "a",
    start_weights: Path | None = None,
    **train_config,
) -> Path:
    """Call the stage `train` as its rule does; return the folder with model.pt, record.json, curves.csv."""
    train.run(
        sampled.manifest,
        sampled.shards,
        model_out=out / "model.pt",
        record_out=out / "record.json",
        curves_out=out / "curves.csv",
        checkpoints=out / "checkpoints",
        dataset=DATASET,
        model_name=model_config["family"],
        model_config=model_config,
        train_config={**TRAIN_CONFIG, **train_config},
        seed=seed,
        source_digest=source_digest,
        threads=1,
        start_weights=start_weights,
        cells_config=CELLS,
    )
    return out


def write_untrained(path: Path, family: str) -> Path:
    """Save a model with seeded weights that has only met some noise."""
    torch.manual_seed(2)
    chosen = small_config(family)
    model = models.create(family, **chosen["architecture"])
    model.train()(torch.randn(4, 1, 9, 9, 9) if chosen["representation"] == "cube" else torch.randn(4, 64, 3))
    models.save(model, chosen, path)
    return path


def cost_of(sampled: Sampled, folder: Path, family: str, accelerator: str = "cpu") -> dict:
    """Call the costs of stage `score` as their rule does, of an untrained model; return what they wrote."""
    write_json(RECORD, folder / "record.json")
    cost.run(
        sampled.manifest,
        sampled.shards,
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
