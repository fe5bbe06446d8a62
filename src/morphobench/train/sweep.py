"""Sweeps: one training for each point of a grid or list of overrides, and a table that compares them."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import config as configuration
from morphobench.config import schema
from morphobench.errors import InputError
from morphobench.files import FilePath, write_table

# Entries of a training's record in the table.
MEASURED = ("best_val_loss", "best_epoch", "epochs", "train_s", "parameters")


def point_name(overrides: Mapping[str, Any]) -> str:
    """Return the name of a point, by its overrides alone, so that a growing sweep trains new points only."""
    text = json.dumps(overrides, sort_keys=True)
    return "p" + hashlib.sha256(text.encode()).hexdigest()[:8]


def expand(sweep: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the overrides (dotted key to value) of every point of a sweep by its name; equal points once.

    A point is a combination of the lists of values in `grid`, or an element of `list`.
    """
    grid = sweep.get("grid", {})
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return {point_name(point): point for point in map(dict, sweep.get("list", combinations))}


def override(model: Mapping[str, Any], overrides: Mapping[str, Any], source: str, root: Path) -> dict:
    """Return the content of a model's yaml with the overrides of a point of the sweep in file `source`.

    Raises
    ------
    InputError
        For a key that the model does not have, or a value that its schema forbids.
    """
    known, nested = sorted(model["architecture"]), {}
    for key, value in overrides.items():
        top, *below = key.split(".")
        if top == "architecture" and not (below and below[0] in known):
            there = f"the model's yaml has architecture.{{{', '.join(known)}}}"
            raise InputError(f"{source}: unknown key {key!r}; {there}. Write it there to sweep it.")
        for part in reversed(key.split(".")):
            value = {part: value}
        nested = schema.merge(nested, value)
    model_config = schema.merge(model, nested)
    schema.validate(model_config, "model", source, root)
    return model_config


def read(name: str, config: Mapping[str, Any], root: Path = Path()) -> dict[str, Any]:
    """Read and check config/sweeps/<name>.yaml below `root`: dataset, model, and points as in `expand`.

    Raises
    ------
    InputError
        For a missing file, an unknown dataset, model or key, or a value that is not allowed.
    """
    path = Path("config/sweeps") / f"{name}.yaml"
    sweep = schema.read_yaml(root / path)
    schema.validate(sweep, "sweep", str(path), root)
    for kind in ("dataset", "model"):
        known = config[f"{kind}s"]
        if sweep[kind] not in known:
            raise InputError(f"{path}: unknown {kind} {sweep[kind]!r}; there are {', '.join(known)}.")
    points = expand(sweep)
    for overrides in points.values():
        override(config["models"][sweep["model"]], overrides, str(path), root)
    return {"dataset": sweep["dataset"], "model": sweep["model"], "points": points}


def point_config(name: str, point: str, config: Mapping[str, Any], root: Path = Path()) -> dict[str, Any]:
    """Return the configuration with which a point is trained, as `config.model_for` of its data set.

    Raises
    ------
    InputError
        As `read`, and for a point that the sweep does not have.
    """
    sweep, source = read(name, config, root), f"config/sweeps/{name}.yaml"
    if point not in sweep["points"]:
        raise InputError(f"{source} has no point {point}; it has {', '.join(sweep['points'])}.")
    model = sweep["model"]
    overridden = override(config["models"][model], sweep["points"][point], source, root)
    return configuration.model_for({**config, "models": {model: overridden}}, sweep["dataset"], model)


def compare(points: Mapping[str, Mapping[str, Any]], records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per point, the lowest validation loss first, from the training records in their order.

    Columns: point, the overridden keys (empty where a point leaves one alone), `MEASURED`; train_s in
    seconds. Losses compare only where `training.loss`, its options and `input_scale` are the same.
    """
    rows = [
        {"point": name, **overrides, **{key: record[key] for key in MEASURED}}
        for (name, overrides), record in zip(points.items(), records, strict=True)
    ]
    keys = dict.fromkeys(key for overrides in points.values() for key in overrides)
    table = pd.DataFrame(rows)[["point", *keys, *MEASURED]]
    return table.sort_values(["best_val_loss", "point"], ignore_index=True)


def run(points: Mapping[str, Mapping[str, Any]], records: Sequence[FilePath], out: FilePath) -> None:
    """Write the table of a sweep from the record files of its points, in the order of `points`."""
    write_table(
        compare(points, [json.loads(Path(path).read_text(encoding="utf-8")) for path in records]), out
    )
