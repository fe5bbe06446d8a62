"""Embedding tables as published CSV files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import files
from morphobench.files.tables import mu_columns
from morphobench.published.embedding import LOSSES
from morphobench.published.names import name_of


def to_published(table: pd.DataFrame, errors: pd.DataFrame, loss_name: str) -> pd.DataFrame:
    """Return the published columns of an embedding table and a table of reconstruction errors.

    Parameters
    ----------
    table, errors
        What the stage `embed` wrote.
    loss_name
        Column with the published reconstruction error; 0 for all cells without it, as published.

    Returns
    -------
    pandas.DataFrame
        CellId, mu_0 ... mu_{D-1}, loss and split; train, then val, then test; numbered from 0.
    """
    order = table["split"].map({"train": 0, "val": 1, "test": 2})
    table = table.iloc[order.argsort(kind="stable")].reset_index(drop=True)
    loss = 0.0
    if loss_name in errors:
        loss = errors.set_index("CellId")[loss_name].reindex(table["CellId"]).to_numpy()
    return table[["CellId", *mu_columns(table.columns)]].assign(loss=loss, split=table["split"])


def write(
    part: Path,
    embeddings: Mapping[str, str | Path],
    reconstructions: Mapping[str, str | Path],
    dataset: Mapping[str, Any],
) -> dict[str, str]:
    """Write one CSV per model, with the row numbers as an unnamed first column; return their names."""
    names = {}
    for model, path in embeddings.items():
        names[model] = name_of(dataset, "embeddings", model, ".csv")
        errors = files.read_table(reconstructions[model])
        table = to_published(files.read_table(path), errors, LOSSES[dataset["kind"]])
        with files.atomic_file(part / names[model]) as file:
            # Nine digits bring every float32 back as it was.
            table.to_csv(file, index=True, float_format="%.9g", lineterminator="\n")
    return names
