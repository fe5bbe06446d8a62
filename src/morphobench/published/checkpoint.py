"""Published checkpoints, converted into models of this project and written from them."""

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
import yaml

from morphobench import models
from morphobench.errors import InputError
from morphobench.files import FilePath, atomic_file, write_json
from morphobench.files.weights import FORMAT, UNKNOWN, sha256
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.cloud import folding
from morphobench.published import weights
from morphobench.published.manifest import model_file_name, open_published
from morphobench.published.model_config import folded_points, parse_section, to_section
from morphobench.remote.connections import FileError

# Suffix of checkpoints in this project's own format, which need no yaml beside them.
OWN = ".pt"
# Keys of implicit models that say where they are decoded; no weight depends on them.
_EVALUATED_ON = ("grid_size", "half_extent")


def run(
    model_out: FilePath,
    record_out: FilePath,
    *,
    dataset: Mapping[str, Any],
    model: str,
    model_config: Mapping[str, Any],
    seed: int,
    source_digest: str,
    download_config: Mapping[str, Any],
    cells_config: Mapping[str, Any] = UNKNOWN,
) -> None:
    """Fetch one checkpoint of `published.checkpoints` and write it as stage `train` would, with its record.

    `model_config` is the content of the model's yaml; its architecture gives way to the checkpoint's own.
    Nothing in the checkpoint is executed.

    Raises
    ------
    InputError
        When a file is missing, damaged or foreign, or holds another family of models than the yaml names.
    """
    published = dataset["published"]
    name, grid_name = published["checkpoints"][model], published.get("grid_file")
    own, yaml_name = PurePosixPath(name).suffix == OWN, str(PurePosixPath(name).with_suffix(".yaml"))
    purposes = {name: "a checkpoint of published.checkpoints"}
    if not own:
        purposes[yaml_name] = f"the yaml beside {name}, which says of what model it holds the weights"
    if grid_name and not own:
        purposes[grid_name] = "published.grid_file, with the points that decoders fold"
    paths = _fetch(purposes, dataset, download_config)
    if own:
        loaded, stored_config = models.load(paths[name])
        family, model_config, keys = stored_config["family"], {**model_config, **stored_config}, None
    elif model_config["input_scale"] == "auto":
        fault = f"{name} does not say by what coordinates were multiplied, and input_scale of {model} is auto"
        raise InputError(
            f"{dataset['name']}: {fault}. Set models.{model}.input_scale, or train.recipe: published."
        )
    else:
        converted = weights.read(*(paths.get(part) for part in (name, yaml_name, grid_name)))
        loaded, (family, architecture, *_) = converted.model, converted.section
        stated = model_config["architecture"]
        evaluated = {key: stated[key] for key in _EVALUATED_ON if key in stated}
        architecture = evaluated | _with_own_grid(architecture, Path(model_out))
        model_config = {**model_config, "architecture": architecture}
        keys = {**converted.report._asdict(), "ignored": converted.ignored}
    if family != model_config["family"]:
        other = f"config/models/{model}.yaml is of family {model_config['family']}"
        fault = f"{dataset['name']}: {name} holds a {family}, but {other}"
        raise InputError(f"{fault}. Mend published.checkpoints.{model}.")
    models.save(loaded, model_config, model_out)
    n_parameters = _count_parameters(loaded)
    digest = sha256(paths[name])
    record = {"dataset": dataset["name"], "model": model, "seed": seed, "source_digest": source_digest}
    record |= {"model_config": model_config, "parameters": n_parameters, "train_s": None, "gpu_hours": None}
    origin = {"location": published["location"], "checkpoint": name, "sha256": digest, "keys": keys}
    # Neither the box nor the cells of the training are published.
    cells = {"format": FORMAT, **cells_config, "measured": {}, "groups": {}}
    write_json(record | cells | {"sha256": sha256(model_out), "published": origin}, record_out)
    logger.info("%s: %s with %d parameters", name, family, n_parameters)


def _fetch(
    purposes: Mapping[str, str], dataset: Mapping[str, Any], download_config: Mapping[str, Any]
) -> dict[str, Path]:
    """Fetch files by name; a missing one is an InputError that says what it is for."""
    store = open_published(dataset, download_config)
    paths = store.fetch_each(list(purposes), dataset=dataset["name"])
    for name, path in paths.items():
        if isinstance(path, FileError):
            raise InputError(f"{path} It is {purposes[name]}; without it, start from raw or preprocessed.")
    return paths


def _with_own_grid(architecture: Mapping[str, Any], model_out: Path) -> dict[str, Any]:
    """Return an architecture whose folded grid does not depend on the cache that it was fetched into.

    A grid file is copied beside the model, as ``grid.npy``; the sphere of this project needs none.
    """
    if architecture.get("grid_file") is None:
        return dict(architecture)
    points = folding.read_grid(architecture["grid_file"])
    others = {key: value for key, value in architecture.items() if key != "grid_file"}
    if points.shape[1] == 3 and np.array_equal(points, folding.sphere(len(points))):
        return {**others, "grid": "sphere", "n_output_points": len(points)}
    copy = model_out.with_name("grid.npy")
    with atomic_file(copy) as part, part.open("wb") as file:
        np.save(file, points)
    return {**others, "grid_file": str(copy)}


def _count_parameters(model: Autoencoder) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def write(
    folder: Path, trained: Mapping[str, FilePath], dataset: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Write one checkpoint per model; return their names as `checkpoints`, that of the grid as `grid_file`.

    A model without a published equivalent, or that folds other points than the first one, keeps the format of
    this project. `grid_file` is None where no model folds points.
    """
    names, shared, grid_file = {}, None, None
    for model_name, path in trained.items():
        model, model_config = models.load(path)
        family, architecture = model_config["family"], model_config["architecture"]
        section, points = to_section(family, architecture), folded_points(family, architecture)
        if section is not None and points is not None and shared is None:
            shared, grid_file = points, model_file_name(dataset, "checkpoints", "grid", ".npy")
            (folder / grid_file).parent.mkdir(parents=True, exist_ok=True)
            np.save(folder / grid_file, points)
        others = section is None or "measured_scale" in model_config  # what their yaml has no place for
        own = others or not (points is None or np.array_equal(points, shared))
        suffix = OWN if own else ".ckpt"
        name = names[model_name] = model_file_name(dataset, "checkpoints", model_name, suffix)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if own:
            logger.info("%s has no published equivalent: its own format is kept", model_name)
            shutil.copyfile(path, folder / name)
        else:
            _write_checkpoint(model, section, folder / name, seed)
    return {"checkpoints": names, "grid_file": grid_file}


def _write_checkpoint(model: Autoencoder, section: Mapping[str, Any], path: Path, seed: int) -> None:
    """Write weights alone under their published names, and the yaml with the section `model` beside them."""
    state = weights.published_state(model, parse_section(section, "grid.npy"))
    content = {"model": dict(section), "model/params/total": _count_parameters(model)}
    content |= {"task_name": "train", "seed": seed}
    # Given a path, torch would name the archive after it, and its bytes would differ every time.
    with atomic_file(path) as part, part.open("wb") as file:
        torch.save({"state_dict": state}, file)
    with atomic_file(path.with_suffix(".yaml")) as part:
        part.write_text(yaml.safe_dump(content), encoding="utf-8")
