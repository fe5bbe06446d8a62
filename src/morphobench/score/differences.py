"""Whether two models differ by more than the choice of cells explains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.score.summary import bounds, draws

COLUMNS = ("dataset", "metric", "unit", "better", "model_a", "model_b", "difference", "ci_low", "ci_high")
COLUMNS += ("n", "p", "q", "test", "reason")
_BLOCK_ELEMENTS = 1 << 22
_EXACT_GROUPS = 12


class Paired(NamedTuple):
    """A difference of two means over the same items.

    Attributes
    ----------
    difference
        Mean of a less mean of b; NaN without a common item.
    low, high
        Its 95 % interval by a bootstrap over groups; NaN for fewer than two groups.
    p
        Two-sided, by flipping the signs of the groups' differences; NaN for fewer than two groups.
    n
        Common items.
    """

    difference: float
    low: float
    high: float
    p: float
    n: int


def paired_differences(
    a: np.ndarray,
    b: np.ndarray,
    groups: np.ndarray,
    *,
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> list[Paired]:
    """Compare means of values of the same items, several pairs of models at once.

    If the two models of a pair were alike, which of them got which value would be chance, group by group: the
    difference of each group would have either sign. Up to 12 groups all signs are tried, beyond that
    `n_permutations` at random, with the observed one counted among them.

    Parameters
    ----------
    a, b
        Shape (n, pairs), any unit; items that are not finite in either are left out of that pair.
    groups
        Group of each item, shape (n,): cells of one group are not independent, their signs flip together.
    n_resamples
        Bootstrap resamples behind the interval.
    n_permutations
        Random sign flips.
    rng
        Source of chance.

    Returns
    -------
    list
        One `Paired` for each pair.

    Notes
    -----
    Source: Fisher's sign-flip test, see Nichols and Holmes 2002; exact given exchangeable groups.
    """
    apart = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    known = np.isfinite(apart)
    _, which = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(which.max()) + 1 if len(which) else 0
    total, count = np.zeros((2, n_groups, apart.shape[1]))
    np.add.at(total, which, np.where(known, apart, 0.0))
    np.add.at(count, which, known)
    n, filled = count.sum(axis=0), (count > 0).sum(axis=0)
    mean = np.divide(total.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0)
    resampled = _resampled_means(total, count, n_resamples, rng)
    p = _sign_flips(total, n_permutations, rng)
    return [
        Paired(
            float(mean[pair]),
            *(bounds(resampled[:, pair]) if filled[pair] > 1 else (np.nan, np.nan)),
            float(p[pair]) if filled[pair] > 1 else np.nan,
            int(n[pair]),
        )
        for pair in range(apart.shape[1])
    ]


def _resampled_means(
    total: np.ndarray, count: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the mean of every resample of groups, shape (n_resamples, pairs)."""
    parts = []
    for drawn in draws(max(len(total), 1), n_resamples, rng) if len(total) else ():
        flat = drawn + len(total) * np.arange(len(drawn))[:, None]
        times = np.bincount(flat.ravel(), minlength=len(total) * len(drawn)).reshape(len(drawn), -1)
        below = times @ count
        parts.append(np.divide(times @ total, below, out=np.full(below.shape, np.nan), where=below > 0))
    return np.concatenate(parts) if parts else np.full((n_resamples, total.shape[1]), np.nan)


def _sign_flips(total: np.ndarray, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Return the share of sign flips whose sum is at least as far from zero, shape (pairs,)."""
    observed = np.abs(total.sum(axis=0))
    # Sums of the same numbers in another order differ in their last digits.
    limit = observed - 1e-9 * np.abs(total).sum(axis=0)
    exact = len(total) <= _EXACT_GROUPS
    beyond, n = np.zeros(len(observed)), 0
    for signs in _all_signs(len(total)) if exact else _random_signs(len(total), n_permutations, rng):
        beyond += (np.abs(signs @ total) >= limit).sum(axis=0)
        n += len(signs)
    return beyond / n if exact else (1 + beyond) / (1 + n)


def _all_signs(n: int) -> Iterator[np.ndarray]:
    yield 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)


def _random_signs(n: int, n_permutations: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    step = max(1, _BLOCK_ELEMENTS // n)
    for first in range(0, n_permutations, step):
        yield 1.0 - 2.0 * rng.integers(0, 2, size=(min(step, n_permutations - first), n))


def replicate_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Compare two statistics by resamples of the same cells, shape (n_resamples,) each.

    Returns
    -------
    tuple
        The 95 % interval of a - b and p, two-sided: twice the smaller share of resamples on one side of zero,
        with one added to both counts. NaN unless most resamples are defined in both.
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
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare every two models by every corrected metric that rests on cells.

    Values of several trainings of a model are averaged first. Costs, and what has one value per model, are
    not compared. `q` is `p` corrected for all comparisons of the table (Benjamini and Hochberg).

    Parameters
    ----------
    scores, items, replicates
        Of one dataset, see `stage.run`.
    models
        Models in the order of comparison.
    n_resamples, n_permutations
        See `paired_differences`.
    seed
        Seed of the run.

    Returns
    -------
    pd.DataFrame
        Columns dataset, metric, unit, better, model_a, model_b, difference (a - b), ci_low, ci_high, n
        (common items, or resamples), p, q, test ("sign flip" or "bootstrap") and reason.
    """
    from scipy.stats import false_discovery_control

    chosen = scores[scores["variant"] == "corrected"]
    cells = items[(items["variant"] == "corrected") & (items["group"] != "")]
    by_metric = dict(list(cells.groupby("metric", sort=False)))
    resampled = dict(list(replicates.groupby("metric", sort=False)))
    rows = []
    for metric, part in chosen.groupby("metric", sort=False):
        names = [name for name in models if name in set(part["model"])]
        pairs = list(combinations(names, 2))
        first = part.iloc[0]
        rng = seeds.generator(seed, first["dataset"], "score", f"differences {metric}")
        if metric in by_metric:
            found = _by_items(by_metric[metric], pairs, n_resamples, n_permutations, rng)
        elif metric in resampled:
            found = _by_replicates(part, resampled[metric], pairs)
        else:
            continue
        named = {"dataset": first["dataset"], "metric": metric, "better": first["better"]}
        units = part.loc[part["unit"] != "", "unit"]
        named["unit"] = units.iloc[0] if len(units) else ""
        rows += [named | {"model_a": a, "model_b": b} | row for (a, b), row in zip(pairs, found, strict=True)]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "q"])
    p = table["p"].to_numpy(np.float64)
    q, known = np.full(len(p), np.nan), np.isfinite(p)
    if known.any():
        q[known] = false_discovery_control(p[known])
    numbers = dict.fromkeys(("difference", "ci_low", "ci_high", "p", "q"), np.float64)
    return table.assign(q=q)[list(COLUMNS)].astype({**numbers, "n": np.int64})


def _by_items(
    items: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> list[Mapping[str, object]]:
    values = items.pivot_table(index="item", columns="model", values="value", aggfunc="mean", sort=True)
    groups = items.drop_duplicates("item").set_index("item")["group"].reindex(values.index)
    a, b = (values.reindex(columns=[pair[side] for pair in pairs]).to_numpy(np.float64) for side in (0, 1))
    found = paired_differences(
        a, b, groups.to_numpy(), n_resamples=n_resamples, n_permutations=n_permutations, rng=rng
    )
    return [
        {
            "difference": one.difference,
            "ci_low": one.low,
            "ci_high": one.high,
            "n": one.n,
            "p": one.p,
            "test": "sign flip",
            "reason": "" if np.isfinite(one.p) else ("one group of cells" if one.n else "no common value"),
        }
        for one in found
    ]


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
        apart, interval, n = float(values[a] - values[b]), (np.nan,) * 3, 0
        reason = "" if np.isfinite(apart) else "no common value"
        if not reason and cells.get(a) != cells.get(b):
            reason = "scored on different cells"
        if not reason:
            interval, n = (
                replicate_difference(resampled[a].to_numpy(), resampled[b].to_numpy()),
                len(resampled),
            )
            reason = "" if np.isfinite(interval[2]) else "too few groups of cells to resample"
        low, high, p = interval
        rows.append(
            {"difference": apart, "ci_low": low, "ci_high": high, "n": n, "p": p, "test": "bootstrap"}
            | {"reason": reason}
        )
    return rows
