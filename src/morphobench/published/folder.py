"""One dataset's results as a published folder: cells, checkpoints, embeddings, and the yaml to use them."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from morphobench import files
from morphobench.files import FilePath
from morphobench.files.shards import stage_module
from morphobench.log import logger
from morphobench.published import checkpoint, embedding
from morphobench.published.manifest import manifest_name
from morphobench.published.shard import Shards

# Columns of the workflow's own state, which the published manifest has no use for.
_STATE = ("group", "success", "error", "excluded", "seconds", "shard", "index", "first", "n_points", "seed")
CONFIG_NAME = "published.yaml"


def run(
    manifest: FilePath,
    shards: Shards,
    models: Mapping[str, FilePath],
    embeddings: Mapping[str, FilePath],
    reconstructions: Mapping[str, FilePath],
    out: FilePath,
    *,
    dataset: Mapping[str, Any],
    seed: int,
) -> None:
    """Write the published folder of one dataset, whole or not at all.

    Parameters
    ----------
    manifest
        Table of all cells with their splits.
    shards
        Shard folders in order, by the stages that the dataset's kind is written from.
    models, embeddings, reconstructions
        Trained model, embedding table with rotations identity, and table of errors, of each model.
    out
        Folder to write.
    dataset
        Its configuration.
    seed
        Of the trainings, noted beside the checkpoints.
    """
    cells = files.read_table(manifest)
    success = cells["success"].astype(bool)
    sampled = cells[success].reset_index(drop=True)
    name = PurePosixPath(manifest_name(dataset))
    with files.atomic_folder(out) as part:
        folder = part / name.parent
        folder.mkdir(parents=True)
        kind = stage_module("published", dataset["kind"])
        paths = kind.write(folder, name.parent, sampled, shards, dataset)
        # They are derived again where the folder is read.
        dropped = [*_STATE, *(dataset.get("source", {}).get("derive") or {})]
        table = sampled.drop(columns=dropped, errors="ignore").assign(**paths)
        files.write_table(table, (part / name).with_suffix(".csv"))
        files.write_table(cells.loc[~success, ["CellId", "error"]], folder / "failed.csv")
        names = checkpoint.write(part, models, dataset, seed)
        names["embeddings"] = embedding.write(part, embeddings, reconstructions, dataset)
        # Nulls remove what other files needed.
        published = dict.fromkeys(("prefixes", "keep", "columns", "n_cells"))
        published |= {"location": str(out), "preprocessed": str(name), "split": "split", **names}
        published |= {"image_units": "counts", "overrides": _overrides(dataset, len(sampled))}
        config = {"datasets": {dataset["name"]: {"published": published}}}
        (part / CONFIG_NAME).write_text(yaml.safe_dump(config), encoding="utf-8")
    logger.info("%s: %d of %d cells, %d models", out, len(sampled), len(cells), len(models))


def _overrides(dataset: Mapping[str, Any], n_cells: int) -> dict[str, Any] | None:
    if dataset["kind"] != "packing":
        return None
    # Shapes of packings lie in packing units.
    source = {"shape_unit_um": dataset["voxel_um"], "shape_axes": "depth_first"}
    return {"preprocessed": {"source": source, "n_cells": n_cells}, "checkpoints": None}
