"""Differences between models on the same cells, with intervals and p values."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.random import Generator

from morphobench import seeds
from morphobench.metrics.covariance import blocks
from morphobench.metrics.exchange import LEVEL
from morphobench.metrics.fdr import benjamini_hochberg
from morphobench.score.exchanged import auroc_contributions
from morphobench.score.intervals import (
    TAIL,
    Range,
    bounds,
    clustered_mean,
    jackknife_interval,
    unit_sums,
)

COLUMNS = ("dataset", "metric", "unit", "better", "model_a", "model_b", "difference", "ci_low", "ci_high")
COLUMNS += ("n", "n_units", "p", "q", "smallest_p", "reason")
_EXACT_UNITS = 12
_UNLIMITED = Range()


class Paired(NamedTuple):
    """Difference of two means over the same n items of n_units units, 95 % interval and two-sided p value.

    `smallest_p` is the least that p can be where so many units, `n_differ`, differ. NaN without a common
    item; interval and p are NaN for fewer than two units, and p where even the smallest is above 0.05.
    """

    difference: float
    ci_low: float
    ci_high: float
    n: int
    n_units: int
    n_differ: int
    p: float
    smallest_p: float


def paired_differences(
    a: np.ndarray, b: np.ndarray, units: np.ndarray, *, n_permutations: int, rng: Generator
) -> list[Paired]:
    """Compare means of values of the same items, several pairs of models at once.

    `a` and `b` have shape (n, pairs); items that are not finite in either are left out of that pair. Cells of
    one unit, `units` of shape (n,), are not independent: their sums are compared, and their signs flip
    together. If the two models of a pair were alike, the difference of each unit would have either sign. Up
    to 12 units all signs are tried, beyond that `n_permutations` at random, with the observed one counted
    among them. Other signs that only tie with the observed ones count half: hits of few cells often tie. How
    many units differ does not depend on signs, so that leaving p out where too few do keeps its level.

    Source: Fisher's sign-flip test, see Nichols and Holmes 2002; exact given exchangeable units. Ties: mid-p
    of Lancaster 1961, which holds the level on average. Intervals: `mean_interval`.
    """
    apart = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    total, count = unit_sums(apart, np.asarray(units))
    mean, error, n_units = clustered_mean(total, count)
    n_differ = (np.abs(total) > 0).sum(axis=0)
    p, smallest = _sign_flips(total, n_units, n_differ, n_permutations, rng)
    n = count.sum(axis=0).astype(int)
    low, high = np.transpose(
        [bounds(*one, one[2], _UNLIMITED) for one in zip(mean, error, n_units, strict=True)]
    )
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        # Hits of two models that never differ may differ in another cell.
        alike = (mean == 0) & (error == 0)
        most = 1 - TAIL ** (1 / np.maximum(n_units, 1))
        low, high = np.where(alike, -most, low), np.where(alike, most, high)
    columns = (column.tolist() for column in (mean, low, high, n, n_units, n_differ, p, smallest))
    return [Paired(*row) for row in zip(*columns, strict=True)]


def _sign_flips(
    total: np.ndarray, n_units: np.ndarray, n_differ: np.ndarray, n_permutations: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of sign flips whose sum is farther from zero, ties half, and the least it can be."""
    observed = np.abs(total.sum(axis=0))
    # Sums of the same numbers in another order differ in their last digits.
    rounding = 1e-9 * np.abs(total).sum(axis=0)
    exact = len(total) <= _EXACT_UNITS
    beyond, n = np.zeros(len(observed)), 0
    for negative in _all_signs(len(total)) if exact else _random_signs(len(total), n_permutations, rng):
        farther = np.abs((1.0 - 2.0 * negative) @ total) - observed
        beyond += (farther > rounding).sum(axis=0) + (np.abs(farther) <= rounding).sum(axis=0) / 2
        n += len(negative)
    # The observed signs and their opposite are always among all of them, and count wholly, so that p is exact
    # where nothing ties. Units without a value take either sign.
    p = (beyond + 2.0 ** (len(total) - n_units)) / n if exact else (1 + beyond) / (1 + n)
    p = np.where(observed <= rounding, 1.0, p)
    # Signs of units that do not differ tie.
    smallest = np.clip(2.0**-n_differ + 2.0**-n_units, 0.0 if exact else 1 / (1 + n), 1.0)
    return np.where((n_units > 1) & (smallest <= LEVEL), p, np.nan), smallest


def _all_signs(n: int) -> Iterator[np.ndarray]:
    yield (np.arange(2**n)[:, None] >> np.arange(n)) & 1


def _random_signs(n: int, n_permutations: int, rng: Generator) -> Iterator[np.ndarray]:
    for part in blocks(n_permutations, n):
        yield rng.integers(0, 2, size=(part.stop - part.start, n))


def difference_table(
    scores: pd.DataFrame,
    items: pd.DataFrame,
    replicates: pd.DataFrame,
    outputs: pd.DataFrame,
    *,
    models: Sequence[str],
    seed: int,
    n_permutations: int,
) -> pd.DataFrame:
    """Compare every two models, in the order of `models`, by every corrected metric that rests on cells.

    Means over cells are compared by their `items`. Of other statistics, `replicates` give the interval
    (scores without blocks of units) and `outputs` the p value: what both models say about a cell is exchanged
    within units, and how far the statistic moves is a sum over units. Outputs are values whose mean is the
    score (label ""), or the ranks behind an area under the ROC curve, by label.

    Values of several trainings of a model are averaged. Costs, floors, and what has one value per model, are
    not compared. Columns `COLUMNS`: difference is a - b; q is p corrected for all pairs of models of the
    metric (Benjamini and Hochberg).
    """
    corrected = scores[scores["variant"] == "corrected"]
    cells = items[(items["variant"] == "corrected") & (items["group"] != "")]
    by_metric, resampled, exchanged = (
        dict(list(table.groupby("metric", sort=False))) for table in (cells, replicates, outputs)
    )
    rows = []
    for metric, part in corrected.groupby("metric", sort=False):
        pairs = list(combinations([name for name in models if name in set(part["model"])], 2))
        if not pairs:
            continue
        first = part.iloc[0]
        rng = seeds.generator(seed, first["dataset"], "score", f"differences {metric}")
        draws = {"n_permutations": n_permutations, "rng": rng}
        if metric in by_metric:
            compared = _by_items(by_metric[metric], pairs, **draws)
        elif metric in resampled:
            compared = _by_replicates(part, resampled[metric], exchanged[metric], pairs, **draws)
        else:
            continue
        unit = next((unit for unit in part["unit"] if unit), "")
        common = {"dataset": first["dataset"], "metric": metric, "better": first["better"], "unit": unit}
        named = [common | {"model_a": a, "model_b": b} for a, b in pairs]
        table = pd.DataFrame([names | row for names, row in zip(named, compared, strict=True)])
        rows += table.assign(q=benjamini_hochberg(table["p"].to_numpy(np.float64))).to_dict("records")
    numbers = ("difference", "ci_low", "ci_high", "p", "q", "smallest_p")
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys(numbers, float) | {"n": np.int64, "n_units": np.int64})


def _by_items(
    items: pd.DataFrame, pairs: Sequence[tuple[str, str]], **draws: Any
) -> list[Mapping[str, object]]:
    values = items.pivot_table(index="item", columns="model", values="value", aggfunc="mean", sort=True)
    units = items.drop_duplicates("item").set_index("item")["group"].reindex(values.index)
    a, b = (values.reindex(columns=[pair[side] for pair in pairs]).to_numpy(np.float64) for side in (0, 1))
    return [_explained(one) for one in paired_differences(a, b, units.to_numpy(), **draws)]


def _explained(one: Paired) -> dict[str, object]:
    """Return a comparison with the reason for which it has no p value."""
    if np.isfinite(one.p):
        reason = ""
    elif not one.n:
        reason = "no common value"
    else:
        differ = f"{one.n_differ} of {one.n_units} independent units differ"
        reason = f"{differ}: the smallest possible p is {one.smallest_p:.2g}"
    row = one._asdict() | {"reason": reason}
    return {name: row[name] for name in row if name in COLUMNS}


def _by_replicates(
    scores: pd.DataFrame,
    replicates: pd.DataFrame,
    outputs: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    **draws: Any,
) -> list[Mapping[str, object]]:
    rows = _replicate_rows(scores, replicates, pairs)
    compared = [place for place, row in enumerate(rows) if not row["reason"]]
    if compared:
        tested = _exchanged(outputs, [pairs[place] for place in compared], **draws)
        for place, one in zip(compared, tested, strict=True):
            rows[place] |= {name: one[name] for name in ("p", "smallest_p", "reason")}
    return rows


def _replicate_rows(
    scores: pd.DataFrame, replicates: pd.DataFrame, pairs: Sequence[tuple[str, str]]
) -> list[dict[str, object]]:
    """Return difference and interval of each pair, and the reason why it has none."""
    values = scores.groupby("model")["value"].mean()
    n, n_units = (scores.groupby("model")[name].first() for name in ("n", "n_units"))
    without = replicates.pivot_table(
        index="replicate", columns="model", values="value", aggfunc="mean", dropna=False
    )
    cells = replicates.groupby("model")["cells"].agg(lambda part: "/".join(sorted(set(part))))
    rows = []
    for a, b in pairs:
        row: dict[str, object] = dict.fromkeys(("ci_low", "ci_high", "p", "smallest_p"), np.nan)
        row |= {"difference": float(values[a] - values[b]), "n": int(n[a]), "n_units": int(n_units[a])}
        reason = ""
        if not np.isfinite(row["difference"]):
            reason = "no common value"
        elif a not in cells or b not in cells:
            reason = "no interval of both"
        elif cells[a] != cells[b]:
            reason = "scored on different cells"
        else:
            apart = (without[a] - without[b]).to_numpy()
            interval = jackknife_interval(row["difference"], apart, row["n_units"], _UNLIMITED)
            row |= {"ci_low": interval[0], "ci_high": interval[1]}
        rows.append(row | {"reason": reason})
    return rows


def _exchanged(
    outputs: pd.DataFrame, pairs: Sequence[tuple[str, str]], **draws: Any
) -> list[Mapping[str, object]]:
    """Test the differences of models' statistics by exchanging the outputs of each pair within units."""
    if (outputs["label"] == "").all():
        return _by_items(outputs, pairs, **draws)
    moved, units = auroc_contributions(outputs, pairs)
    return [_explained(one) for one in paired_differences(moved, np.zeros_like(moved), units, **draws)]
