"""What average precision is worth without an effect: random ranks, and exchanged cells or wells."""

from __future__ import annotations

import numpy as np

# Numbers held at once while null values are drawn.
_AT_ONCE = 1 << 19
# A sequential test stops once so many null values reached the one found: its p value is known by then.
_ENOUGH = 50
# Larger groups are tested on a draw: time grows with members times cells.
MAX_MEMBERS, MAX_CONTROLS = 200, 1000
_LAST = np.float32(3e38)


def rank_null(n_positives: int, n_negatives: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw average precisions of random rankings.

    How many negatives stand before each positive is a uniform multiset of n_positives numbers from 0 to
    n_negatives; Polya's urn draws one in n_positives steps, so no ranking is ever shuffled.

    Parameters
    ----------
    n_positives, n_negatives
        At least 1, and at least 0.
    n_draws
        Values wanted.
    rng
        Their source.

    Returns
    -------
    np.ndarray
        Shape (n_draws,), rising.
    """
    ranks = np.arange(1, n_positives + 1, dtype=np.float32)
    values = np.empty(n_draws)
    step = max(1, _AT_ONCE // n_positives)
    for first in range(0, n_draws, step):
        before = _multisets(n_positives, n_negatives, min(step, n_draws - first), rng)
        place = before.astype(np.float32)
        place += ranks
        np.divide(ranks, place, out=place)
        values[first : first + step] = place.mean(axis=1)
    values.sort()
    return values


def _multisets(size: int, largest: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n uniform multisets of numbers from 0 to `largest`, sorted, shape (n, size)."""
    # Half the memory is nearly half the time.
    kind = np.int16 if largest + size < 2**15 else np.int32
    drawn = np.empty((size, n), dtype=kind)
    flat = drawn.reshape(-1)
    for turn in range(size):
        ball = rng.integers(0, largest + 1 + turn, size=n, dtype=kind)
        again = np.flatnonzero(ball > largest)
        earlier = ball[again].astype(np.intp) - (largest + 1)
        ball[again] = flat.take(earlier * n + again)
        drawn[turn] = ball
    sets = np.ascontiguousarray(drawn.T)
    sets.sort(axis=1)
    return sets


def tail(null: np.ndarray, found: np.ndarray | float) -> np.ndarray:
    """Return p values, (1 + null values from `found` on) / (1 + all); `null` rises."""
    # Null values are of single precision.
    reached = len(null) - np.searchsorted(null, np.asarray(found) - 1e-6)
    return (1 + reached) / (1 + len(null))


def exchange_p(
    member: np.ndarray,
    control: np.ndarray,
    member_unit: np.ndarray,
    control_unit: np.ndarray,
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> float:
    """Test the mean average precision of a group by exchanging its units with those of the controls.

    Every draw takes as many units (cells; wells, where positives must come from other wells) as the group
    has from those of group and controls, centres on the others, as the features were on the controls, and
    ranks anew. So the dependence between the average precisions of a group, which share cells and the
    controls' mean, is in the null too. The test is sequential: it ends after 50 null values as large as the
    one found. Above `MAX_MEMBERS` cells or `MAX_CONTROLS` controls whole units are drawn up to that size.

    Parameters
    ----------
    member, control
        Standardised features, shapes (n, D) and (Q, D).
    member_unit, control_unit
        Unit of each, shapes (n,) and (Q,); positives come from other units. A unit holds members only, or
        controls only.
    n_draws
        Draws at most.
    rng
        Their source.

    Returns
    -------
    float
        The p value; NaN when no cell has a positive.

    Notes
    -----
    Source: Besag and Clifford 1991 for the sequential p value.
    """
    kept = _some_units(member_unit, MAX_MEMBERS, rng)
    kept_control = _some_units(control_unit, MAX_CONTROLS, rng)
    features = np.concatenate([member[kept], control[kept_control]]).astype(np.float32)
    labels = np.concatenate([np.char.add("m", member_unit[kept].astype(str)),
                             np.char.add("c", control_unit[kept_control].astype(str))])  # fmt: skip
    _, unit = np.unique(labels, return_inverse=True)
    gram = features @ features.T
    total = gram.sum(axis=1)
    n_units = len(np.unique(unit[: kept.sum()]))
    inside = np.zeros(len(unit), dtype=bool)
    inside[: kept.sum()] = True
    found = _mean_precision(gram, total, inside, unit)
    if np.isnan(found):
        return np.nan
    reached = 0
    for draw in range(1, n_draws + 1):
        chosen = rng.permutation(unit.max() + 1)[:n_units]
        value = _mean_precision(gram, total, np.isin(unit, chosen), unit)
        reached += bool(value >= found - 1e-7)
        if reached == _ENOUGH:
            return reached / draw
    return (1 + reached) / (1 + n_draws)


def _some_units(unit: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return a mask of all cells, or of whole units drawn until the next would pass `most`."""
    names, which, count = np.unique(unit, return_inverse=True, return_counts=True)
    if len(unit) <= most:
        return np.ones(len(unit), dtype=bool)
    order = rng.permutation(len(names))
    fitting = order[np.cumsum(count[order]) <= most]
    return np.isin(which, fitting if len(fitting) > 1 else order[:2])


def _mean_precision(gram: np.ndarray, total: np.ndarray, inside: np.ndarray, unit: np.ndarray) -> float:
    """Return the mean average precision of the cells `inside`, features centred on the cells outside."""
    rows = np.flatnonzero(inside)
    own = gram[rows]
    to_mean = (total - own.sum(axis=0)) / (len(unit) - len(rows))
    offset = to_mean[~inside].mean()
    norm = np.sqrt(np.maximum(np.diagonal(gram) - 2 * to_mean + offset, 1e-12))
    # Of a cosine, the length of the cell that is asked changes no rank.
    distance = -((own - to_mean[rows, None]) - to_mean + offset) / norm
    apart = unit[rows, None] != unit
    positive = apart & inside
    labelled = np.where(apart, distance, _LAST).astype(np.float32)
    # Each value carries its label in its last bit through the sort.
    bits = labelled.view(np.int32)
    np.bitwise_and(bits, ~np.int32(1), out=bits)
    np.bitwise_or(bits, positive.astype(np.int32), out=bits)
    labelled.sort(axis=1)
    hit = (bits & 1).astype(np.float32)
    precision = np.cumsum(hit, axis=1) / np.arange(1, hit.shape[1] + 1, dtype=np.float32)
    n_positives = hit.sum(axis=1)
    asked = n_positives > 0
    if not asked.any():
        return np.nan
    return float(((precision * hit).sum(axis=1)[asked] / n_positives[asked]).mean())


def label_p(
    similarity: np.ndarray, unit: np.ndarray, *, n_draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Find how well cells retrieve others of their unit among all, and test it by shuffling the units.

    Parameters
    ----------
    similarity
        Shape (n, n).
    unit
        Unit of each cell, shape (n,).
    n_draws
        Draws at most; the test is sequential as in `exchange_p`.
    rng
        Their source.

    Returns
    -------
    mean_average_precision, p
        NaN when no unit has two cells.
    """
    _, which = np.unique(unit, return_inverse=True)
    away = -similarity.astype(np.float32)
    np.fill_diagonal(away, np.inf)
    order = np.argsort(away, axis=1, kind="stable")[:, :-1]

    def value(labels: np.ndarray) -> float:
        hit = labels[order] == labels[:, None]
        n_positives = hit.sum(axis=1)
        precision = np.cumsum(hit, axis=1) / np.arange(1, hit.shape[1] + 1)
        asked = n_positives > 0
        if not asked.any():
            return np.nan
        return float(((precision * hit).sum(axis=1)[asked] / n_positives[asked]).mean())

    found, reached = value(which), 0
    if np.isnan(found):
        return np.nan, np.nan
    for draw in range(1, n_draws + 1):
        reached += value(rng.permutation(which)) >= found - 1e-12
        if reached == _ENOUGH:
            return found, reached / draw
    return found, (1 + reached) / (1 + n_draws)
