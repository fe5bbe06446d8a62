"""Distance of linear interpolants between two embeddings from the nearest real embedding."""

from __future__ import annotations

import numpy as np

from morphobench.score.metrics.moments import blocks


def interpolation_distance(
    z_start: np.ndarray,
    z_end: np.ndarray,
    fractions: np.ndarray,
    z_cells: np.ndarray,
    exclude: np.ndarray,
) -> np.ndarray:
    """Measure how far linear interpolants lie from the nearest real code, relative to the pair's distance.

    Formula: ``min_i ||z_f - z_i|| / ||z_b - z_a||`` over all cells i but the pair's own two, with
    ``z_f = z_a + f (z_b - z_a)``. Leaving the own two in would bound the value by min(f, 1 - f).

    Parameters
    ----------
    z_start, z_end
        Codes of the two ends, shape (pairs, D).
    fractions
        Positions on the way, 0 to 1, shape (fractions,).
    z_cells
        Codes of the real cells, shape (n, D); rows that are not finite are never nearest.
    exclude
        Rows of `z_cells` that are the ends of each pair, shape (pairs, 2), int.

    Returns
    -------
    np.ndarray
        Shape (pairs, fractions), pure number; NaN where the ends coincide, are not finite or no cell is left.

    Notes
    -----
    Source: "Embedding Distance" of Vasan et al. 2025, made free of scale and of its end points.
    """
    z_start, z_end = np.asarray(z_start, np.float64), np.asarray(z_end, np.float64)
    nearest = _nearest(z_start, z_end, fractions, z_cells, exclude)
    return _ratio(nearest, np.linalg.norm(z_end - z_start, axis=1))


def interpolation_distance_legacy(
    z_start: np.ndarray,
    z_end: np.ndarray,
    fractions: np.ndarray,
    z_cells: np.ndarray,
    n_components: int | None = None,
) -> np.ndarray:
    """Measure the published Embedding Distance: absolute, with the pair's own cells among the real ones.

    Formula: ``min_i ||z_f - z_i||`` over all cells, on the first `n_components` (the width of the narrowest
    model compared; None for all). Other parameters as in `interpolation_distance`; the result, shape (pairs,
    fractions), is in the model's own embedding unit and so not comparable between models.
    """
    nobody = np.empty((len(z_start), 0), dtype=int)
    start, end, cells = (np.asarray(z)[:, :n_components] for z in (z_start, z_end, z_cells))
    return _nearest(start.astype(np.float64), end.astype(np.float64), fractions, cells, nobody)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide shape (pairs, fractions) by shape (pairs,); NaN where either is unusable."""
    usable = np.isfinite(numerator) & np.isfinite(denominator)[:, None] & (denominator > 0)[:, None]
    return np.divide(numerator, denominator[:, None], out=np.full(numerator.shape, np.nan), where=usable)


def _nearest(
    z_start: np.ndarray,
    z_end: np.ndarray,
    fractions: np.ndarray,
    z_cells: np.ndarray,
    exclude: np.ndarray,
) -> np.ndarray:
    """Return the distance to the nearest cell, shape (pairs, fractions), block of pairs by block."""
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
        np.put_along_axis(to_start, exclude[pairs], np.inf, axis=1)
        result[pairs] = _nearest_of_block(z_start[pairs], z_end[pairs], fractions, z_cells, to_start, to_end)
    return result


def _nearest_of_block(
    start: np.ndarray,
    end: np.ndarray,
    fractions: np.ndarray,
    cells: np.ndarray,
    to_start: np.ndarray,
    to_end: np.ndarray,
) -> np.ndarray:
    """Find the nearest allowed cell of every interpolant by Stewart's theorem, then measure it directly.

    ``|z_f - c|^2 = (1 - f) |a - c|^2 + f |b - c|^2 - f (1 - f) |b - a|^2``: two matrix products serve all
    fractions, and the last term does not depend on the cell.
    """
    impossible = np.isinf(to_start).all(axis=1)
    result = np.empty((len(start), len(fractions)))
    for column, fraction in enumerate(fractions):
        best = _weighted(to_start, to_end, fraction).argmin(axis=1)
        point = start + fraction * (end - start)
        result[:, column] = np.linalg.norm(point - cells[best], axis=1)
    result[impossible] = np.nan
    return result


def _weighted(to_start: np.ndarray, to_end: np.ndarray, fraction: float) -> np.ndarray:
    if fraction == 1:
        return np.where(np.isinf(to_start), np.inf, to_end)
    return (1 - fraction) * to_start + fraction * to_end


def _squared(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return squared distances, shape (points, cells)."""
    return (points**2).sum(axis=1)[:, None] + (cells**2).sum(axis=1) - 2 * points @ cells.T
