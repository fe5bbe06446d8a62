"""What a scoring collects: rows of the score table, the values behind them, and resampled values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.log import logger
from morphobench.score.summary import Interval, Score, bootstrap_mean, bootstrap_statistic, bounds

Variant = Literal["corrected", "legacy"]
Better = Literal["high", "low"]
ITEM_COLUMNS = ("dataset", "model", "seed", "metric", "variant", "item", "group", "value")
REPLICATE_COLUMNS = ("dataset", "model", "seed", "metric", "cells", "replicate", "value")


class Codes(NamedTuple):
    """Codes of a model in the observed pose, one row per cell, sorted by CellId.

    Attributes
    ----------
    z
        Shape (n, D), float64.
    cells
        The cells' rows of the manifest, indexed by CellId.
    """

    z: np.ndarray
    cells: pd.DataFrame

    @property
    def ids(self) -> np.ndarray:
        """CellId of every row, shape (n,)."""
        return self.cells.index.to_numpy()

    @property
    def groups(self) -> np.ndarray:
        """Group of every row, shape (n,): cells of one group are not independent."""
        return self.cells["group"].astype(str).to_numpy()

    @property
    def split(self) -> np.ndarray:
        """Split of every row, shape (n,)."""
        return self.cells["split"].to_numpy()

    @property
    def test(self) -> np.ndarray:
        """Rows of the test cells, shape (n_test,)."""
        return np.flatnonzero(self.split == "test")


@dataclass
class Sheet:
    """Collects `scores`, `items` and `replicates` of one trained model.

    Attributes
    ----------
    dataset, model, model_seed
        Names that every row gets.
    n_resamples
        Bootstrap resamples.
    seed
        Seed of the bootstrap. Neither model nor training seed enter, so that models meet the same resamples.
    """

    dataset: str
    model: str
    model_seed: int
    n_resamples: int
    seed: int
    scores: list[Score] = field(default_factory=list)
    items: list[pd.DataFrame] = field(default_factory=list)
    replicates: list[pd.DataFrame] = field(default_factory=list)

    def interval(self, metric: str, values: np.ndarray, groups: Sequence[str]) -> Interval:
        """Return mean and bootstrap interval of values of shape (n,) in groups of shape (n,)."""
        return bootstrap_mean(
            np.asarray(values),
            n_resamples=self.n_resamples,
            rng=self._rng(metric),
            clusters=np.asarray(groups),
        )

    def add_mean(
        self,
        metric: str,
        variant: Variant,
        unit: str,
        better: Better,
        values: Sequence[float],
        items: Sequence[str],
        groups: Sequence[str] | None = None,
        reason: str = "",
    ) -> None:
        """Add the mean of values that belong to items, shape (n,) each, with its interval.

        `groups`, shape (n,), are what is resampled together; none where items are not cells (folds, repeats),
        which are resampled one by one and of which models are not compared in pairs.
        """
        found = self.interval(metric, values, items if groups is None else groups)
        dropped = len(values) - found.n
        if dropped or not len(values):
            missing = (
                f"{dropped} of {len(values)} values are missing or not finite" if dropped else "no value"
            )
            reason = "; ".join(part for part in (missing, reason) if part)
        self.add_value(metric, variant, unit, better, found.value, found.n, reason, (found.low, found.high))
        self.add_items(metric, variant, items, values, groups)

    def add_statistic(
        self,
        metric: str,
        unit: str,
        better: Better,
        statistic: Callable[[np.ndarray], np.ndarray],
        groups: Sequence[str],
        reason: str = "",
    ) -> None:
        """Add a corrected score that is no mean over cells, see `bootstrap_statistic`, and its resamples."""
        groups = np.asarray(groups)
        value, resampled = bootstrap_statistic(
            statistic, groups, n_resamples=self.n_resamples, rng=self._rng(metric)
        )
        self.add_value(metric, "corrected", unit, better, value, len(groups), reason, bounds(resampled))
        # Resamples of two models belong together only if the same cells were drawn from.
        cells = hashlib.blake2b("\x1f".join(groups.tolist()).encode(), digest_size=8).hexdigest()
        rows = {"metric": metric, "cells": cells, "replicate": range(len(resampled)), "value": resampled}
        self.replicates.append(pd.DataFrame(self._names() | rows))

    def add_value(
        self,
        metric: str,
        variant: Variant,
        unit: str,
        better: Better,
        value: float,
        n: int,
        reason: str = "",
        interval: tuple[float, float] = (np.nan, np.nan),
    ) -> None:
        """Add one row; what it lacks, or leaves out, is also a warning in the log."""
        if reason:
            shown = f"{value:g}" if np.isfinite(value) else "no value"
            logger.warning("%s of %s (%s): %s; %s", metric, self.model, variant, shown, reason)
        names = (self.dataset, self.model, self.model_seed, metric, variant, unit, better)
        self.scores.append(Score(*names, value, *interval, n, reason))

    def add_missing(self, metric: str, variant: Variant, unit: str, better: Better, reason: str) -> None:
        """Add a row without value."""
        self.add_value(metric, variant, unit, better, np.nan, 0, reason)

    def add_items(
        self,
        metric: str,
        variant: Variant,
        items: Sequence[str],
        values: Sequence[float],
        groups: Sequence[str] | None = None,
    ) -> None:
        """Add the values behind a row."""
        rows = {
            "metric": metric,
            "variant": variant,
            "item": list(items),
            "group": [""] * len(items) if groups is None else [str(group) for group in groups],
            "value": np.asarray(values, np.float64),
        }
        self.items.append(pd.DataFrame(self._names() | rows))

    def item_table(self) -> pd.DataFrame:
        """Return all items: dataset, model, seed, metric, variant, item, group, value."""
        return _stacked(self.items, ITEM_COLUMNS, {"seed": np.int64, "value": np.float64})

    def replicate_table(self) -> pd.DataFrame:
        """Return all resamples: dataset, model, seed, metric, cells (a digest), replicate, value."""
        types = {"seed": np.int64, "replicate": np.int64, "value": np.float64}
        return _stacked(self.replicates, REPLICATE_COLUMNS, types)

    def _names(self) -> dict[str, str | int]:
        return {"dataset": self.dataset, "model": self.model, "seed": self.model_seed}

    def _rng(self, metric: str) -> np.random.Generator:
        return seeds.generator(self.seed, self.dataset, "score", metric)


def _stacked(parts: list[pd.DataFrame], columns: Sequence[str], types: dict[str, type]) -> pd.DataFrame:
    known = [part for part in parts if len(part)]
    table = pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=list(columns))
    return table[list(columns)].astype({name: types.get(name, object) for name in columns})
