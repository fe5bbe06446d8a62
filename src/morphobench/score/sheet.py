"""What a scoring collects: rows of the score table and the values behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.score.summary import Interval, Score, bootstrap_mean

Variant = Literal["corrected", "legacy"]
Better = Literal["high", "low"]


@dataclass
class Sheet:
    """Collects `scores` and `items` of one trained model.

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

    def interval(self, metric: str, values: np.ndarray, clusters: Sequence[str]) -> Interval:
        """Return mean and bootstrap interval of values of shape (n,) in clusters of shape (n,)."""
        rng = seeds.generator(self.seed, self.dataset, "score", metric)
        return bootstrap_mean(
            np.asarray(values), n_resamples=self.n_resamples, rng=rng, clusters=np.asarray(clusters)
        )

    def add_mean(
        self,
        metric: str,
        variant: Variant,
        unit: str,
        better: Better,
        values: Sequence[float],
        items: Sequence[str],
        clusters: Sequence[str],
        reason: str = "",
    ) -> None:
        """Add the mean of values that belong to items, shape (n,) each, with its interval."""
        found = self.interval(metric, values, clusters)
        dropped = len(values) - found.n
        if dropped or not len(values):
            missing = (
                f"{dropped} of {len(values)} values are missing or not finite" if dropped else "no value"
            )
            reason = "; ".join(part for part in (missing, reason) if part)
        self.add_value(metric, variant, unit, better, found.value, found.n, reason, (found.low, found.high))
        self.add_items(metric, variant, items, values)

    def add_value(
        self,
        metric: str,
        variant: Variant,
        unit: str,
        better: Better,
        value: float,
        n: int,
        reason: str = "",
        bounds: tuple[float, float] = (np.nan, np.nan),
    ) -> None:
        """Add one row."""
        names = (self.dataset, self.model, self.model_seed, metric, variant, unit, better)
        self.scores.append(Score(*names, value, *bounds, n, reason))

    def add_items(self, metric: str, variant: Variant, items: Sequence[str], values: Sequence[float]) -> None:
        """Add the values behind a row."""
        rows = {
            "metric": metric,
            "variant": variant,
            "item": list(items),
            "value": np.asarray(values, np.float64),
        }
        names = {"dataset": self.dataset, "model": self.model, "seed": self.model_seed}
        self.items.append(pd.DataFrame(names | rows))
