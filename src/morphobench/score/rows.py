"""Rows of the score table of one trained model, and what models are compared by."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.files import FilePath
from morphobench.log import logger
from morphobench.metrics.reasons import join
from morphobench.score.intervals import Range, jackknife, jackknife_interval, mean_interval
from morphobench.score.summary import Better, Score, Variant

Names = Sequence[str]
Values = Sequence[float]
ITEM_COLUMNS = ("dataset", "model", "seed", "metric", "variant", "item", "group", "value")
REPLICATE_COLUMNS = ("dataset", "model", "seed", "metric", "cells", "replicate", "value")
OUTPUT_COLUMNS = ("dataset", "model", "seed", "metric", "item", "group", "label", "positive", "value")
_TYPES = {"seed": np.int64, "replicate": np.int64, "value": np.float64, "positive": bool}
ERROR, SHARE = Range(0.0), Range(0.0, 1.0, "logit")
_ONE_UNIT = "one independent unit: no interval"
# Metrics that a message names.
_N_NAMED = 4


class Metric(NamedTuple):
    """A metric in its corrected or published (legacy) definition, which direction is good, and its range.

    Models are not compared by one that is not `compared`, such as a floor or a baseline that all share.
    """

    name: str
    better: Better = "low"
    unit: str = ""
    variant: Variant = "corrected"
    within: Range = ERROR
    compared: bool = True

    @property
    def legacy(self) -> Self:
        """The published definition, in the same unit."""
        return self._replace(variant="legacy")


class EmbeddedCells(NamedTuple):
    """Cells with their embeddings in the observed frame, sorted by CellId.

    `z` has shape (n, D), float64; `manifest` holds the cells' rows of the manifest, indexed by CellId; `ids`,
    `groups` (cells of one are not independent) and `split` are of every row, shape (n,); `test` are the rows
    of the test cells, shape (n_test,).
    """

    z: np.ndarray
    manifest: pd.DataFrame
    ids: np.ndarray
    groups: np.ndarray
    split: np.ndarray
    test: np.ndarray


class Fold(NamedTuple):
    """Cells with the embeddings of one training, and the tables made with it, by name.

    A data set without folds has one. The rows of its cells are alike in all folds, each a test cell of one.
    """

    cells: EmbeddedCells
    tables: Mapping[str, FilePath]


def tested(folds: Sequence[Fold]) -> tuple[np.ndarray, np.ndarray]:
    """Return CellId and group of the test cells of all folds, fold by fold."""
    test = np.concatenate([fold.cells.test for fold in folds])
    return folds[0].cells.ids[test], folds[0].cells.groups[test]


@dataclass
class ScoreRows:
    """Collects `scores`, `items`, `replicates` and `outputs` of one trained model.

    Every row gets `dataset`, `model` and the training's seed, `model_seed`. Units are left out in up to
    `n_blocks` blocks, which depend on `seed`, dataset and metric alone, so that models meet the same ones.
    `lacking` is what every row without a value lacks, such as test cells; `expected` are reasons that are
    no fault.
    """

    dataset: str
    model: str
    model_seed: int
    n_blocks: int
    seed: int
    lacking: str = ""
    expected: set[str] = field(default_factory=set)
    scores: list[Score] = field(default_factory=list)
    items: list[pd.DataFrame] = field(default_factory=list)
    replicates: list[pd.DataFrame] = field(default_factory=list)
    outputs: list[pd.DataFrame] = field(default_factory=list)

    def add_mean(
        self, metric: Metric, values: Values, items: Names, groups: Names | None = None, reason: str = ""
    ) -> None:
        """Add the mean of values that belong to items, shape (n,) each, with its interval.

        `groups`, shape (n,), are independent units; none where items are not cells (folds, repeats), which
        are units by themselves and of which models are not compared in pairs.
        """
        found = mean_interval(
            np.asarray(values), np.asarray(items if groups is None else groups), metric.within
        )
        if found.n < len(values):
            reason = join(
                f"{len(values) - found.n} of {len(values)} values are missing or not finite", reason
            )
        elif not found.n:
            reason = join("no value", reason)
        self.add_value(metric, found.value, found.n, reason, (found.low, found.high), found.n_units)
        self.add_items(metric, items, values, groups if metric.compared else None)

    def add_folds(self, metric: Metric, values: Values, reason: str, items: Names | None = None) -> None:
        """Add the mean of one value per fold of a cross-validation; folds share cells: no interval."""
        values = np.asarray(values, np.float64)
        known = values[np.isfinite(values)]
        mean = float(known.mean()) if len(known) else np.nan
        self.add_value(metric, mean, len(known), reason or ("" if len(known) else "no value"))
        folds = [f"fold {fold}" for fold in range(len(values))]
        self.add_items(metric, folds if items is None else items, values)

    def add_statistic(
        self,
        metric: Metric,
        statistic: Callable[[np.ndarray], np.ndarray],
        groups: Names,
        reason: str = "",
        *,
        outputs: pd.DataFrame | None = None,
        unbounded: str = "",
    ) -> None:
        """Add a score that is no mean over cells, see `jackknife`, and its values without each block.

        `outputs` (item, label, positive, value, see `differences`) compare models; `unbounded` is a reason
        for which there is neither interval nor comparison.
        """
        groups = np.asarray(groups)
        n_units = len(np.unique(groups))
        value, without = jackknife(statistic, groups, self.n_blocks, self._rng(metric.name))
        interval = jackknife_interval(value, without, n_units, metric.within)
        interval = (np.nan, np.nan) if unbounded else interval
        self.expected.add(unbounded)
        self.add_value(metric, value, len(groups), join(reason, unbounded), interval, n_units)
        if unbounded or outputs is None:
            return
        named = outputs if "group" in outputs else outputs.assign(group=groups)
        self.outputs.append(named.assign(metric=metric.name, **self._names()))
        # Values of two models belong together only if the same cells were left out.
        cells = hashlib.blake2b("\x1f".join(groups.tolist()).encode(), digest_size=8).hexdigest()
        table = {"metric": metric.name, "cells": cells, "replicate": range(len(without))}
        self.replicates.append(pd.DataFrame(self._names() | table | {"value": without}))

    def add_value(
        self,
        metric: Metric,
        value: float,
        n: int,
        reason: str = "",
        interval: Values = (np.nan, np.nan),
        n_units: int = 0,
    ) -> None:
        """Add one row; `log_gaps` tells what it lacks or leaves out."""
        if not np.isfinite(value):
            reason = join(self.lacking, reason)
        elif n_units == 1:
            self.expected.add(_ONE_UNIT)
            reason = join(reason, _ONE_UNIT)
        names = (self.dataset, self.model, self.model_seed, metric.name, metric.variant, metric.unit)
        self.scores.append(Score(*names, metric.better, value, *interval, n, n_units, reason))

    def add_missing(self, reason: str, *metrics: Metric) -> None:
        """Add a row without value for each metric."""
        for metric in metrics:
            self.add_value(metric, np.nan, 0, reason)

    def add_absent(self, reason: str, *metrics: Metric) -> None:
        """Add a row without value for each metric that cannot be here, as without a decoder."""
        self.expected.add(reason)
        self.add_missing(reason, *metrics)

    def log_gaps(self) -> None:
        """Log each reason once, with its metrics; a warning if it is a fault of a corrected score."""
        metrics: dict[str, list[Score]] = {}
        for score in self.scores:
            if score.reason:
                known = self.lacking and score.reason.startswith(self.lacking)
                for reason in [self.lacking] if known else score.reason.split("; "):
                    metrics.setdefault(reason, []).append(score)
        for reason, scores in metrics.items():
            corrected = any(score.variant == "corrected" for score in scores)
            level = logging.WARNING if corrected and reason not in self.expected else logging.INFO
            names = list(dict.fromkeys(score.metric for score in scores))
            named = ", ".join(names[:_N_NAMED]) + (
                f" and {len(names) - _N_NAMED} more" * (len(names) > _N_NAMED)
            )
            logger.log(level, "scores of %s on %s: %s (%s)", self.model, self.dataset, reason, named)

    def add_items(self, metric: Metric, items: Names, values: Values, groups: Names | None = None) -> None:
        """Add the values behind a row."""
        table = {"metric": metric.name, "variant": metric.variant, "item": list(items)}
        table["group"] = [""] * len(items) if groups is None else [str(group) for group in groups]
        table["value"] = np.asarray(values, np.float64)
        self.items.append(pd.DataFrame(self._names() | table))

    def item_table(self) -> pd.DataFrame:
        """Return all items: `ITEM_COLUMNS`."""
        return _concatenate(self.items, ITEM_COLUMNS)

    def replicate_table(self) -> pd.DataFrame:
        """Return scores without blocks of units: `REPLICATE_COLUMNS`; `cells` is a digest of the units."""
        return _concatenate(self.replicates, REPLICATE_COLUMNS)

    def output_table(self) -> pd.DataFrame:
        """Return what two models exchange in a test: `OUTPUT_COLUMNS`."""
        return _concatenate(self.outputs, OUTPUT_COLUMNS)

    def _names(self) -> dict[str, str | int]:
        return {"dataset": self.dataset, "model": self.model, "seed": self.model_seed}

    def _rng(self, metric: str) -> np.random.Generator:
        return seeds.generator(self.seed, self.dataset, "score", metric)


def _concatenate(parts: list[pd.DataFrame], columns: Names) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    table = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(columns))
    return table[list(columns)].astype({name: _TYPES.get(name, object) for name in columns})
