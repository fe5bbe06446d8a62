"""Columns of a source by the names that they have here: alternatives, units, and what is missing."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files.manifests import found
from morphobench.files.values import numbers
from morphobench.geometry.labels import piece_label
from morphobench.log import logger

# Key of `DataFrame.attrs`, which parquet files keep: from which column each of ours was taken.
TAKEN = "columns"


class Choice(NamedTuple):
    """One alternative for a column.

    Attributes
    ----------
    column
        Its name in the source.
    unit
        "voxel", volumes in voxels, which become cubic micrometres; "pieces", numbers of pieces, which become
        the labels "1" to "4" and ">=5"; or "", values as they are.
    meaning
        What the source's authors measured, in words.
    """

    column: str
    unit: str = ""
    meaning: str = ""


def alternatives(stated: str | Mapping[str, str] | Sequence[Any]) -> list[Choice]:
    """Return the alternatives for a column, in order, from an entry of `columns` in the configuration."""
    listed = [stated] if isinstance(stated, str | Mapping) else stated
    return [Choice(one) if isinstance(one, str) else Choice(**one) for one in listed]


def choose(
    stated: Mapping[str, Any] | None, there: Collection[str]
) -> tuple[dict[str, Choice], dict[str, str]]:
    """Choose the first existing alternative of each column.

    Returns
    -------
    chosen
        By our name.
    missing
        The alternatives, in words, of those of our names that have none.
    """
    chosen, missing = {}, {}
    for name, entry in (stated or {}).items():
        listed = alternatives(entry)
        existing = [choice for choice in listed if choice.column in there]
        if existing:
            chosen[name] = existing[0]
        else:
            missing[name] = " or ".join(choice.column for choice in listed)
    return chosen, missing


def report_missing(
    place: object,
    chosen: Mapping[str, Choice],
    missing: Mapping[str, str],
    needs: Mapping[str, str],
    there: Collection[str],
    key: str = "source.columns",
) -> None:
    """Warn once of all missing columns; those that `needs` names, each with the key that needs it, stop.

    `key` is where the configuration names columns.

    Raises
    ------
    InputError
        When a needed column is missing.
    """
    needed = {name: column for name, column in missing.items() if name in needs}
    if needed:
        reasons = {name: f" ({needs[name]})" if needs[name] else "" for name in needed}
        said = ", ".join(f"{column}{reasons[name]}" for name, column in needed.items())
        raise InputError(f"{place}: column {said} is missing; add it, or mend {key} ({found(there)}).")
    if missing:
        names = ", ".join(missing.values())
        logger.warning("%s: without column %s, which nothing here needs (%s)", place, names, found(there))
    for name, choice in chosen.items():
        if choice == Choice(name):
            continue
        unit = f", in unit {choice.unit}" if choice.unit else ""
        meaning = f": {choice.meaning}" if choice.meaning else ""
        logger.info("%s: %s is its column %s%s%s", place, name, choice.column, unit, meaning)


def add(
    table: pd.DataFrame, chosen: Mapping[str, Choice], voxel_um3: Callable[[pd.DataFrame], pd.Series]
) -> pd.DataFrame:
    """Add the chosen columns by our names, in our units; `TAKEN` of the result says where each is from.

    The source's columns stay as they are; one that has our name without being chosen becomes
    ``source_<name>``.

    Parameters
    ----------
    voxel_um3
        Returns the volume of each row's voxel, NaN where it is not known; asked only where it is needed.

    Raises
    ------
    InputError
        When volumes are in voxels, and no row's voxel is known.
    """
    ours = {name: _converted(name, table, choice, voxel_um3) for name, choice in chosen.items()}
    own = {name for name, choice in chosen.items() if name in table and choice.column != name}
    for name in sorted(own):
        logger.warning("the source's own column %s is kept as source_%s: `columns` names another", name, name)
    table = table.rename(columns={name: f"source_{name}" for name in own}).assign(**ours)
    table.attrs[TAKEN] = {name: choice._asdict() for name, choice in chosen.items()}
    return table


def _converted(
    name: str, table: pd.DataFrame, choice: Choice, voxel_um3: Callable[[pd.DataFrame], pd.Series]
) -> pd.Series:
    values = table[choice.column]
    if choice.unit == "voxel":
        volumes = voxel_um3(table)
        if len(table) and volumes.isna().all():
            raise InputError(
                f"{name}: column {choice.column} counts voxels, whose size no row tells. Set "
                "source.spacing_um_zyx, or name the column with their size in source.columns.scale_micron."
            )
        return numbers(values, f"column {choice.column}") * volumes
    return values.map(_piece_label).astype(object) if choice.unit == "pieces" else values


def _piece_label(value: object) -> object:
    """Return the label of a number of pieces, also of one in a text such as "1.0"; others stay."""
    number = pd.to_numeric(value, errors="coerce")
    return piece_label(int(number)) if np.isfinite(number) and number == int(number) else value
