"""Mean average precision of retrieving the cells of each condition among controls."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.metrics import exchange
from morphobench.metrics.covariance import blocks
from morphobench.metrics.fdr import benjamini_hochberg
from morphobench.metrics.reasons import join
from morphobench.metrics.retrieval_null import MAX_CONTROLS, exchange_p, label_p, rank_null, tail_p

Q_THRESHOLD = 0.05
# Features standardised at once.
_BLOCK_COLUMNS = 32
_GROUP_COLUMNS = ["group", "kind", "n_cells", "n_scored", "n_units", "mean_average_precision", "p", "q"]
_GROUP_COLUMNS += [
    "smallest_p",
    "p_ranks",
    "q_ranks",
    "mean_average_precision_legacy",
    "p_legacy",
    "q_legacy",
    "retrieved",
    "reason",
]
_SCORED = ["row", "group", "average_precision", "n_positives", "n_negatives", "average_precision_legacy"]
_CELL_COLUMNS = [*_SCORED[:-1], "p", "average_precision_legacy", "p_legacy"]


class Retrieval(NamedTuple):
    """Result of `retrieval_map`.

    Attributes
    ----------
    groups
        One row per group, and with places one for the controls: group, kind (condition | control), n_cells,
        n_scored, n_units, mean_average_precision, p and q (headline), smallest_p (that the exchange of units
        can give), p_ranks and q_ranks (null of independent random ranks), mean_average_precision_legacy,
        p_legacy and q_legacy (as published), retrieved (q < 0.05), reason (why values are missing).
    cells
        One row per cell of a condition: row (number in the input), group, average_precision, n_positives,
        n_negatives, p, average_precision_legacy, p_legacy.
    note
        How values were replaced that could not be used as they are; empty for none.
    """

    groups: pd.DataFrame
    cells: pd.DataFrame
    note: str


def retrieval_map(
    profiles: np.ndarray,
    groups: Sequence[object],
    is_control: Sequence[bool],
    *,
    unit: Sequence[object] | None = None,
    plate: Sequence[object] | None = None,
    apart: Sequence[object] | None = None,
    n_null: int = 100_000,
    n_exchanges: int = 10_000,
    seed: int = 0,
) -> Retrieval:
    """Mean average precision of retrieving each condition among the controls, and its p values.

    Features are standardised on the controls (mean and standard deviation divided by n). For each treated
    cell the others of its condition (positives) and all controls (negatives) are ranked by cosine
    similarity, equal ones against the cell; with r_j the rank of the j-th of P positives its average
    precision is ``AP = 1/P sum_j j / r_j``. Three p values of each condition's mean AP:

    - `p`, `q`: units exchanged between condition and controls within plates (`exchange_p`),
      Benjamini-Hochberg over conditions; the headline. It allows for the dependence between cells of a unit
      and between the AP of a condition. Missing where there are too few units for the level (`design`).
    - `p_ranks`: means of as many independent AP of random ranks. Far too small where AP depend on each
      other (in the tests' simulation without effect, most conditions pass 0.05 in 256 dimensions).
    - `p_legacy`: geometric mean of the p values of single cells, as published; no p value at all.

    Parameters
    ----------
    profiles
        Features, shape (n, D). Values that are not finite count as the controls' mean.
    groups, is_control
        Condition of each cell, and whether it is a control, shape (n,).
    unit, plate
        Independent unit of each cell, such as the well that was treated as a whole, and the plate that it
        lies on, shape (n,); units of one name on two plates are two. Cells without one are not tested.
        Without units there is no `p`; without plates, units are exchanged over all.
    apart
        Well or field of each cell on its plate, shape (n,): positives must then come from another one. A
        cell whose place is missing has no positives. None as published.
    n_null, n_exchanges
        Random rankings per number of positives and negatives; exchanges per condition at most.
    seed
        Values do not depend on the order of cells or conditions.

    Notes
    -----
    NaN and a reason for a condition without a positive pair, or when there are fewer than two controls.
    Memory: two copies of the profiles and 32 MB; similarities are made in blocks.

    Source: the retrieval of Vasan et al. 2025 after Chandrasekaran et al. 2024 and the package copairs, which
    takes 8 to 21 times as long (tests/speed/bench_retrieval.py).
    """
    names = np.asarray(groups).astype(str)
    control = np.asarray(is_control, dtype=bool)
    unit, plates = exchange.nested(unit, plate, len(names))
    place = np.arange(len(names)) if apart is None else exchange.nested(apart, plate, len(names))[0]
    x, note = standardise_on_controls(profiles, control)
    parts = [_group_precisions(x, name, names, control, place) for name in np.unique(names[~control])]
    no_cells = pd.DataFrame(columns=[*_SCORED, "n_positives_legacy"])
    cells = pd.concat(parts or [no_cells], ignore_index=True)
    cells["p"], means = _rank_p(cells, "average_precision", "n_positives", n_null, seed)
    cells["p_legacy"], _ = _rank_p(cells, "average_precision_legacy", "n_positives_legacy", n_null, seed)
    rows = []
    for name, part in cells.groupby("group", sort=True):
        row = _condition_row(str(name), part) | {"p_ranks": means.get(name, np.nan)}
        tested = np.flatnonzero((unit >= 0) & ((names == name) | control))
        rng = np.random.default_rng(seeds.integer(seed, "exchange", name))
        sides = unit[tested], ~control[tested], plates[tested], place[tested]
        rows.append(row | _exchange(x[tested], *sides, n_exchanges, row["reason"], rng))
    table = pd.DataFrame(rows, columns=_GROUP_COLUMNS)
    for kind in ("p", "p_ranks", "p_legacy"):
        table[kind.replace("p", "q", 1)] = benjamini_hochberg(table[kind].to_numpy(float))
    table["retrieved"] = table["q"] < Q_THRESHOLD
    if apart is not None and control.any():
        own = _control_row(x[control], names[control][0], place[control], n_exchanges, seed)
        table = pd.concat([table, pd.DataFrame([own], columns=_GROUP_COLUMNS)], ignore_index=True)
    return Retrieval(table[_GROUP_COLUMNS], cells[_CELL_COLUMNS], note)


def standardise_on_controls(profiles: np.ndarray, is_control: np.ndarray) -> tuple[np.ndarray, str]:
    """Return features in the controls' standard deviations from their mean, shape (n, D), and a note.

    A value that is not finite becomes 0, the controls' mean. A feature without a finite value among the
    controls, or that does not vary among them, keeps its unit; one without any finite value is 0 throughout.
    """
    x = np.array(profiles, dtype=np.float64)
    n_filled = n_unscaled = 0
    for first in range(0, x.shape[1], _BLOCK_COLUMNS):
        block = x[:, first : first + _BLOCK_COLUMNS]
        known = np.isfinite(block)
        n_filled += int((~known).sum())
        block[~known] = 0.0
        reference, known = block[is_control], known[is_control]
        count = np.maximum(known.sum(axis=0), 1)
        mean = reference.sum(axis=0) / count
        sd = np.sqrt(np.where(known, (reference - mean) ** 2, 0.0).sum(axis=0) / count)
        constant = sd <= 1e-12 * np.maximum(np.abs(reference).max(axis=0, initial=0.0), 1e-300)
        n_unscaled += int(constant.sum())
        block -= mean
        block /= np.where(constant, 1.0, sd)
        block[~np.isfinite(profiles[:, first : first + _BLOCK_COLUMNS])] = 0.0
    filled = f"{n_filled} of {x.size} values are not finite and count as the controls' mean"
    unscaled = f"{n_unscaled} of {x.shape[1]} features do not vary among controls"
    return x, join(filled if n_filled else "", unscaled if n_unscaled else "")


def average_precisions(similarity: np.ndarray, positive: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Average precision of each cell, shape (n,); NaN without positives.

    `similarity`, shape (n, m), is to the cells of its own group, of which those in `positive`, shape (n, m),
    count; `negatives`, shape (n, Q), the similarity to the controls, of which one as similar as a positive
    stands before it.
    """
    negatives = np.sort(negatives, axis=1)
    precision = np.full(len(similarity), np.nan)
    for row in np.flatnonzero(positive.any(axis=1)):
        descending = np.sort(similarity[row, positive[row]])[::-1]
        before = negatives.shape[1] - np.searchsorted(negatives[row], descending)
        ranks = np.arange(1, len(descending) + 1)
        precision[row] = (ranks / (ranks + before)).mean()
    return precision


def _unit_rows(x: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norm > 0, norm, 1.0)


def _group_precisions(
    x: np.ndarray, name: str, names: np.ndarray, control: np.ndarray, place: np.ndarray
) -> pd.DataFrame:
    """Return the average precision of every cell of a group, with and without regard to places."""
    rows = np.flatnonzero((names == name) & ~control)
    own, reference = _unit_rows(x[rows]), _unit_rows(x[control])
    parts = []
    for here in blocks(len(own), max(len(own), len(reference))):
        others = np.arange(len(own))[here, None] != np.arange(len(own))
        at, all_at = place[rows][here, None], place[rows]
        positive = others & (at != all_at) & (at >= 0) & (all_at >= 0)
        inner, outer = own[here] @ own.T, own[here] @ reference.T
        enough = len(reference) > 1
        legacy = average_precisions(inner, others & enough, outer)
        same = (positive == others).all()
        precision = legacy if same else average_precisions(inner, positive & enough, outer)
        values = (rows[here], name, precision, positive.sum(axis=1), len(reference), legacy)
        part = pd.DataFrame(dict(zip(_SCORED, values, strict=True)))
        parts.append(part.assign(n_positives_legacy=others.sum(axis=1)))
    return pd.concat(parts, ignore_index=True)


def _rank_p(
    cells: pd.DataFrame, value: str, n_positives: str, n_null: int, seed: int
) -> tuple[np.ndarray, dict[str, float]]:
    """Return the p value of every cell, and of the mean of every group, against random ranks."""
    p, sums = np.full(len(cells), np.nan), {}
    scored = cells[cells[value].notna()]
    for (positives, negatives), part in scored.groupby([n_positives, "n_negatives"]):
        rng = np.random.default_rng(seeds.integer(seed, "ranks", int(positives), int(negatives)))
        null = rank_null(int(positives), int(negatives), n_null, rng)
        p[part.index] = tail_p(null, part[value].to_numpy(float))
        for name in part["group"].sort_values():
            sums[name] = sums.get(name, 0.0) + null[rng.integers(0, n_null, n_null)]
    means = {}
    for name, part in scored.groupby("group"):
        means[str(name)] = float(tail_p(np.sort(sums[name] / len(part)), part[value].mean()))
    return p, means


def _condition_row(name: str, part: pd.DataFrame) -> dict[str, object]:
    """Summarise the cells of one condition."""
    scored, reason = int(part["average_precision"].notna().sum()), ""
    if not scored:
        reason = "a single cell" if len(part) == 1 else "no two cells of it lie apart"
        reason = "fewer than two controls" if part["n_negatives"].iloc[0] < 2 else reason
    log_p = np.log10(part["p_legacy"].to_numpy(float))
    return {
        "group": name,
        "kind": "condition",
        "n_cells": len(part),
        "n_scored": scored,
        "mean_average_precision": part["average_precision"].mean(),
        "mean_average_precision_legacy": part["average_precision_legacy"].mean(),
        "p_legacy": float(10 ** log_p[np.isfinite(log_p)].mean()) if np.isfinite(log_p).any() else np.nan,
        "reason": reason,
    }


def _exchange(
    x: np.ndarray,
    unit: np.ndarray,
    is_member: np.ndarray,
    plate: np.ndarray,
    place: np.ndarray,
    n_draws: int,
    reason: str,
    rng: np.random.Generator,
) -> dict[str, object]:
    """Return p, smallest_p, n_units and the reason why there is no p."""
    if not is_member.any():
        return {"n_units": 0, "reason": reason or exchange.UNKNOWN}
    p, design = exchange_p(x, unit, is_member, plate, place, n_draws=n_draws, rng=rng)
    counts = {"n_units": int(design.treated.sum()), "smallest_p": design.smallest_p(n_draws)}
    return {"p": p, **counts, "reason": reason or design.reason}


def _control_row(x: np.ndarray, name: str, place: np.ndarray, n_draws: int, seed: int) -> dict[str, object]:
    """Retrieve the controls of each place among all controls: the effect of places alone."""
    rng = np.random.default_rng(seeds.integer(seed, "controls"))
    known = np.flatnonzero(place >= 0)
    if len(known) > MAX_CONTROLS:
        known = np.sort(rng.choice(known, MAX_CONTROLS, replace=False))
    unit = _unit_rows(x[known])
    precision, p = label_p(unit @ unit.T, place[known], n_draws=n_draws, rng=rng)
    return {
        "group": name,
        "kind": "control",
        "n_cells": len(x),
        "n_scored": len(known),
        "mean_average_precision": precision,
        "p": p,
        "retrieved": False,
        "reason": "" if np.isfinite(precision) else "no place holds two controls",
    }
