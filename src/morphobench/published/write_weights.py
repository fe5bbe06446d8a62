"""Trained models as published checkpoints: weights under the published names, and the yaml beside them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from morphobench import files, models
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.published.model_config import describe
from morphobench.published.names import name_of
from morphobench.published.published_layout import describable, grid_of, published_state


def write(
    part: Path, trained: Mapping[str, str | Path], dataset: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Write one checkpoint per model.

    A model that no published class can be configured to be, or that folds other points than the first one,
    keeps this project's own format, ending in .pt.

    Returns
    -------
    dict
        checkpoints, the name of each model's file, and grid_file, that of the folded points, or None.
    """
    names, shared, grid_file = {}, None, None
    for model_name, path in trained.items():
        model, settings = models.load(path)
        family, architecture = settings["family"], settings["architecture"]
        section, grid = describable(family, architecture), grid_of(family, architecture)
        if section is not None and grid is not None and shared is None:
            shared = grid
            grid_file = name_of(dataset, "checkpoints", "grid", ".npy")
            (part / grid_file).parent.mkdir(parents=True, exist_ok=True)
            np.save(part / grid_file, grid)
        alike = grid is None or np.array_equal(grid, shared)
        if section is None or not alike:
            logger.info("%s has no published equivalent: its own format is kept", model_name)
            names[model_name] = name_of(dataset, "checkpoints", model_name, ".pt")
            (part / names[model_name]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, part / names[model_name])
            continue
        names[model_name] = name_of(dataset, "checkpoints", model_name, ".ckpt")
        write_checkpoint(model, section, part / names[model_name], seed)
    return {"checkpoints": names, "grid_file": grid_file}


def write_checkpoint(model: Autoencoder, section: Mapping[str, Any], path: Path, seed: int) -> None:
    """Write weights alone under their published names, and the yaml that tells what they are.

    Parameters
    ----------
    model
        The trained model.
    section
        What `morphobench.published.published_layout.describable` says of it.
    path
        File to write, ending in .ckpt; the yaml goes beside it.
    seed
        Of the training.
    """
    state = published_state(model, describe(section, "grid.npy"))
    archive = io.BytesIO()
    torch.save({"state_dict": state}, archive)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    content = {"model": dict(section), "model/params/total": n_parameters, "task_name": "train", "seed": seed}
    with files.atomic_file(path) as part:
        part.write_bytes(archive.getvalue())
    with files.atomic_file(path.with_suffix(".yaml")) as part:
        part.write_text(yaml.safe_dump(content))
