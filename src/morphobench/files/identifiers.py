"""Identifiers and paths of tables: what may become the name of a file, checked where it enters."""

from collections.abc import Sequence
from unicodedata import category

import pandas as pd

from morphobench.errors import InputError

# Leaves room in a file name for what is put around an identifier.
_MOST_BYTES = 128
_MOST_PART_BYTES, _MOST_PATH_BYTES = 255, 1024
# Control characters, lone surrogates, and ends of lines and paragraphs.
_UNWRITABLE = {"Cc", "Cs", "Zl", "Zp"}


def fault(value: object) -> str:
    """Return why an identifier cannot be part of a file name; empty when it can.

    Examples
    --------
    >>> fault("cell 7+ü")
    ''
    >>> fault("../x")
    "'../x' cannot be part of a file name: a slash, a dot at its start. Rename it in the table."
    """
    if not isinstance(value, str) or not value:
        return f"{value!r} names nothing. Complete or remove its row."
    reasons = {
        "a slash": set(value) & set("/\\"),
        "a dot at its start": value.startswith("."),
        "characters that cannot be written": _is_unwritable(value),
        f"more than {_MOST_BYTES} bytes": _n_bytes(value) > _MOST_BYTES,
    }
    found = ", ".join(reason for reason, is_so in reasons.items() if is_so)
    shown = value[:_MOST_BYTES]
    return f"{shown!r} cannot be part of a file name: {found}. Rename it in the table." if found else ""


def faults(table: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return the first fault of the identifiers in some columns of each row, naming the column."""
    errors = pd.Series("", index=table.index, dtype=object)
    for column in columns:
        texts = table[column].map(fault)
        is_first = (errors == "") & (texts != "")
        errors[is_first] = f"{column} " + texts[is_first]
    return errors


def check_path(value: object) -> str:
    """Return the path in a row of a table; an InputError when no file can have it.

    Where it leads is another question.
    """
    if not isinstance(value, str) or not value:
        raise InputError(f"{value!r} names no file. Complete or remove its row.")
    reasons = {
        "characters that cannot be written": _is_unwritable(value),
        f"more than {_MOST_PATH_BYTES} bytes": _n_bytes(value) > _MOST_PATH_BYTES,
        f"a part of more than {_MOST_PART_BYTES} bytes": (
            max(map(_n_bytes, value.split("/"))) > _MOST_PART_BYTES
        ),
    }
    if found := ", ".join(reason for reason, is_so in reasons.items() if is_so):
        shown = value[:_MOST_BYTES]
        raise InputError(f"{shown!r} names no file: {found}. Mend the path in the table.")
    return value


def _is_unwritable(value: str) -> bool:
    return any(category(character) in _UNWRITABLE for character in value)


def _n_bytes(value: str) -> int:
    return len(value.encode(errors="replace"))
