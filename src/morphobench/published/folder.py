"""One dataset's results as a published folder: cells, checkpoints, embeddings, and the yaml to use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import yaml

from morphobench import files
from morphobench.files import shards as stage
from morphobench.log import logger
from morphobench.published import write_codes, write_weights
from morphobench.published.names import manifest_name

# Columns of the workflow's own state, which the published manifest has no use for.
_STATE = ("success", "error", "excluded", "seconds", "shard", "index", "first", "n_points", "seed")
SNIPPET = "published.yaml"


def run(
    manifest: str | Path,
    shards: Mapping[str, Sequence[str | Path]],
    models: Mapping[str, str | Path],
    embeddings: Mapping[str, str | Path],
    reconstructions: Mapping[str, str | Path],
    out: str | Path,
    *,
    dataset: Mapping[str, Any],
    seed: int,
) -> None:
    """Write the published folder of one dataset.

    Parameters
    ----------
    manifest
        Table of all cells with their splits.
    shards
        Shard folders in order, by stage: sample, and what the kind of the dataset needs besides.
    models, embeddings, reconstructions
        Trained model, embedding table with rotations identity, and table of errors, of each model.
    out
        Folder to write, whole or not at all.
    dataset
        Its configuration.
    seed
        Of the trainings, noted beside the checkpoints.

    Raises
    ------
    InputError
        When a file that the workflow wrote is missing or damaged.
    """
    cells = files.read_table(manifest)
    with files.atomic_folder(out) as part:
        name = manifest_name(dataset)
        folder = part / PurePosixPath(name).parent
        folder.mkdir(parents=True)
        good = cells[cells["success"].astype(bool)].reset_index(drop=True)
        writer = stage.stage_module("published", f"write_{dataset['kind']}")
        columns = writer.write(folder, PurePosixPath(name).parent, good, shards, dataset)
        kept = good.drop(columns=[column for column in _STATE if column in good])
        _write_csv(kept.assign(**columns), part / name)
        _write_csv(cells.loc[~cells["success"].astype(bool), ["CellId", "error"]], folder / "failed.csv")
        used = write_weights.write(part, models, dataset, seed)
        used["embeddings"] = write_codes.write(part, embeddings, reconstructions, dataset)
        published = _snippet(str(out), name, used) | {"overrides": _settings(dataset, len(good))}
        (part / SNIPPET).write_text(yaml.safe_dump({"datasets": {dataset["name"]: {"published": published}}}))
    logger.info("%s: %d of %d cells, %d models", out, len(good), len(cells), len(models))


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    files.write_table(table, path.with_suffix(".csv"))


def _snippet(location: str, name: str, used: Mapping[str, Any]) -> dict[str, Any]:
    """Return the block `published` that reads this folder; nulls take away what other files needed."""
    nothing = dict.fromkeys(("prefix", "keep", "columns", "n_cells"))
    return {
        **nothing,
        "location": location,
        "preprocessed": name,
        "split": "split",
        "image_units": "counts",
        **used,
    }


def _settings(dataset: Mapping[str, Any], n_cells: int) -> dict[str, Any] | None:
    """Return what the folder changes of the dataset's yaml: shapes of packings lie in packing units."""
    if dataset["kind"] != "packing":
        return None
    source = {"shape_unit_um": dataset["voxel_um"], "shape_axes": "depth_first"}
    return {"preprocessed": {"source": source, "n_cells": n_cells}, "checkpoints": None}
