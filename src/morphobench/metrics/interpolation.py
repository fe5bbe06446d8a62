"""Distance of linear interpolants between two embeddings from the nearest real embedding."""

import numpy as np

from morphobench.metrics.covariance import blocks


def interpolation_distance(
    z_start: np.ndarray,
    z_end: np.ndarray,
    fractions: np.ndarray,
    z_cells: np.ndarray,
    units: np.ndarray,
    own_units: np.ndarray,
) -> np.ndarray:
    """Distance of linear interpolants from the nearest real embedding, relative to that of real ones.

    Formula: ``min_i ||z_f - z_i||`` with ``z_f = z_a + f (z_b - z_a)``, over the median of the same distance
    at f = 0 and f = 1, which are real cells. The cells i are those of other units than the pair's own two:
    `units` numbers the unit of each cell, shape (n,), `own_units` those of the ends, shape (pairs, 2).
    `z_start` and `z_end` have shape (pairs, D), `z_cells` (n, D), the result (pairs, fractions): about 1
    where interpolants lie among cells, NaN where embeddings coincide, are not finite or no cell is left.

    Source: "Embedding Distance" of Vasan et al. 2025, made free of scale, dimension, number of cells and of
    its end points.
    """
    z_start, z_end = np.asarray(z_start, np.float64), np.asarray(z_end, np.float64)
    own = z_cells, units, own_units
    nearest = _nearest(z_start, z_end, fractions, *own)
    among_cells = _nearest(z_start, z_end, np.array([0.0, 1.0]), *own)
    known = among_cells[np.isfinite(among_cells)]
    typical = float(np.median(known)) if len(known) else np.nan
    usable = np.isfinite(nearest) & (typical > 0)
    return np.divide(nearest, typical, out=np.full(nearest.shape, np.nan), where=usable)


def interpolation_distance_legacy(
    z_start: np.ndarray,
    z_end: np.ndarray,
    fractions: np.ndarray,
    z_cells: np.ndarray,
    n_components: int | None = None,
) -> np.ndarray:
    """Embedding Distance as published: absolute, with the pair's own cells among the real ones.

    Formula: ``min_i ||z_f - z_i||`` over all cells, of the first `n_components` (the width of the narrowest
    model compared; None for all). In the model's own unit, so not comparable between models.
    """
    units, none = np.zeros(len(z_cells), dtype=int), np.full((len(z_start), 2), -1)
    start, end, cells = (np.asarray(z)[:, :n_components] for z in (z_start, z_end, z_cells))
    return _nearest(start.astype(np.float64), end.astype(np.float64), fractions, cells, units, none)


def _nearest(
    z_start: np.ndarray,
    z_end: np.ndarray,
    fractions: np.ndarray,
    z_cells: np.ndarray,
    units: np.ndarray,
    own_units: np.ndarray,
) -> np.ndarray:
    """Return the distance to the nearest cell of other units, shape (pairs, fractions)."""
    z_cells, fractions = np.asarray(z_cells), np.asarray(fractions, np.float64)
    finite = np.isfinite(z_cells).all(axis=1)
    result = np.full((len(z_start), len(fractions)), np.nan)
    if not finite.any():
        return result
    # A common shift changes no distance; it keeps the squares small, where they cancel.
    middle = z_cells.mean(axis=0, dtype=np.float64, where=finite[:, None])
    for pairs in blocks(len(z_start), len(z_cells)):
        start, end = z_start[pairs] - middle, z_end[pairs] - middle
        # Squared distances of both ends to all cells, inf where a cell may not be the nearest.
        to_start, to_end = np.empty((2, len(start), len(z_cells)))
        for part in blocks(len(z_cells), z_cells.shape[1]):
            cells = np.where(finite[part, None], z_cells[part] - middle, 0.0)
            to_start[:, part], to_end[:, part] = _squared(start, cells), _squared(end, cells)
        to_start[:, ~finite] = np.inf
        for side in own_units[pairs].T:
            to_start[side[:, None] == units] = np.inf
        for column, fraction in enumerate(fractions):
            nearest = _weighted(to_start, to_end, fraction).argmin(axis=1)
            point = z_start[pairs] + fraction * (z_end[pairs] - z_start[pairs])
            result[pairs, column] = np.linalg.norm(point - z_cells[nearest], axis=1)
        result[pairs][np.isinf(to_start).all(axis=1)] = np.nan
    return result


def _weighted(to_start: np.ndarray, to_end: np.ndarray, fraction: float) -> np.ndarray:
    """Return squared distances from an interpolant to every cell, but for a constant of the pair.

    By Stewart's theorem, ``|z_f - c|^2 = (1 - f) |a - c|^2 + f |b - c|^2 - f (1 - f) |b - a|^2``: two matrix
    products serve all fractions.
    """
    if fraction == 1:
        return np.where(np.isinf(to_start), np.inf, to_end)
    return (1 - fraction) * to_start + fraction * to_end


def _squared(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return squared distances, shape (points, cells)."""
    return (points**2).sum(axis=1)[:, None] + (cells**2).sum(axis=1) - 2 * points @ cells.T
