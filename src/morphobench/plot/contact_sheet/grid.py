"""The empty contact sheet, a row per cell and a column per stage, and its scatter plots of points."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphobench.plot import style

_TITLE_WIDTH, _ID_WIDTH = 110, 20  # characters
_MAX_POINTS = 4000
# Square points that all points of a cell cover together.
_INK = 1200


def empty_sheet(n_rows: int, columns: Sequence[str], title: str) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes (n_rows, columns), without frames."""
    style.apply()
    size = (180 * style.MM, (36 * n_rows + 14) * style.MM)
    figure, grid = plt.subplots(n_rows, len(columns), figsize=size, layout="constrained", squeeze=False)
    figure.suptitle("\n".join(textwrap.wrap(title, _TITLE_WIDTH)), fontsize=7.5)
    for axes in grid.flat:
        axes.spines[:].set_visible(False)
        axes.set(xticks=[], yticks=[])
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name)
    return figure, grid


def wrap_identifier(identifier: str) -> str:
    """Break an identifier, such as a UUID, into lines that fit beside a row of pictures.

    Examples
    --------
    >>> wrap_identifier("7624cd5b-715a-478e-9648-3bac4a73abe8").split()
    ['7624cd5b-715a-478e-', '9648-3bac4a73abe8']
    """
    return "\n".join(textwrap.wrap(identifier, _ID_WIDTH))


def limit(axes: Axes, reach: float) -> None:
    """Show -reach to reach along both axes."""
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))


def draw_points(axes: Axes, points: np.ndarray, values: np.ndarray, reach: float, **look: Any) -> None:
    """Draw up to 4000 points (n, 3) in projection along z, coloured by their values (n,).

    Without a size `s`, few points are larger ones.
    """
    step = max(1, len(points) // _MAX_POINTS)
    x, y, _ = points[::step].T
    size = {"s": float(np.clip(_INK / len(x), 0.4, 4))}
    axes.scatter(x, y, c=values[::step], lw=0, **{**size, **look})
    limit(axes, reach)
    axes.set_aspect("equal")
