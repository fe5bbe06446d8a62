"""Identifiers of cells as published tables write them."""

from __future__ import annotations

import re

import pandas as pd

_FILE_SUFFIX = re.compile(r"\.(?:ply|tiff)$")
_NUMBER_OF_STRUCTURE = re.compile(r"^(\d+)-(?:FBL|NPM).*$")
_WHOLE_NUMBER = re.compile(r"^(\d+)\.0$")


def clean(ids: pd.Series) -> pd.Series:
    """Return identifiers without what published code leaves on them.

    That is the suffix of a file, .ply or .tiff; what follows a number before -FBL or -NPM; and the .0 of
    whole numbers that some table took for decimals.

    Examples
    --------
    >>> clean(pd.Series(["a-1.ply", "12.tiff", "724520-NPM1_x", "7.0", "007"])).tolist()
    ['a-1', '12', '724520', '7', '007']
    """
    text = ids.astype(str).str.replace(_FILE_SUFFIX, "", regex=True)
    text = text.str.replace(_NUMBER_OF_STRUCTURE, r"\1", regex=True)
    return text.str.replace(_WHOLE_NUMBER, r"\1", regex=True)
