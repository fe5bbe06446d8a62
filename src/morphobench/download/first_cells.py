"""Three cells of a data set, read for real before any shard is started: one reason for all stops the run."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files.crops import read_used
from morphobench.log import logger

_N_CELLS = 3


def check(table: pd.DataFrame, read: Callable[[pd.DataFrame], None], dataset: str) -> None:
    """Read cells spread over a table, at most three, until one can be read.

    Parameters
    ----------
    table
        A row per cell.
    read
        Fetches and reads the cell of a table of one row; an InputError when it would fail.

    Raises
    ------
    InputError
        When all three fail for one reason, apart from their names and numbers.
    """
    if len(table) < _N_CELLS:
        return
    errors, reasons = [], set()
    for place in np.linspace(0, len(table) - 1, _N_CELLS).astype(int):
        row = table.iloc[[place]]
        try:
            read(row)
            return
        except InputError as error:
            errors.append(error)
            reasons.add(_without_names(str(error), row))
    if len(reasons) == 1:
        raise InputError(
            f"{dataset}: {_N_CELLS} cells, spread over the table, all fail for one reason, so the run stops "
            f"here. The first: {errors[0]}"
        )
    logger.warning("download: %s: %d cells tried, all failed, the first: %s", dataset, _N_CELLS, errors[0])


def read_located(row: pd.DataFrame, dataset: Mapping[str, Any]) -> None:
    """Read a cell whose crops are at hand, see `crops.locate`; an InputError when stages could not."""
    cell = row.to_dict("records")[0]
    if cell["error"]:
        raise InputError(cell["error"])
    read_used(cell, Path(), dataset)


def _without_names(text: str, row: pd.DataFrame) -> str:
    """Return a reason without what is the cell's own: paths, identifiers, numbers."""
    own = sorted((value for value in row.iloc[0] if isinstance(value, str) and value), key=len, reverse=True)
    for value in own:
        text = text.replace(value, "")
    # Files in the cache have names of their own.
    return re.sub(r"\S*/\S*|\d+", "", text)
