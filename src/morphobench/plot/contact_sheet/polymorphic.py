"""Contact sheet of polymorphic cells: segmentation, surface, distances, surface points, query points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphobench import files
from morphobench.files.layout import stored_mesh, stored_segmentation
from morphobench.plot import layout
from morphobench.plot.render import Mesh, render

_TITLES = ("masked, along z", "surface", "distances, mid plane", "surface points", "query points, mid slab")
_PIXELS = 400
_FARTHEST_VOXEL = 4
_MAX_POINTS = 4000
_SLAB = 0.1


class Views(NamedTuple):
    """One cell: its masked segmentation along z, its surface, and what was sampled of it.

    Attributes
    ----------
    depth_yx
        Share of the planes in which the structure lies.
    half_um
        Half the width and height of that picture, micrometres (x, y).
    mesh
        Vertices, micrometres, and faces.
    sdf_yx
        Signed distances in the middle plane of the grid, voxels.
    surface, queries, distances
        In the cell's unit cube.
    """

    cell: str
    n_pieces: int
    depth_yx: np.ndarray
    half_um: tuple[float, float]
    mesh: Mesh
    sdf_yx: np.ndarray
    surface: np.ndarray
    queries: np.ndarray
    distances: np.ndarray


def views(cell: str, folders: Mapping[str, Path], dataset: Mapping[str, Any]) -> Views:
    """Collect one cell from the shard folders of mask and sample.

    Parameters
    ----------
    cell
        CellId.
    folders
        Shard folder that holds it, by stage.
    dataset
        Key voxel_um.
    """
    masked, sampled = (files.read_cell(folders[name], cell) for name in ("mask", "sample"))
    mask_zyx = stored_segmentation(folders["mask"], masked)
    arrays = (
        files.read_array(folders["sample"], name) for name in ("sdf", "surface", "queries", "distances")
    )
    sdf_zyx, surface, queries, distances = (array[sampled["index"]] for array in arrays)
    half = tuple(n * dataset["voxel_um"] / 2 for n in mask_zyx.shape[:0:-1])
    return Views(
        cell,
        int(masked["n_pieces"]),
        mask_zyx.mean(axis=0),
        half,
        stored_mesh(folders["mask"], masked),
        np.asarray(sdf_zyx[len(sdf_zyx) // 2]),
        surface,
        queries,
        distances,
    )


def draw(shown: Sequence[Views], title: str) -> Figure:
    """Draw one row per cell and one column per step; the first two columns have one scale.

    Parameters
    ----------
    shown
        The cells.
    title
        Line above them.
    """
    figure, grid = layout.sheet(len(shown), _TITLES, title)
    reach_um = max(max(one.half_um) for one in shown)
    pictures = render([one.mesh for one in shown], _PIXELS)
    for i, (row, one) in enumerate(zip(grid, shown, strict=True)):
        x, y = one.half_um
        row[0].imshow(one.depth_yx, cmap="gray", vmin=0, origin="lower", extent=(-x, x, -y, y))
        row[0].set(xlim=(-reach_um, reach_um), ylim=(-reach_um, reach_um), facecolor="0.9")
        row[0].set_ylabel(f"{layout.wrapped(one.cell)}\n{one.n_pieces} piece{'s' * (one.n_pieces != 1)}")
        if pictures is None:
            _draw_points(row[1], one.mesh[0] - one.mesh[0].mean(axis=0), None, reach_um)
        else:
            row[1].imshow(pictures[i])
        limit = _FARTHEST_VOXEL
        row[2].imshow(one.sdf_yx, cmap="RdBu", vmin=-limit, vmax=limit, origin="lower")
        row[2].contour(one.sdf_yx, [0.0], colors="black", linewidths=0.5)
        _draw_points(row[3], one.surface, None, 0.55)
        near = np.abs(one.queries[:, 2]) < _SLAB
        _draw_points(row[4], one.queries[near], one.distances[near], 0.55)
    layout.scale_bar(grid[-1][0], reach_um, length_um=layout.round_length(reach_um))
    return figure


def _draw_points(axes: Axes, points: np.ndarray, distances: np.ndarray | None, reach: float) -> None:
    step = max(1, len(points) // _MAX_POINTS)
    x, y, depth = points[::step].T
    colors = depth if distances is None else distances[::step]
    limit = np.abs(colors).max() if len(colors) else 1.0
    look = {"cmap": "viridis"} if distances is None else {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
    if distances is not None:
        # Points near the surface are nearly white.
        axes.set_facecolor("0.75")
    axes.scatter(x, y, c=colors, s=0.6 if distances is None else 4, lw=0, **look)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
