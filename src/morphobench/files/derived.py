"""Columns derived from the text of another column, such as plate and well from the name of a field."""

from collections.abc import Iterable, Mapping

import pandas as pd

from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.files.values import text
from morphobench.log import logger

# `from`, the column that the text stands in, and `pattern`, a regular expression with one group.
Derive = Mapping[str, Mapping[str, str]]


def check_names(derive: Derive, taken: Iterable[str], path: FilePath) -> None:
    """Refuse derived columns with the name of another column."""
    if clash := sorted(set(derive) & set(taken)):
        reason = f"source.derive.{clash[0]}: the table, or this workflow, has a column of that name"
        raise InputError(f"{path}: {reason}. Give the derived one another name.")


def add(table: pd.DataFrame, derive: Derive, path: FilePath) -> pd.DataFrame:
    """Return the table with its derived columns: text, missing where the pattern is not found.

    Each value is what the pattern's group holds where it is first found in the text. A value that is
    missing is logged.

    Raises
    ------
    InputError
        When the column does not exist, or the pattern is found in no row.
    """
    for name, rule in derive.items():
        column, pattern = rule["from"], rule["pattern"]
        if column not in table:
            found = ", ".join(map(str, table))[:500]
            raise InputError(f"{path}: source.derive.{name} reads column {column}; mend it (found {found}).")
        values = text(table[column]).str.extract(pattern, expand=False).astype(object)
        missing = values.isna()
        if len(table) and missing.all():
            example = f"{column} is {table[column].iloc[0]!r} in the first row"
            raise InputError(f"{path}: source.derive.{name}: no row matches {pattern}; {example}. Mend it.")
        if missing.any():
            row = int(missing.to_numpy().argmax())
            details = (path, missing.sum(), name, pattern, row + 1, column, table[column].iloc[row])
            logger.warning("%s: %d rows have no %s: %s does not match; row %d has %s %r", *details)
        table = table.assign(**{name: values.where(~missing, None)})
    return table
