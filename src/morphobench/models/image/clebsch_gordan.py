"""Clebsch-Gordan coefficients under the name of py3nj, for escnn where that package cannot be built."""

import importlib.util
import sys
import types
from functools import cache

import numpy as np


@cache
def _coefficient(*doubled: int) -> float:
    # A requirement of torch; imported here because it takes a second.
    from sympy import Rational
    from sympy.physics.wigner import clebsch_gordan as exact

    return float(exact(*(Rational(number, 2) for number in doubled)))


def clebsch_gordan(*doubled: np.ndarray | int) -> np.ndarray:
    """Return the coefficients <j1 m1 j2 m2 | j m>, Condon-Shortley phase, of twice j1, j2, j, m1, m2, m.

    Arrays are broadcast together; 0 where the selection rules forbid the coupling.

    Examples
    --------
    >>> float(clebsch_gordan(1, 1, 0, 1, -1, 0).round(6))
    0.707107
    """
    return np.vectorize(lambda *numbers: _coefficient(*map(int, numbers)), otypes=[float])(*doubled)


def provide_py3nj() -> None:
    """Register `clebsch_gordan` as `py3nj` where that package, which needs Fortran, is missing.

    escnn looks for `py3nj` when it is imported and falls back to a numerical method that fails beside
    scikit-learn; call this before importing escnn.
    """
    if "py3nj" not in sys.modules and importlib.util.find_spec("py3nj") is None:
        stand_in = types.ModuleType("py3nj", "Stand-in by morphobench: clebsch_gordan only.")
        stand_in.clebsch_gordan = clebsch_gordan
        sys.modules["py3nj"] = stand_in
