"""Classes of cells from the values of a label."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from morphobench.files.values import as_named, isin
from morphobench.files.values import text as values_as_text


def classes_of(labels: pd.Series, rule: Mapping[str, Any] | None) -> np.ndarray:
    """Return the class of each cell, None for cells that are left out; shape (n,).

    Parameters
    ----------
    labels
        A label, compared as text; no value, or a blank text, is empty.
    rule
        Optionally `merge` (by class, its values), `others` (class of the values that it does not name),
        `keep` or `leave_out` (values), and `empty` (class of the empty ones, which else are left out). None
        leaves every value a class of its own.
    """
    rule = rule or {}
    text = values_as_text(labels).map(lambda one: one.strip() or None, na_action="ignore")
    class_of = as_named(text, rule.get("merge") or {})
    others = rule.get("others")
    named = text.map(lambda one: class_of.get(one, one if others is None else others), na_action="ignore")
    classes = named.to_numpy(object)
    if rule.get("keep"):
        classes[~isin(text, rule["keep"])] = None
    classes[isin(text, rule.get("leave_out") or ())] = None
    classes[text.isna().to_numpy()] = rule.get("empty")
    return classes
