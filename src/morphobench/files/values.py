"""Values of columns as text, as numbers, and as the configuration names them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.log import logger

# A number as it prints: without zeros before it, underscores or exponent, which labels may have.
_PLAIN = r"-?(?:0|[1-9]\d*)(?:\.\d+)?"
_DECIMAL_COMMA = r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?"
_DECIMAL_COMMAS = rf"{_DECIMAL_COMMA}|[-+]?\d+(?:\.\d+)?"


def text_of(value: object) -> str:
    """Return a value as text; a whole number by its digits, however it is stored.

    Examples
    --------
    >>> text_of(3500005512.0), text_of(2), text_of("1.0"), text_of(0.5)
    ('3500005512', '2', '1.0', '0.5')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return f"{value:.0f}"
    return str(value)


def text(values: pd.Series) -> pd.Series:
    """Return a column as text, None where a value is missing; text stays as it is."""
    values = values.astype(object)
    is_missing = values.isna()
    return values.where(is_missing, values.map(text_of)).where(~is_missing, None).astype(object)


def _matches(texts: np.ndarray, wanted: object) -> list[str]:
    """Return those of some different texts that mean a value of the configuration.

    These are equal texts, else equal numbers: 1, "1" and 1.0 are one, "01" is another.
    """
    said = text_of(wanted)
    if isinstance(wanted, bool):
        return [one for one in texts if one.lower() == said.lower()]
    if exact := [one for one in texts if one == said]:
        return exact
    series = pd.Series([*texts, said], dtype=object)
    plain = pd.to_numeric(series.where(series.str.fullmatch(_PLAIN)), errors="coerce").to_numpy()
    return list(np.asarray(texts, dtype=object)[plain[:-1] == plain[-1]])


def _different(values: pd.Series) -> np.ndarray:
    return text(values.drop_duplicates()).dropna().unique()


def isin(values: pd.Series, wanted: Iterable[Any]) -> np.ndarray:
    """Return which values the configuration names, shape (n,), bool; see `as_named`."""
    return np.isin(values.map(as_named(values, {"": wanted})).to_numpy(object), [""])


def as_named(values: pd.Series, named: dict[str, Iterable[Any]]) -> dict[Any, str]:
    """Return the name of each value in a column that `named` lists, by the column's own value.

    A listed value means equal texts, else equal numbers: 1, "1" and 1.0 are one, "01" is another.
    """
    different = values.drop_duplicates().dropna()
    texts = text(different)
    name_of = {
        match: name
        for name, wanted in named.items()
        for one in wanted
        for match in _matches(texts.unique(), one)
    }
    pairs = zip(different.to_numpy(object), texts, strict=True)
    return {value: name_of[own] for value, own in pairs if own in name_of}


def absent(values: pd.Series, wanted: Iterable[Any]) -> list[str]:
    """Return those of some values of the configuration that no row of a column has, as text."""
    texts = _different(values)
    return [text_of(one) for one in wanted if not _matches(texts, one)]


def listed(values: pd.Series, most: int = 500) -> str:
    """Return the different values of a column in words, at most so many characters."""
    return ", ".join(map(str, _different(values)))[:most]


def numbers(values: pd.Series, place: object) -> pd.Series:
    """Return a column of text or numbers as float64, NaN where there is none.

    What is no number is logged.

    Raises
    ------
    InputError
        When numbers have decimal commas.
    """
    converted = pd.to_numeric(values.astype(object), errors="coerce").astype(np.float64)
    lost = values[converted.isna() & values.notna()].map(str).astype(object)
    if lost.empty:
        return converted
    lost = lost.str.strip()
    lost = lost[~lost.str.lower().isin(["nan", ""])]
    if (commas := lost[lost.str.fullmatch(_DECIMAL_COMMA)]).size:
        raise InputError(decimal_commas(place, commas.iloc[0]))
    if len(lost):
        named = ", ".join(map(repr, lost.unique()[:3]))
        logger.warning("%s: %d values are no numbers and count as missing: %s", place, len(lost), named)
    return converted


def has_decimal_commas(texts: Sequence[str]) -> str:
    """Return the first number with a decimal comma of a column of nothing but numbers; else nothing."""
    with_comma = next((one for one in texts if "," in one), "")
    # Most columns have no comma at all, or text in their first values.
    are_numbers = with_comma and all(map(re.compile(_DECIMAL_COMMAS).fullmatch, texts))
    return with_comma if are_numbers else ""


def decimal_commas(place: object, example: str) -> str:
    """Return what to say of a column of numbers with decimal commas."""
    remedy = "Write decimals with a point (in a spreadsheet, set its language to English and export again)."
    return f"{place}: {example} has a decimal comma, which would not be read as a number. {remedy}"
