"""Null distributions of average precision: random ranks, and exchanged cells or wells."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

# Numbers held at once while null values are drawn.
_BLOCK_ELEMENTS = 1 << 19
# A sequential test stops once so many null values reached the observed one: its p value is known by then.
_ENOUGH = 50
# Larger groups are tested on a subsample: time grows with members times cells.
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
    member: np.ndarray,
    control: np.ndarray,
    member_unit: np.ndarray,
    control_unit: np.ndarray,
    *,
    n_draws: int,
    rng: Generator,
) -> float:
    """P value of a group's mean average precision, by exchanging its units with those of the controls.

    Every draw takes as many units (cells; wells, where positives must come from other wells) as the group
    has from those of group and controls, centres on the others, as the features were on the controls, and
    ranks anew. So the dependence between the average precisions of a group, which share cells and the
    controls' mean, is in the null too. The test is sequential: it ends after 50 null values as large as the
    observed one, at `n_draws` at the latest. Above `MAX_MEMBERS` cells or `MAX_CONTROLS` controls whole units
    are drawn up to that size.

    `member` and `control` hold standardised features, shapes (n, D) and (Q, D); the units, shapes (n,) and
    (Q,), hold members only, or controls only. NaN when no cell has a positive.

    Source: Besag and Clifford 1991 for the sequential p value.
    """
    kept = _subsample_units(member_unit, MAX_MEMBERS, rng)
    kept_control = _subsample_units(control_unit, MAX_CONTROLS, rng)
    features = np.concatenate([member[kept], control[kept_control]]).astype(np.float32)
    named = (("m", member_unit[kept]), ("c", control_unit[kept_control]))
    labels = np.concatenate([np.char.add(kind, units.astype(str)) for kind, units in named])
    _, unit = np.unique(labels, return_inverse=True)
    gram = features @ features.T
    total = gram.sum(axis=1)
    inside = np.arange(len(unit)) < kept.sum()
    n_units = len(np.unique(unit[inside]))

    def null_value() -> float:
        chosen = rng.permutation(unit.max() + 1)[:n_units]
        return _centred_precision(gram, total, np.isin(unit, chosen), unit)

    return _sequential_p(null_value, _centred_precision(gram, total, inside, unit), 1e-7, n_draws)


def _subsample_units(unit: np.ndarray, most: int, rng: Generator) -> np.ndarray:
    """Return a mask of all cells, or of whole units drawn until the next would pass `most`."""
    names, which, count = np.unique(unit, return_inverse=True, return_counts=True)
    if len(unit) <= most:
        return np.ones(len(unit), dtype=bool)
    order = rng.permutation(len(names))
    fitting = order[np.cumsum(count[order]) <= most]
    return np.isin(which, fitting if len(fitting) > 1 else order[:2])


def _sequential_p(null_value: Callable[[], float], observed: float, rounding: float, n_draws: int) -> float:
    """P value by null values drawn one by one, until enough reached the observed one; NaN without one."""
    if np.isnan(observed):
        return np.nan
    reached = 0
    for draw in range(1, n_draws + 1):
        reached += bool(null_value() >= observed - rounding)
        if reached == _ENOUGH:
            return reached / draw
    return (1 + reached) / (1 + n_draws)


def _centred_precision(gram: np.ndarray, total: np.ndarray, inside: np.ndarray, unit: np.ndarray) -> float:
    """Return the mean average precision of the cells `inside`, features centred on the cells outside."""
    rows = np.flatnonzero(inside)
    own = gram[rows]
    to_mean = (total - own.sum(axis=0)) / (len(unit) - len(rows))
    offset = to_mean[~inside].mean()
    norm = np.sqrt(np.maximum(np.diagonal(gram) - 2 * to_mean + offset, 1e-12))
    # Of a cosine, the length of the query changes no rank.
    distance = -((own - to_mean[rows, None]) - to_mean + offset) / norm
    apart = unit[rows, None] != unit
    labelled = np.where(apart, distance, _LAST).astype(np.float32)
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

    observed = value(which)
    return observed, _sequential_p(lambda: value(rng.permutation(which)), observed, 1e-12, n_draws)
