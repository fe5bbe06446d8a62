"""Classes of cells from the values of a label."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def classes_of(values: pd.Series, rule: Mapping[str, Any] | None) -> np.ndarray:
    """Return the class of each cell, None for cells that are left out; shape (n,).

    Parameters
    ----------
    values
        A label, compared as text; no value, or a blank text, is empty.
    rule
        Optionally `merge` (by class, its values), `others` (class of the values that it does not name),
        `keep` or `leave_out` (values), and `empty` (class of the empty ones, which else are left out). None
        leaves every value a class of its own.
    """
    rule = rule or {}
    text = values.astype(str).str.strip()
    is_empty = (values.isna() | (text == "")).to_numpy()
    class_of = {str(value): name for name, own in (rule.get("merge") or {}).items() for value in own}
    others = rule.get("others")
    classes = text.map(lambda value: class_of.get(value, value if others is None else others)).to_numpy(
        object
    )
    if rule.get("keep"):
        classes[~text.isin(map(str, rule["keep"])).to_numpy()] = None
    classes[text.isin(map(str, rule.get("leave_out") or ())).to_numpy()] = None
    classes[is_empty] = rule.get("empty")
    return classes
