"""Published embeddings: CSV files read as the embedding tables of stage `embed`, and written from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, manifests
from morphobench.files.tables import mu_columns
from morphobench.files.values import numbers
from morphobench.geometry.rotation import MATRIX_COLUMNS
from morphobench.log import logger
from morphobench.published.manifest import clean_ids, fetch_file, model_file_name, open_published, read_splits

# Published reconstruction errors by kind of dataset: Sinkhorn divergence, or 1 - Jaccard index of shapes.
LOSSES = dict.fromkeys(("packing", "punctate"), "reconstruction_sinkhorn_legacy")
LOSSES["polymorphic"] = "reconstruction_iou_legacy"
LEFT_OUT = "left out by published.keep or max_cells"
_N_NAMED = 5
_Paths = Mapping[str, FilePath]
_IDENTITY = dict(zip(MATRIX_COLUMNS, np.eye(3).ravel().tolist(), strict=True))


def run(
    manifest: FilePath,
    out: FilePath,
    reconstruction_out: FilePath,
    unmatched_out: FilePath,
    *,
    dataset: Mapping[str, Any],
    model: str,
    download_config: Mapping[str, Any],
) -> None:
    """Fetch the published embeddings of a model and write them as stage `embed` does, in one rotation.

    `out` has columns CellId, group, split, rotation (0), r_00 ... r_22 (identity), mu_0 ... mu_{D-1};
    `reconstruction_out` CellId, split and the loss under its name in `LOSSES`, where it was computed. Cells
    without a row in `manifest` or in the CSV go with the reason into `unmatched_out` (CSV).

    Raises
    ------
    InputError
        When the CSV is missing, lacks a column or repeats a cell, or none of its cells is in the manifest.
    """
    name = dataset["published"]["embeddings"][model]
    path = fetch_file(open_published(dataset, download_config), name, dataset)
    cells = pd.read_parquet(manifest)
    loss_name = LOSSES[dataset["kind"]]
    try:
        embeddings = read(path, loss_name)
    except InputError as error:
        raise InputError(f"{dataset['name']}, {model}: {error}") from error
    table, unmatched = _join(embeddings, cells)
    if table.empty:
        fault = f"none of its {len(embeddings)} cells is in {dataset['published']['preprocessed']}"
        examples = f"for example {embeddings['CellId'][0]} and {cells['CellId'][0]}"
        raise InputError(f"{path}: {fault}. Compare the CellId of both, {examples}.")
    logger.info("%s: %d cells", path, len(table))
    for reason, part in unmatched.groupby("reason"):
        logger.warning("%d cells, %s: %s", len(part), reason, ", ".join(part["CellId"].head(_N_NAMED)))
    files.write_table(unmatched, unmatched_out)
    losses = table.columns.intersection([loss_name])
    files.write_table(table[["CellId", "split", *losses]], reconstruction_out)
    files.write_table(table.drop(columns=losses), out)


def read(path: Path, loss_name: str) -> pd.DataFrame:
    """Read a published CSV of embeddings: CellId (cleaned), split, mu_0 ... mu_{D-1} (float32) and the loss.

    The loss gets the name `loss_name`; all zero means not computed, and it is left out.

    Raises
    ------
    InputError
        When a column is missing, no embedding is finite, or a cell or a split is wrong.
    """
    there = manifests.columns_of(path)
    names = mu_columns(there)
    table = manifests.read(path, ["split"], text=["CellId"], optional=[*names, "loss"])
    if not names or names != [f"mu_{number}" for number in range(len(names))]:
        raise InputError(f"{path}: no columns mu_0, mu_1, ... without a gap. Fetch it again.")
    ids = clean_ids(table["CellId"])
    if len(repeated := ids[ids.duplicated()].unique()):
        fault = f"{len(repeated)} cells occur more than once, first {', '.join(repeated[:_N_NAMED])}"
        raise InputError(f"{path}: {fault}. Keep one row for each cell.")
    embeddings = (
        table[names].apply(lambda column: numbers(column, f"{path}: {column.name}")).astype(np.float32)
    )
    broken = ~np.isfinite(embeddings.to_numpy()).all(axis=1)
    if broken.all():
        raise InputError(f"{path}: no embedding is a finite number. Fetch it again.")
    split = read_splits(table["split"], path, "Fetch it again.")
    if broken.any():
        logger.warning("%s: %d embeddings hold values that are not finite", path, broken.sum())
    checked = pd.concat([ids.rename("CellId"), split.rename("split"), embeddings], axis=1)
    loss = numbers(table.get("loss", pd.Series(dtype=float)), f"{path}: loss")
    return checked.assign(**{loss_name: loss}) if (loss.fillna(0) != 0).any() else checked


def _join(embeddings: pd.DataFrame, cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the embedding table of the cells in both, by CellId; and CellId and reason of all others."""
    known = cells.set_index("CellId")
    used = known.index[known["used"]]
    is_known, is_used = (embeddings["CellId"].isin(index) for index in (known.index, used))
    has_split = embeddings["split"].notna()
    table = embeddings[is_used & has_split].sort_values("CellId", ignore_index=True)
    table.insert(1, "group", known.loc[table["CellId"], "group"].to_numpy())
    for place, (name, value) in enumerate({"rotation": 0, **_IDENTITY}.items(), start=3):
        table.insert(place, name, value)
    reasons = {
        "no row in the manifest": embeddings.loc[~is_known, "CellId"],
        LEFT_OUT: embeddings.loc[is_known & ~is_used, "CellId"],
        "no split in the embeddings": embeddings.loc[is_used & ~has_split, "CellId"],
        "no row in the embeddings": used.difference(embeddings["CellId"]),
    }
    unmatched = [pd.DataFrame({"CellId": ids, "reason": reason}) for reason, ids in reasons.items()]
    return table, pd.concat(unmatched, ignore_index=True)


def write(
    folder: Path, embeddings: _Paths, reconstructions: _Paths, dataset: Mapping[str, Any]
) -> dict[str, str]:
    """Write one CSV per model, with the row numbers as an unnamed first column; return their names."""
    names = {}
    for model, path in embeddings.items():
        names[model] = model_file_name(dataset, "embeddings", model, ".csv")
        errors = files.read_table(reconstructions[model])
        table = to_published(files.read_table(path), errors, LOSSES[dataset["kind"]])
        with files.atomic_file(folder / names[model]) as file:
            files.write_csv(table, file, index=True)
    return names


def to_published(table: pd.DataFrame, errors: pd.DataFrame, loss_name: str) -> pd.DataFrame:
    """Return CellId, mu_0 ... mu_{D-1}, loss and split, in the order train, val, test.

    The loss is column `loss_name` of the reconstruction errors, else 0 for all cells.
    """
    order = table["split"].map({"train": 0, "val": 1, "test": 2})
    table = table.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    losses = errors.set_index("CellId").get(loss_name, pd.Series(dtype=float))
    loss = losses.reindex(table["CellId"]).to_numpy() if len(losses) else 0.0
    return table[["CellId", *mu_columns(table.columns)]].assign(loss=loss, split=table["split"])
