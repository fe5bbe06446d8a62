"""Null distributions of average precision: random ranks, and exchanged units."""

import numpy as np
import pandas as pd
from numpy.random import Generator

from morphobench.metrics import exchange
from morphobench.metrics.exchange import Design

# Numbers held at once while null values are drawn.
_BLOCK_ELEMENTS = 1 << 19
# A sequential test stops once so many null values reached the observed one: its p value is known by then.
_ENOUGH = 50
# Larger groups are tested on some of their cells: time grows with members times cells.
MAX_MEMBERS, MAX_CONTROLS = 200, 1000
_LAST = np.float32(3e38)


def rank_null(n_positives: int, n_negatives: int, n_draws: int, rng: Generator) -> np.ndarray:
    """Average precisions of random rankings, shape (n_draws,), ascending.

    How many negatives stand before each positive is a uniform multiset of n_positives numbers from 0 to
    n_negatives; Polya's urn draws one in n_positives steps, so no ranking is ever shuffled.
    """
    ranks = np.arange(1, n_positives + 1, dtype=np.float32)
    values = np.empty(n_draws)
    step = max(1, _BLOCK_ELEMENTS // n_positives)
    for first in range(0, n_draws, step):
        before = _multisets(n_positives, n_negatives, min(step, n_draws - first), rng)
        values[first : first + step] = (ranks / (before.astype(np.float32) + ranks)).mean(axis=1)
    values.sort()
    return values


def _multisets(size: int, largest: int, n: int, rng: Generator) -> np.ndarray:
    """Return n uniform multisets of numbers from 0 to `largest`, sorted, shape (n, size)."""
    # Half the memory is nearly half the time.
    kind = np.int16 if largest + size < 2**15 else np.int32
    drawn = np.empty((size, n), dtype=kind)
    flat = drawn.reshape(-1)
    for step in range(size):
        ball = rng.integers(0, largest + 1 + step, size=n, dtype=kind)
        again = np.flatnonzero(ball > largest)
        earlier = ball[again].astype(np.intp) - (largest + 1)
        ball[again] = flat.take(earlier * n + again)
        drawn[step] = ball
    sets = np.ascontiguousarray(drawn.T)
    sets.sort(axis=1)
    return sets


def tail_p(null: np.ndarray, observed: np.ndarray | float) -> np.ndarray:
    """P values (1 + null values of at least `observed`) / (1 + all); `null` ascends."""
    # Null values are of single precision.
    reached = len(null) - np.searchsorted(null, np.asarray(observed) - 1e-6)
    return (1 + reached) / (1 + len(null))


def exchange_p(
    profiles: np.ndarray,
    unit: np.ndarray,
    is_member: np.ndarray,
    plate: np.ndarray,
    place: np.ndarray,
    *,
    n_draws: int,
    rng: Generator,
) -> tuple[float, Design]:
    """P value of a group's mean average precision, by exchanging its units with those of the controls.

    Every exchange takes as many units of each plate as the group has there from those of group and controls,
    centres the features on the others, and ranks anew; features are scaled by the standard deviation of all
    these cells, which no exchange changes. So the dependence between the average precisions of a group, which
    share cells, units and the controls' mean, is in the null too. All exchanges where there are at most
    `n_draws`; else random ones until 50 null values were as large as the observed one. Beyond
    `MAX_MEMBERS` or `MAX_CONTROLS` cells fewer cells of each unit count, drawn at random.

    Parameters
    ----------
    profiles
        Features of the group and the controls, finite, shape (n, D).
    unit, is_member, plate, place
        Of each cell, shape (n,): what is exchanged as a whole, whether it is of the group, its plate, and
        what a cell and its positives must not share (-1 when not known: no positives).

    Returns
    -------
    p, design
        The p value, NaN for a `Design` with a reason, and when no cell has a positive.
    """
    kept = _subsample(unit, is_member, rng)
    design = exchange.design(unit[kept], is_member[kept], plate[kept])
    if design.reason:
        return np.nan, design
    features, place = np.asarray(profiles[kept], dtype=np.float64), place[kept]
    features = features - features.mean(axis=0)
    sd = features.std(axis=0)
    features = (features / np.where(sd > 1e-12 * max(sd.max(), 1e-300), sd, 1.0)).astype(np.float32)
    gram = features @ features.T
    total = gram.sum(axis=1)

    def value(inside: np.ndarray) -> float:
        return _centred_precision(gram, total, inside, place)

    values = (value(units[design.unit]) for units in exchange.exchanges(design, n_draws, rng))
    enough = None if design.is_exact(n_draws) else _ENOUGH
    return exchange.share_reached(values, value(design.inside), enough), design


def _subsample(unit: np.ndarray, is_member: np.ndarray, rng: Generator) -> np.ndarray:
    """Return which cells to keep: equally many of every unit at most, drawn at random; shape (n,), bool."""
    order = rng.permutation(len(unit))
    rank = np.empty(len(unit), dtype=int)
    rank[order] = pd.Series(unit[order]).groupby(unit[order]).cumcount()
    most = (MAX_MEMBERS, MAX_CONTROLS)
    cap = int(rank.max(initial=0)) + 1
    while cap > 1 and any(
        (rank[part] < cap).sum() > limit for part, limit in zip((is_member, ~is_member), most, strict=True)
    ):
        cap -= 1
    kept = rank < cap
    for part, limit in zip((is_member, ~is_member), most, strict=True):
        kept[order[(part & kept)[order]][limit:]] = False
    return kept


def _centred_precision(gram: np.ndarray, total: np.ndarray, inside: np.ndarray, place: np.ndarray) -> float:
    """Return the mean average precision of the cells `inside`, features centred on the cells outside."""
    rows = np.flatnonzero(inside)
    own = gram[rows]
    to_mean = (total - own.sum(axis=0)) / (len(place) - len(rows))
    offset = to_mean[~inside].mean()
    norm = np.sqrt(np.maximum(np.diagonal(gram) - 2 * to_mean + offset, 1e-12))
    # Of a cosine, the length of the query changes no rank.
    distance = -((own - to_mean[rows, None]) - to_mean + offset) / norm
    apart = (place[rows, None] != place) & (place[rows, None] >= 0) & (place >= 0)
    labelled = np.where(apart | ~inside, distance, _LAST).astype(np.float32)
    # Each value carries its label in its last bit through the sort.
    bits = labelled.view(np.int32)
    bits[...] = (bits & ~np.int32(1)) | (apart & inside)
    labelled.sort(axis=1)
    return _mean_average_precision((bits & 1).astype(np.float32))


def _mean_average_precision(positive: np.ndarray) -> float:
    """Return the mean average precision of rankings, 1 for a positive, else 0, shape (n, m).

    Rankings without a positive do not count; NaN without any other.
    """
    precision = np.cumsum(positive, axis=1) / np.arange(1, positive.shape[1] + 1, dtype=positive.dtype)
    n_positives = positive.sum(axis=1)
    scored = n_positives > 0
    if not scored.any():
        return np.nan
    return float(((precision * positive).sum(axis=1)[scored] / n_positives[scored]).mean())


def label_p(similarity: np.ndarray, unit: np.ndarray, *, n_draws: int, rng: Generator) -> tuple[float, float]:
    """Mean average precision of retrieving cells of the same unit among all, and its p value.

    By shuffling the units, sequential as in `exchange_p`. `similarity` has shape (n, n), `unit` (n,). Both
    are NaN when no unit has two cells.
    """
    _, which = np.unique(unit, return_inverse=True)
    away = -similarity.astype(np.float32)
    np.fill_diagonal(away, np.inf)
    order = np.argsort(away, axis=1, kind="stable")[:, :-1]

    def value(labels: np.ndarray) -> float:
        return _mean_average_precision((labels[order] == labels[:, None]).astype(float))

    observed, values = value(which), (value(rng.permutation(which)) for _ in range(n_draws))
    return observed, exchange.share_reached(values, observed, _ENOUGH)
