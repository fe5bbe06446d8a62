"""Sweeps: one training for each point of a grid or list of overrides, and a table that compares them."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import config as configuration
from morphobench.errors import InputError
from morphobench.files import write_table

# What of a training's record the table tells of each point.
MEASURED = ("best_val_loss", "best_epoch", "epochs", "train_s", "parameters")


def name_of(overrides: Mapping[str, Any]) -> str:
    """Return a name for a point that depends on its overrides alone, whatever else is in the sweep.

    So a sweep that grows trains its new points and no other.
    """
    text = json.dumps(overrides, sort_keys=True)
    return "p" + hashlib.sha256(text.encode()).hexdigest()[:8]


def points_of(sweep: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the overrides of every point of a sweep by its name.

    Parameters
    ----------
    sweep
        With either `grid`, lists of values by dotted key, of which every combination is a point, or `list`,
        one mapping from dotted keys to values per point.

    Returns
    -------
    dict
        Name to overrides (dotted key to value), in the order of the file; equal points count once.
    """
    if "grid" in sweep:
        keys = list(sweep["grid"])
        chosen = [
            dict(zip(keys, values, strict=True)) for values in itertools.product(*sweep["grid"].values())
        ]
    else:
        chosen = [dict(point) for point in sweep["list"]]
    return {name_of(point): point for point in chosen}


def _nested(overrides: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        *parents, last = key.split(".")
        place: dict[str, Any] = {last: value}
        for parent in reversed(parents):
            place = {parent: place}
        nested = configuration.merge(nested, place)
    return nested


def settings_of(model: Mapping[str, Any], overrides: Mapping[str, Any], source: str, root: Path) -> dict:
    """Return the content of a model's yaml with a point's overrides laid over it, checked.

    Parameters
    ----------
    model
        Content of the model's yaml.
    overrides
        Values by dotted key, such as training.lr.
    source
        File that the sweep comes from, for messages.
    root
        Folder that holds `config`.

    Raises
    ------
    InputError
        For a key that the model does not have, or a value that its schema forbids.
    """
    for key in overrides:
        top, _, below = key.partition(".")
        known = sorted(model["architecture"])
        if top == "architecture" and below.partition(".")[0] not in known:
            raise InputError(
                f"{source}: unknown key {key!r}; the model's yaml has architecture.{{{', '.join(known)}}}. "
                "A key that it leaves to its default must stand there to be swept."
            )
    settings = configuration.merge(model, _nested(overrides))
    configuration.validate(settings, "model", source, root)
    return settings


def read(name: str, config: Mapping[str, Any], root: Path = Path()) -> dict[str, Any]:
    """Read and check config/sweeps/<name>.yaml.

    Parameters
    ----------
    name
        Of the sweep.
    config
        The resolved configuration.
    root
        Folder that holds `config`.

    Returns
    -------
    dict
        dataset, model, and points: name to overrides.

    Raises
    ------
    InputError
        For a missing file, an unknown dataset, model or key, or a value that is not allowed.
    """
    path = Path("config/sweeps") / f"{name}.yaml"
    sweep = configuration.typed(configuration.read_yaml(root / path))
    configuration.validate(sweep, "sweep", str(path), root)
    for kind in ("dataset", "model"):
        known = config[f"{kind}s"]
        if sweep[kind] not in known:
            raise InputError(f"{path}: unknown {kind} {sweep[kind]!r}; there are {', '.join(known)}.")
    points = points_of(sweep)
    for overrides in points.values():
        settings_of(config["models"][sweep["model"]], overrides, str(path), root)
    return {"dataset": sweep["dataset"], "model": sweep["model"], "points": points}


def model_for(name: str, point: str, config: Mapping[str, Any], root: Path = Path()) -> dict[str, Any]:
    """Return what the training of one point needs to know of its model.

    Raises
    ------
    InputError
        As `read`, and for a point that the sweep does not have.
    """
    sweep = read(name, config, root)
    if point not in sweep["points"]:
        raise InputError(
            f"config/sweeps/{name}.yaml has no point {point}; it has {', '.join(sweep['points'])}."
        )
    model, source = sweep["model"], f"config/sweeps/{name}.yaml"
    swept = settings_of(config["models"][model], sweep["points"][point], source, root)
    return configuration.model_for({**config, "models": {model: swept}}, sweep["dataset"], model)


def compare(points: Mapping[str, Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per point, the lowest validation loss first.

    Losses compare only where `training.loss`, its options and `input_scale` are the same.

    Parameters
    ----------
    points
        Name to overrides.
    records
        The training record of each, in the same order.

    Returns
    -------
    pandas.DataFrame
        Columns point, one per overridden key, best_val_loss, best_epoch, epochs, train_s (seconds),
        parameters. A key that a point leaves alone is empty.
    """
    rows = [
        {"point": name, **overrides, **{key: record[key] for key in MEASURED}}
        for (name, overrides), record in zip(points.items(), records, strict=True)
    ]
    keys = dict.fromkeys(key for overrides in points.values() for key in overrides)
    table = pd.DataFrame(rows)[["point", *keys, *MEASURED]]
    return table.sort_values(["best_val_loss", "point"], ignore_index=True)


def run(points: Mapping[str, Mapping[str, Any]], records: Sequence[str | Path], out: str | Path) -> None:
    """Write the table of a sweep from the record files of its points, in the order of `points`."""
    write_table(compare(points, [json.loads(Path(path).read_text()) for path in records]), out)
