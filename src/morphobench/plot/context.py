"""What panels are given besides their tables, and the tables that they require."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from morphobench.plot import layout, style

Models = Mapping[str, Mapping[str, str]]
Inputs = Mapping[str, Any]
Tables = Mapping[str, pd.DataFrame]
# Name of a panel's table of meshes -> a picture of each of its shapes.
Pictures = Mapping[str, Sequence[np.ndarray]]


class EmptyPanel(Exception):
    """A panel has nothing to draw; the message is the reason that is written in its place."""


class Context(NamedTuple):
    """Names, colours and options of a panel.

    Attributes
    ----------
    models, baselines
        Label and colour of each model, and of each feature set without training, in drawing order.
    labels
        Columns that are classified.
    length_unit
        Of lengths in pictures: voxels where the source names no unit, and micrometres are nominal.
    strata
        Name of each stratum in drawing order; others follow by their own name.
    analysis_model
        Model of walks and archetypes.
    controls
        Label and colour of baselines that know nothing of a cell, what is asked for, or its pose alone.
    options
        Of this panel, from the figure's yaml.
    pictures
        Rendered surfaces by the panel's table; empty where the machine cannot render.
    published
        Rows of what others printed of this data set: metric, method, value, source.
    others
        Context of the panels of other data sets, by these.
    own
        Those of `models` that are embeddings of the user's own: they have no decoder.
    """

    models: Models
    baselines: Models
    labels: Sequence[str]
    strata: Mapping[str, str]
    length_unit: str = layout.UM
    analysis_model: str = ""
    controls: Models = {}
    options: Mapping[str, Any] = {}
    pictures: Pictures = {}
    published: Sequence[Mapping[str, Any]] = ()
    others: Mapping[str, Any] = {}
    own: Sequence[str] = ()

    def of(self, panel: Mapping[str, Any]) -> Self:
        """Return the context of a panel: of its data set, with its options."""
        own = self.others[panel["dataset"]] if "dataset" in panel else self
        return own._replace(options=panel.get("options", {}))

    def name(self, stratum: Any) -> str:
        """Return the name of a stratum in the figure."""
        return self.strata.get(str(stratum)) or layout.readable(stratum)

    def sort_strata(self, table: pd.DataFrame) -> pd.DataFrame:
        """Sort a table stably by stratum, in drawing order."""
        return layout.sort_by(table, "stratum", list(self.strata))

    def colors(self, strata: Iterable[Any]) -> dict[str, str]:
        """Return a colour for each stratum, repeated when there are many."""
        names = list(dict.fromkeys([*self.strata, *map(str, strata)]))
        return {name: style.CATEGORIES[i % len(style.CATEGORIES)] for i, name in enumerate(names)}

    def looks(self) -> dict[str, Mapping[str, str]]:
        """Return label and colour of all feature sets, models first."""
        return {**self.models, **self.baselines, **self.controls, **style.FEATURES}


def require(
    inputs: Mapping[str, pd.DataFrame], name: str, columns: Sequence[str], empty: str = "no cells to show"
) -> pd.DataFrame:
    """Return a table that has rows and these columns.

    Raises
    ------
    EmptyPanel
        When it has not; with the first reason in the table, if any, or `empty` for a table without rows.
    """
    if name not in inputs:
        raise EmptyPanel(f"no table of {layout.readable(name)}")
    table = inputs[name]
    lacking = [column for column in columns if column not in table]
    if "reason" in table and (table.empty or lacking or table[list(columns)].isna().all(axis=None)):
        reasons = table["reason"].dropna()
        if len(reasons) and str(reasons.iloc[0]):
            raise EmptyPanel(str(reasons.iloc[0]))
    if lacking:
        raise EmptyPanel(f"the table of {layout.readable(name)} has no column {', '.join(lacking)}")
    if table.empty:
        raise EmptyPanel(empty)
    return table
