"""Published embeddings: a CSV of codes becomes the standard embedding table in pose identity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.tables import SPLITS, mu_columns
from morphobench.geometry.rotation import MATRIX_COLUMNS
from morphobench.log import logger
from morphobench.published import identifiers
from morphobench.published.manifest import store_of

# Published reconstruction errors by kind of dataset: Sinkhorn divergence, or 1 - Jaccard index of shapes.
LOSSES = {
    "packing": "reconstruction_sinkhorn_legacy",
    "punctate": "reconstruction_sinkhorn_legacy",
    "polymorphic": "reconstruction_iou_legacy",
}
LEFT_OUT = "left out by published.keep or max_cells"
_N_NAMED = 5


def run(
    published: str | Path,
    out: str | Path,
    reconstruction_out: str | Path,
    unmatched_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    model: str,
    download: Mapping[str, Any],
) -> None:
    """Fetch the published embeddings of a model and write them as the stage `embed` does.

    Columns: CellId, group, split, rotation (0), r_00 ... r_22 (identity), mu_0 ... mu_{D-1}. The published
    loss, where it was computed, goes into a table of its own, under the name in `LOSSES`. Cells that the
    manifest or the embeddings lack are counted, and listed with the reason in a third table.

    Parameters
    ----------
    published
        Table that `morphobench.published.manifest.run` wrote.
    out
        Parquet file to write.
    reconstruction_out
        Parquet file to write: CellId, split and perhaps the loss.
    unmatched_out
        CSV file to write: CellId, reason.
    dataset
        Keys name, kind and published of the dataset's configuration.
    model
        Key of published.embeddings.
    download
        Section `download` of the configuration.

    Raises
    ------
    InputError
        When the CSV is missing, lacks a column or repeats a cell, or none of its cells is in the manifest.
    """
    name = dataset["published"]["embeddings"][model]
    path = store_of(dataset, download).fetch([name], dataset=dataset["name"])[name]
    cells = pd.read_parquet(published)
    try:
        codes = read(path, LOSSES[dataset["kind"]])
    except InputError as error:
        raise InputError(f"{dataset['name']}, {model}: {error}") from error
    table, unmatched = matched(codes, cells)
    if len(table) == 0:
        raise InputError(
            f"{path}: none of its {len(codes)} cells is in {dataset['published']['preprocessed']}. Compare "
            f"the CellId of both, for example {codes['CellId'].iloc[0]} and {cells['CellId'].iloc[0]}."
        )
    _tell(path, table, unmatched)
    files.write_table(unmatched, unmatched_out)
    loss = LOSSES[dataset["kind"]]
    files.write_table(table[["CellId", "split", *table.columns.intersection([loss])]], reconstruction_out)
    files.write_table(table.drop(columns=loss, errors="ignore"), out)


def read(path: Path, loss_name: str) -> pd.DataFrame:
    """Read a published CSV of embeddings.

    Parameters
    ----------
    path
        The file: columns CellId, mu_0 ... mu_{D-1}, split, and optionally loss and others, which are left.
    loss_name
        Name for the column loss; it is left out where all of it is zero, which means not computed.

    Returns
    -------
    pandas.DataFrame
        CellId (cleaned, text), split, mu_0 ... mu_{D-1} (float32) and perhaps the loss.

    Raises
    ------
    InputError
        When a column is missing, a code is no finite number, or a cell or a split is wrong.
    """
    table = manifests.read(path, ["split"], text=["CellId"])
    names = mu_columns(table.columns)
    if not names or names != [f"mu_{number}" for number in range(len(names))]:
        raise InputError(f"{path}: no columns mu_0, mu_1, ... without a gap. Fetch it again.")
    ids = identifiers.clean(table["CellId"])
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise InputError(
            f"{path}: {len(repeated)} cells occur more than once, first {', '.join(repeated[:_N_NAMED])}. "
            "Keep one row for each cell."
        )
    codes = table[names].apply(pd.to_numeric, errors="coerce").astype(np.float32)
    broken = ~np.isfinite(codes.to_numpy()).all(axis=1)
    if broken.all():
        raise InputError(f"{path}: no code is a finite number. Fetch it again.")
    split = table["split"].astype(str).str.lower().map(SPLITS)
    if split.isna().any():
        raise InputError(f"{path}: split {table['split'][split.isna()].iloc[0]} is unknown. Fetch it again.")
    if broken.any():
        logger.warning("%s: %d codes hold values that are not finite", path, broken.sum())
    found = pd.concat([ids.rename("CellId"), split.rename("split"), codes], axis=1)
    loss = pd.to_numeric(table["loss"], errors="coerce") if "loss" in table else pd.Series(dtype=float)
    return found.assign(**{loss_name: loss}) if (loss.fillna(0) != 0).any() else found


def matched(codes: pd.DataFrame, cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join codes and manifest by CellId.

    Parameters
    ----------
    codes
        What `read` returns.
    cells
        Columns CellId, group and used.

    Returns
    -------
    table
        The embedding table of the cells in both, sorted by CellId.
    unmatched
        CellId and reason of all others.
    """
    known = cells.set_index("CellId")
    there = codes["CellId"].isin(known.index)
    inside = codes["CellId"].isin(known.index[known["used"]])
    table = codes[inside].sort_values("CellId", ignore_index=True)
    turn = dict(zip(MATRIX_COLUMNS, np.eye(3).ravel().tolist(), strict=True))
    group = known.loc[table["CellId"], "group"].to_numpy()
    extra = [column for column in table if column not in ("CellId", "split")]
    table = table.assign(group=group, rotation=0, **turn)
    table = table[["CellId", "group", "split", "rotation", *turn, *extra]]
    missing = known.index[known["used"]].difference(codes["CellId"])
    return table, pd.concat(
        [
            pd.DataFrame({"CellId": codes.loc[~there, "CellId"], "reason": "no row in the manifest"}),
            pd.DataFrame({"CellId": codes.loc[there & ~inside, "CellId"], "reason": LEFT_OUT}),
            pd.DataFrame({"CellId": missing, "reason": "no row in the embeddings"}),
        ],
        ignore_index=True,
    )


def _tell(path: Path, table: pd.DataFrame, unmatched: pd.DataFrame) -> None:
    logger.info("%s: %d cells", path, len(table))
    for reason, part in unmatched.groupby("reason"):
        logger.warning("%d cells, %s: %s", len(part), reason, ", ".join(part["CellId"].head(_N_NAMED)))
