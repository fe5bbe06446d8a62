"""The point of a convex hull that is nearest to a target, by Wolfe's algorithm."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_MAX_STEPS = 60
_ZERO = 1e-10
# How far from the best the result may be, as a share of the squared size of the hull.
_GAP = 1e-13


class HullPoint(NamedTuple):
    """A point of a convex hull: `place` (d,) is the mixture of the vertices `rows` (m,) in `shares` (m,)."""

    rows: np.ndarray
    shares: np.ndarray
    place: np.ndarray


def project(target: np.ndarray, vertices: np.ndarray, start: HullPoint, scale: float) -> HullPoint:
    """Move from `start` towards the point of the hull that is nearest to `target`; never away from it.

    Parameters
    ----------
    target
        Shape (d,).
    vertices
        Points that span the hull, shape (n, d).
    start
        A point of the hull, such as a vertex with share 1.
    scale
        Length by which differences are judged: the size of the hull.

    Returns
    -------
    HullPoint
        The nearest point; after 60 vertices taken in, a nearer one.

    Notes
    -----
    Source: Wolfe 1976, Finding the nearest point in a polytope, Mathematical Programming 11. One product of
    `vertices` with a vector per vertex taken in.
    """
    rows, shares = start.rows, start.shares
    for _ in range(_MAX_STEPS):
        rows, shares = _settle(target, vertices, rows, shares)
        offset = shares @ vertices[rows] - target
        heights = vertices @ offset
        lowest = int(heights.argmin())
        gain = offset @ (offset + target) - heights[lowest]
        if gain <= _GAP * scale**2 or lowest in rows:
            break
        rows, shares = np.append(rows, lowest), np.append(shares, 0.0)
    return HullPoint(rows, shares, shares @ vertices[rows])


def _settle(
    target: np.ndarray, vertices: np.ndarray, rows: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Go to the nearest point of the simplex of `rows`, leaving out vertices that have no share in it."""
    while len(rows) > 1:
        corners = vertices[rows] - target
        wanted = _affine(corners)
        if (wanted > _ZERO).all():
            return rows, wanted
        falling = wanted <= _ZERO
        drop = shares[falling] - wanted[falling]
        step = float(np.min(shares[falling] / np.where(drop > 0, drop, np.inf), initial=1.0))
        shares = shares + step * (wanted - shares)
        kept = shares > _ZERO
        # At least the vertex that stopped the step goes, so this ends.
        kept[np.flatnonzero(falling)[shares[falling].argmin()]] = False
        rows, shares = rows[kept], shares[kept] / shares[kept].sum()
    return rows, np.ones(len(rows))


def _affine(corners: np.ndarray) -> np.ndarray:
    """Return the shares, of any sign and with sum 1, of the point of their plane nearest to the origin."""
    gram = corners @ corners.T
    system = gram + np.trace(gram) / len(gram)
    solution = np.linalg.lstsq(system, np.ones(len(gram)), rcond=1e-13)[0]
    return solution / solution.sum()
