"""Contact sheet of polymorphic cells: segmentation, surface, distances, surface points, query points."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from morphobench import files
from morphobench.files.layout import stored_mesh, stored_segmentation
from morphobench.plot import layout
from morphobench.plot.contact_sheet.grid import draw_points, empty_sheet, limit, wrap_identifier
from morphobench.plot.render import Mesh, centred, render

_TITLES = ("masked, along z", "surface", "distances, mid plane", "surface points", "query points, mid plane")
_PIXELS = 400
_FARTHEST_VOXEL = 4
_SECTION, _HALF_CUBE = 0.1, 0.55


class Views(NamedTuple):
    """A cell: its masked segmentation along z, its surface, and its samples.

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


def read_views(cell: str, folders: Mapping[str, Path], dataset: Mapping[str, Any]) -> Views:
    """Read a cell from the shard folders of mask and sample; `dataset` has the key voxel_um."""
    masked, sampled = (files.read_cell(folders[name], cell) for name in ("mask", "sample"))
    mask_zyx = stored_segmentation(folders["mask"], masked)
    sdf_zyx, surface, queries, distances = (
        files.read_array(folders["sample"], name)[sampled["index"]]
        for name in ("sdf", "surface", "queries", "distances")
    )
    half_um = tuple(n * dataset["voxel_um"] / 2 for n in mask_zyx.shape[:0:-1])
    seen = mask_zyx.mean(axis=0), half_um, stored_mesh(folders["mask"], masked)
    sdf_yx = np.asarray(sdf_zyx[len(sdf_zyx) // 2])
    return Views(cell, int(masked["n_pieces"]), *seen, sdf_yx, surface, queries, distances)


def draw(cells: Sequence[Views], title: str, unit: str) -> Figure:
    """Draw one row per cell and one column per step; the first two columns have one scale."""
    figure, grid = empty_sheet(len(cells), _TITLES, title)
    reach_um = max(max(cell.half_um) for cell in cells)
    pictures = render([cell.mesh for cell in cells], _PIXELS)
    depth = {"s": 0.6, "cmap": "viridis"}
    for i, (row, cell) in enumerate(zip(grid, cells, strict=True)):
        x, y = cell.half_um
        row[0].imshow(cell.depth_yx, cmap="gray", vmin=0, origin="lower", extent=(-x, x, -y, y))
        limit(row[0], reach_um)
        row[0].set_facecolor("0.9")
        pieces = f"{cell.n_pieces} piece{'s' * (cell.n_pieces != 1)}"
        row[0].set_ylabel(f"{wrap_identifier(cell.cell)}\n{pieces}")
        if pictures is None:
            vertices_um = centred(cell.mesh[0])
            draw_points(row[1], vertices_um, vertices_um[:, 2], reach_um, **depth)
        else:
            row[1].imshow(pictures[i])
        farthest = {"vmin": -_FARTHEST_VOXEL, "vmax": _FARTHEST_VOXEL}
        row[2].imshow(cell.sdf_yx, cmap="RdBu", origin="lower", **farthest)
        row[2].contour(cell.sdf_yx, [0.0], colors="black", linewidths=0.5)
        draw_points(row[3], cell.surface, cell.surface[:, 2], _HALF_CUBE, **depth)
        near = np.abs(cell.queries[:, 2]) < _SECTION
        distances = cell.distances[near]
        largest = np.abs(distances).max(initial=0) or 1.0
        look = {"s": 4, "cmap": "RdBu", "vmin": -largest, "vmax": largest}
        draw_points(row[4], cell.queries[near], distances, _HALF_CUBE, **look)
        # Points near the surface are nearly white.
        row[4].set_facecolor("0.75")
    layout.draw_scale_bar(grid[-1][0], reach_um, layout.scale_bar_length(reach_um), unit)
    return figure
