"""Clebsch-Gordan coefficients, and the one function of py3nj that escnn needs where py3nj cannot be built."""

from __future__ import annotations

import importlib.util
import sys
import types
from functools import cache
from math import factorial, prod, sqrt

import numpy as np


@cache
def _coefficient(two_j1: int, two_j2: int, two_j: int, two_m1: int, two_m2: int, two_m: int) -> float:
    two_momenta = ((two_j1, two_m1), (two_j2, two_m2), (two_j, two_m))
    allowed = (
        two_m1 + two_m2 == two_m
        and abs(two_j1 - two_j2) <= two_j <= two_j1 + two_j2
        and (two_j1 + two_j2 + two_j) % 2 == 0
        and all(abs(m) <= j and (j + m) % 2 == 0 for j, m in two_momenta)
    )
    if not allowed:
        return 0.0
    # Half sums are whole numbers from here on, so the factorials are exact integers.
    a = (two_j1 + two_j2 - two_j) // 2
    b, c = (two_j1 - two_m1) // 2, (two_j2 + two_m2) // 2
    d, e = (two_j - two_j2 + two_m1) // 2, (two_j - two_j1 - two_m2) // 2
    total = sum(
        (-1) ** k / prod(factorial(n) for n in (k, a - k, b - k, c - k, d + k, e + k))
        for k in range(max(0, -d, -e), min(a, b, c) + 1)
    )
    numerator = (two_j + 1) * factorial(a)
    numerator *= factorial((two_j + two_j1 - two_j2) // 2) * factorial((two_j - two_j1 + two_j2) // 2)
    numerator *= prod(factorial((j + m) // 2) * factorial((j - m) // 2) for j, m in two_momenta)
    return sqrt(numerator / factorial((two_j1 + two_j2 + two_j) // 2 + 1)) * total


def clebsch_gordan(
    two_j1: np.ndarray | int,
    two_j2: np.ndarray | int,
    two_j: np.ndarray | int,
    two_m1: np.ndarray | int,
    two_m2: np.ndarray | int,
    two_m: np.ndarray | int,
) -> np.ndarray:
    """Return the coefficients <j1 m1 j2 m2 | j m>, Condon-Shortley phase, by Racah's sum.

    Parameters
    ----------
    two_j1, two_j2, two_j, two_m1, two_m2, two_m
        Twice each quantum number, whole numbers; arrays are broadcast together.

    Returns
    -------
    np.ndarray
        float64, the broadcast shape; 0 where the selection rules forbid the coupling.

    Notes
    -----
    G. Racah, Theory of complex spectra II, Phys. Rev. 62 (1942) 438, eq. 16.

    Examples
    --------
    >>> float(clebsch_gordan(1, 1, 0, 1, -1, 0).round(6))
    0.707107
    """
    numbers = (two_j1, two_j2, two_j, two_m1, two_m2, two_m)
    return np.vectorize(lambda *n: _coefficient(*map(int, n)), otypes=[float])(*numbers)


def provide_py3nj() -> None:
    """Register this module's function as `py3nj` where that package, which needs Fortran, is missing.

    escnn looks for `py3nj` when it is imported and falls back to a numerical method that fails beside
    scikit-learn; call this before importing escnn.
    """
    if "py3nj" not in sys.modules and importlib.util.find_spec("py3nj") is None:
        stand_in = types.ModuleType("py3nj", "Stand-in by morphobench: clebsch_gordan only.")
        stand_in.clebsch_gordan = clebsch_gordan
        sys.modules["py3nj"] = stand_in
