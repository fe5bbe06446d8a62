"""Published checkpoints, converted once into this project's own format. Nothing in them is executed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from morphobench import models
from morphobench.errors import InputError
from morphobench.files import atomic_file, write_json
from morphobench.log import logger
from morphobench.models.cloud import folding
from morphobench.published import weights
from morphobench.published.manifest import store_of

# Suffix of checkpoints in this project's own format, which need no yaml beside them.
OWN = ".pt"
# Keys of implicit models that say where they are decoded; no weight depends on them.
EVALUATED_ON = ("grid_size", "half_extent")


def yaml_name(name: str) -> str:
    """Return the name of the yaml file that is published beside a checkpoint.

    Examples
    --------
    >>> yaml_name("model_checkpoints/pcna/Classical_image.ckpt")
    'model_checkpoints/pcna/Classical_image.yaml'
    """
    return str(PurePosixPath(name).with_suffix(".yaml"))


def run(
    model_out: str | Path,
    record_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    model: str,
    settings: Mapping[str, Any],
    seed: int,
    code: str,
    download: Mapping[str, Any],
) -> None:
    """Fetch one checkpoint and write it as the stage `train` would: the model and its record.

    Parameters
    ----------
    model_out, record_out
        Files to write.
    dataset
        Keys name and published of the dataset's configuration.
    model
        Key of published.checkpoints.
    settings
        Content of the model's yaml; the checkpoint's own architecture takes the place of the one there.
    seed
        Of the training that these weights stand for; noted only.
    code
        Digest of the code that converts.
    download
        Section `download` of the configuration.

    Raises
    ------
    InputError
        When a file is missing, damaged or foreign, or holds another family of models than the yaml names.
    """
    store, name = store_of(dataset, download), dataset["published"]["checkpoints"][model]
    grid_name = dataset["published"].get("grid_file")
    own = PurePosixPath(name).suffix == OWN
    names = [name] if own else [name, yaml_name(name), *([grid_name] if grid_name else [])]
    paths = store.fetch(names, dataset=dataset["name"])
    record: dict[str, Any] = {"dataset": dataset["name"], "model": model, "seed": seed, "source_digest": code}
    if own:
        loaded, given = models.load(paths[name])
        family, settings, keys = given["family"], {**settings, **given}, None
    else:
        found = weights.read(*(paths.get(part) for part in (*names[:2], grid_name)))
        loaded, family = found.model, found.described.family
        evaluated = {key: value for key, value in settings["architecture"].items() if key in EVALUATED_ON}
        architecture = with_own_grid(found.described.architecture, Path(model_out))
        settings = {**settings, "architecture": evaluated | architecture}
        keys = {**found.report._asdict(), "ignored": found.ignored}
    if family != settings["family"]:
        raise InputError(
            f"{dataset['name']}: {name} holds a {family}, but config/models/{model}.yaml is of family "
            f"{settings['family']}. Mend published.checkpoints.{model}."
        )
    models.save(loaded, settings, model_out)
    n_parameters = sum(parameter.numel() for parameter in loaded.parameters())
    record |= {"model_config": settings, "parameters": n_parameters, "train_s": None, "gpu_hours": None}
    record["published"] = {
        "location": dataset["published"]["location"],
        "checkpoint": name,
        "sha256": _sha256(paths[name]),
        "keys": keys,
    }
    write_json(record, record_out)
    logger.info("%s: %s with %d parameters", name, family, n_parameters)


def with_own_grid(architecture: Mapping[str, Any], model_out: Path) -> dict[str, Any]:
    """Return an architecture whose folded grid does not depend on the cache that it was fetched into.

    A grid file is copied beside the model, as ``grid.npy``; the sphere of this project needs none.
    """
    if architecture.get("grid_file") is None:
        return dict(architecture)
    points = folding.read_grid(architecture["grid_file"])
    kept = {key: value for key, value in architecture.items() if key != "grid_file"}
    if points.shape[1] == 3 and np.array_equal(points, folding.sphere(len(points))):
        return {**kept, "grid": "sphere", "n_output_points": len(points)}
    copy = model_out.with_name("grid.npy")
    with atomic_file(copy) as part, part.open("wb") as file:
        np.save(file, points)
    return {**kept, "grid_file": str(copy)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
