"""Rows of the score table of one trained model, the values behind them, and resampled values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.log import logger
from morphobench.score.summary import Better, Score, Variant, bootstrap_mean, bootstrap_statistic, bounds

ITEM_COLUMNS = ("dataset", "model", "seed", "metric", "variant", "item", "group", "value")
REPLICATE_COLUMNS = ("dataset", "model", "seed", "metric", "cells", "replicate", "value")


class Metric(NamedTuple):
    """A metric in its corrected or published (legacy) definition, and which direction is good."""

    name: str
    better: Better = "low"
    unit: str = ""
    variant: Variant = "corrected"

    @property
    def legacy(self) -> Metric:
        """The published definition, in the same unit."""
        return self._replace(variant="legacy")


class EmbeddedCells(NamedTuple):
    """Cells with their embeddings in the observed frame, sorted by CellId.

    `z` has shape (n, D), float64; `manifest` holds the cells' rows of the manifest, indexed by CellId.
    """

    z: np.ndarray
    manifest: pd.DataFrame

    @property
    def ids(self) -> np.ndarray:
        """CellId of every row, shape (n,)."""
        return self.manifest.index.to_numpy()

    @property
    def groups(self) -> np.ndarray:
        """Group of every row, shape (n,): cells of one group are not independent."""
        return self.manifest["group"].astype(str).to_numpy()

    @property
    def split(self) -> np.ndarray:
        """Split of every row, shape (n,)."""
        return self.manifest["split"].to_numpy()

    @property
    def test(self) -> np.ndarray:
        """Rows of the test cells, shape (n_test,)."""
        return np.flatnonzero(self.split == "test")


@dataclass
class ScoreRows:
    """Collects `scores`, `items` and `replicates` of one trained model.

    Every row gets `dataset`, `model` and the training's seed, `model_seed`. The bootstrap has `n_resamples`
    and depends on `seed`, dataset and metric alone, so that models meet the same resamples.
    """

    dataset: str
    model: str
    model_seed: int
    n_resamples: int
    seed: int
    scores: list[Score] = field(default_factory=list)
    items: list[pd.DataFrame] = field(default_factory=list)
    replicates: list[pd.DataFrame] = field(default_factory=list)

    def add_mean(
        self,
        metric: Metric,
        values: Sequence[float],
        items: Sequence[str],
        groups: Sequence[str] | None = None,
        reason: str = "",
    ) -> None:
        """Add the mean of values that belong to items, shape (n,) each, with its interval.

        `groups`, shape (n,), are what is resampled together; none where items are not cells (folds, repeats),
        which are resampled one by one and of which models are not compared in pairs.
        """
        mean, low, high, n = bootstrap_mean(
            np.asarray(values),
            n_resamples=self.n_resamples,
            rng=self._rng(metric.name),
            clusters=np.asarray(items if groups is None else groups),
        )
        dropped = len(values) - n
        if dropped or not len(values):
            missing = f"{dropped} of {len(values)} values are missing or not finite"
            reason = "; ".join(part for part in (missing if dropped else "no value", reason) if part)
        self.add_value(metric, mean, n, reason, (low, high))
        self.add_items(metric, items, values, groups)

    def add_folds(self, metric: Metric, values: Sequence[float], reason: str) -> None:
        """Add the mean of one value per fold of a cross-validation."""
        self.add_mean(metric, values, [f"fold {fold}" for fold in range(len(values))], None, reason)

    def add_statistic(
        self,
        metric: Metric,
        statistic: Callable[[np.ndarray], np.ndarray],
        groups: Sequence[str],
        reason: str = "",
    ) -> None:
        """Add a score that is no mean over cells, see `bootstrap_statistic`, and its resamples."""
        groups = np.asarray(groups)
        value, resampled = bootstrap_statistic(
            statistic, groups, n_resamples=self.n_resamples, rng=self._rng(metric.name)
        )
        self.add_value(metric, value, len(groups), reason, bounds(resampled))
        # Resamples of two models belong together only if the same cells were drawn from.
        cells = hashlib.blake2b("\x1f".join(groups.tolist()).encode(), digest_size=8).hexdigest()
        table = {"metric": metric.name, "cells": cells, "replicate": range(len(resampled))}
        self.replicates.append(pd.DataFrame(self._names() | table | {"value": resampled}))

    def add_value(
        self,
        metric: Metric,
        value: float,
        n: int,
        reason: str = "",
        interval: tuple[float, float] = (np.nan, np.nan),
    ) -> None:
        """Add one row; what it lacks, or leaves out, is also a warning in the log."""
        if reason:
            displayed = f"{value:g}" if np.isfinite(value) else "no value"
            logger.warning(
                "%s of %s (%s): %s; %s", metric.name, self.model, metric.variant, displayed, reason
            )
        names = (self.dataset, self.model, self.model_seed, metric.name, metric.variant, metric.unit)
        self.scores.append(Score(*names, metric.better, value, *interval, n, reason))

    def add_missing(self, metric: Metric, reason: str) -> None:
        """Add a row without value."""
        self.add_value(metric, np.nan, 0, reason)

    def add_items(
        self,
        metric: Metric,
        items: Sequence[str],
        values: Sequence[float],
        groups: Sequence[str] | None = None,
    ) -> None:
        """Add the values behind a row."""
        table = {
            "metric": metric.name,
            "variant": metric.variant,
            "item": list(items),
            "group": [""] * len(items) if groups is None else [str(group) for group in groups],
            "value": np.asarray(values, np.float64),
        }
        self.items.append(pd.DataFrame(self._names() | table))

    def item_table(self) -> pd.DataFrame:
        """Return all items: `ITEM_COLUMNS`."""
        return _concatenate(self.items, ITEM_COLUMNS, {"seed": np.int64, "value": np.float64})

    def replicate_table(self) -> pd.DataFrame:
        """Return all resamples: `REPLICATE_COLUMNS`; `cells` is a digest of the groups drawn from."""
        types = {"seed": np.int64, "replicate": np.int64, "value": np.float64}
        return _concatenate(self.replicates, REPLICATE_COLUMNS, types)

    def _names(self) -> dict[str, str | int]:
        return {"dataset": self.dataset, "model": self.model, "seed": self.model_seed}

    def _rng(self, metric: str) -> np.random.Generator:
        return seeds.generator(self.seed, self.dataset, "score", metric)


def _concatenate(parts: list[pd.DataFrame], columns: Sequence[str], types: dict[str, type]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    table = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))
    return table[list(columns)].astype({name: types.get(name, object) for name in columns})
