"""Differences between models on the same cells, with intervals and p values."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.random import Generator

from morphobench import seeds
from morphobench.metrics.covariance import blocks
from morphobench.metrics.fdr import benjamini_hochberg
from morphobench.score.summary import bounds, resample_counts

COLUMNS = ("dataset", "metric", "unit", "better", "model_a", "model_b", "difference", "ci_low", "ci_high")
COLUMNS += ("n", "p", "q", "test", "reason")
_EXACT_GROUPS = 12


class Paired(NamedTuple):
    """Difference of two means over the same n items, its 95 % interval and two-sided p value.

    NaN without a common item; interval and p are NaN for fewer than two groups.
    """

    difference: float
    ci_low: float
    ci_high: float
    p: float
    n: int


def paired_differences(
    a: np.ndarray, b: np.ndarray, groups: np.ndarray, *, n_resamples: int, n_permutations: int, rng: Generator
) -> list[Paired]:
    """Compare means of values of the same items, several pairs of models at once.

    `a` and `b` have shape (n, pairs); items that are not finite in either are left out of that pair. Cells of
    one group, `groups` of shape (n,), are not independent: they are resampled together, and their signs flip
    together. If the two models of a pair were alike, the difference of each group would have either sign. Up
    to 12 groups all signs are tried, beyond that `n_permutations` at random, with the observed one counted
    among them.

    Source: Fisher's sign-flip test, see Nichols and Holmes 2002; exact given exchangeable groups.
    """
    apart = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    known = np.isfinite(apart)
    names, which = np.unique(np.asarray(groups), return_inverse=True)
    total, count = np.zeros((2, len(names), apart.shape[1]))
    np.add.at(total, which, np.where(known, apart, 0.0))
    np.add.at(count, which, known)
    n, filled = count.sum(axis=0), (count > 0).sum(axis=0)
    mean = np.divide(total.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0)
    resampled = _resampled_means(total, count, n_resamples, rng)
    p = _sign_flips(total, n_permutations, rng)
    resampled[:, filled < 2], p[filled < 2] = np.nan, np.nan
    columns = zip(mean.tolist(), map(bounds, resampled.T), p.tolist(), n.astype(int).tolist(), strict=True)
    return [Paired(difference, *interval, p, n) for difference, interval, p, n in columns]


def _resampled_means(total: np.ndarray, count: np.ndarray, n_resamples: int, rng: Generator) -> np.ndarray:
    """Return the mean of every resample of groups, shape (n_resamples, pairs)."""
    if not len(total):
        return np.full((n_resamples, total.shape[1]), np.nan)
    parts = []
    for counts in resample_counts(len(total), n_resamples, rng):
        below = counts @ count
        parts.append(np.divide(counts @ total, below, out=np.full(below.shape, np.nan), where=below > 0))
    return np.concatenate(parts)


def _sign_flips(total: np.ndarray, n_permutations: int, rng: Generator) -> np.ndarray:
    """Return the share of sign flips whose sum is at least as far from zero, shape (pairs,)."""
    observed = np.abs(total.sum(axis=0))
    # Sums of the same numbers in another order differ in their last digits.
    limit = observed - 1e-9 * np.abs(total).sum(axis=0)
    exact = len(total) <= _EXACT_GROUPS
    beyond, n = np.zeros(len(observed)), 0
    for negative in _all_signs(len(total)) if exact else _random_signs(len(total), n_permutations, rng):
        beyond += (np.abs((1.0 - 2.0 * negative) @ total) >= limit).sum(axis=0)
        n += len(negative)
    return beyond / n if exact else (1 + beyond) / (1 + n)


def _all_signs(n: int) -> Iterator[np.ndarray]:
    yield (np.arange(2**n)[:, None] >> np.arange(n)) & 1


def _random_signs(n: int, n_permutations: int, rng: Generator) -> Iterator[np.ndarray]:
    for part in blocks(n_permutations, n):
        yield rng.integers(0, 2, size=(part.stop - part.start, n))


def replicate_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Compare two statistics by resamples of the same cells: 95 % interval of a - b, and two-sided p.

    p is twice the smaller share of resamples, shape (n_resamples,) each, on one side of zero, with one added
    to both counts. NaN unless most resamples are defined in both.
    """
    apart = a - b
    apart, low_high = apart[np.isfinite(apart)], bounds(apart)
    if not np.isfinite(low_high[0]):
        return np.nan, np.nan, np.nan
    tail = min((apart <= 0).sum(), (apart >= 0).sum())
    return *low_high, float(min(1.0, 2 * (1 + tail) / (1 + len(apart))))


def difference_table(
    scores: pd.DataFrame,
    items: pd.DataFrame,
    replicates: pd.DataFrame,
    *,
    models: Sequence[str],
    seed: int,
    **draws: int,
) -> pd.DataFrame:
    """Compare every two models, in the order of `models`, by every corrected metric that rests on cells.

    Values of several trainings of a model are averaged first. Costs, and what has one value per model, are
    not compared. Columns dataset, metric, unit, better, model_a, model_b, difference (a - b), ci_low,
    ci_high, n (common items, or resamples), p, q (p corrected for all rows, Benjamini and Hochberg), test
    ("sign flip" or "bootstrap") and reason. `draws` holds n_resamples and n_permutations.
    """
    corrected = scores[scores["variant"] == "corrected"]
    cells = items[(items["variant"] == "corrected") & (items["group"] != "")]
    by_metric = dict(list(cells.groupby("metric", sort=False)))
    resampled = dict(list(replicates.groupby("metric", sort=False)))
    rows = []
    for metric, part in corrected.groupby("metric", sort=False):
        pairs = list(combinations([name for name in models if name in set(part["model"])], 2))
        first = part.iloc[0]
        rng = seeds.generator(seed, first["dataset"], "score", f"differences {metric}")
        if metric in by_metric:
            compared = _by_items(by_metric[metric], pairs, rng=rng, **draws)
        elif metric in resampled:
            compared = _by_replicates(part, resampled[metric], pairs)
        else:
            continue
        unit = next((unit for unit in part["unit"] if unit), "")
        common = {"dataset": first["dataset"], "metric": metric, "better": first["better"], "unit": unit}
        named = [common | {"model_a": a, "model_b": b} for a, b in pairs]
        rows += [names | row for names, row in zip(named, compared, strict=True)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["q"] = benjamini_hochberg(table["p"].to_numpy(np.float64))
    return table.astype(dict.fromkeys(("difference", "ci_low", "ci_high", "p"), float) | {"n": np.int64})


def _by_items(
    items: pd.DataFrame, pairs: Sequence[tuple[str, str]], **draws: Any
) -> list[Mapping[str, object]]:
    values = items.pivot_table(index="item", columns="model", values="value", aggfunc="mean", sort=True)
    groups = items.drop_duplicates("item").set_index("item")["group"].reindex(values.index)
    a, b = (values.reindex(columns=[pair[side] for pair in pairs]).to_numpy(np.float64) for side in (0, 1))
    rows = [one._asdict() for one in paired_differences(a, b, groups.to_numpy(), **draws)]
    for row in rows:
        missing = "one group of cells" if row["n"] else "no common value"
        row |= {"test": "sign flip", "reason": "" if np.isfinite(row["p"]) else missing}
    return rows


def _by_replicates(
    scores: pd.DataFrame, replicates: pd.DataFrame, pairs: Sequence[tuple[str, str]]
) -> list[Mapping[str, object]]:
    values = scores.groupby("model")["value"].mean()
    resampled = replicates.pivot_table(
        index="replicate", columns="model", values="value", aggfunc="mean", dropna=False
    )
    cells = replicates.groupby("model")["cells"].agg(lambda part: "/".join(sorted(set(part))))
    rows = []
    for a, b in pairs:
        difference, interval, n = float(values[a] - values[b]), (np.nan,) * 3, 0
        if not np.isfinite(difference):
            reason = "no common value"
        elif cells.get(a) != cells.get(b):
            reason = "scored on different cells"
        else:
            interval, n = replicate_difference(*resampled[[a, b]].to_numpy().T), len(resampled)
            reason = "" if np.isfinite(interval[2]) else "too few groups of cells to resample"
        row = dict(zip(("ci_low", "ci_high", "p"), interval, strict=True))
        rows.append(row | {"difference": difference, "n": n, "test": "bootstrap", "reason": reason})
    return rows
