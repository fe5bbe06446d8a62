"""What every panel is told besides its tables, and how it says that it has nothing to draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.plot import layout, style

Models = Mapping[str, Mapping[str, str]]
# Name of a panel's table of meshes -> one picture for each of its shapes.
Pictures = Mapping[str, Sequence[np.ndarray]]


class Missing(Exception):
    """A panel has nothing to draw; the message is the reason that stands in its place."""


class Context(NamedTuple):
    """What a panel needs to know besides its tables.

    Attributes
    ----------
    models
        Label and colour of each model of the figure, in drawing order.
    baselines
        The same of the feature sets that need no training.
    labels
        Columns that are classified.
    strata
        How the figure calls the values of its stratum column, in drawing order; others follow by their own
        name.
    analysis_model
        Name of the model of walks and archetypes.
    options
        Of this panel, from the figure's yaml.
    pictures
        Rendered surfaces by the panel's table; empty where the machine cannot render.
    """

    models: Models
    baselines: Models
    labels: Sequence[str]
    strata: Mapping[str, str]
    analysis_model: str = ""
    options: Mapping[str, Any] = {}
    pictures: Pictures = {}

    def name(self, stratum: Any) -> str:
        """Return how the figure calls a stratum."""
        return self.strata.get(str(stratum)) or layout.pretty(stratum)

    def ordered(self, table: pd.DataFrame, column: str = "stratum") -> pd.DataFrame:
        """Sort a table by the order of strata, otherwise as it was."""
        return layout.in_order(table, column, list(self.strata))

    def colors(self, strata: Iterable[Any]) -> dict[str, str]:
        """Return a colour for each stratum: the same for the same list, repeated when there are many."""
        names = list(dict.fromkeys([*self.strata, *map(str, strata)]))
        return {name: style.CATEGORIES[i % len(style.CATEGORIES)] for i, name in enumerate(names)}

    def looks(self) -> dict[str, Mapping[str, str]]:
        """Return label and colour of all feature sets, models first."""
        return {**self.models, **self.baselines, **style.FEATURES}


def need(
    inputs: Mapping[str, pd.DataFrame], name: str, columns: Sequence[str], empty: str = "no cells to show"
) -> pd.DataFrame:
    """Return a table that has rows and these columns.

    Raises
    ------
    Missing
        When it is not there, lacks a column or has no row; with the reason it gives itself, if any.
    """
    if name not in inputs:
        raise Missing(f"no table of {layout.pretty(name)}")
    table = inputs[name]
    lacking = [column for column in columns if column not in table]
    if "reason" in table and (table.empty or lacking or table[list(columns)].isna().all(axis=None)):
        reasons = table["reason"].dropna()
        if len(reasons) and str(reasons.iloc[0]):
            raise Missing(str(reasons.iloc[0]))
    if lacking:
        raise Missing(f"the table of {layout.pretty(name)} has no column {', '.join(lacking)}")
    if table.empty:
        raise Missing(empty)
    return table
