"""Contact sheet of recorded points: all of them, aligned, sampled, and the cube."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from morphobench import files
from morphobench.files.layout import stored_weighted_cloud
from morphobench.plot import layout
from morphobench.plot.contact_sheet.grid import draw_points, empty_sheet, limit, wrap_identifier

_TITLES = ("recorded, colour is z", "aligned", "sampled", "sampled, colour is weight", "cube")
_BRIGHTEST = 99.8


class Views(NamedTuple):
    """A cell: its points before and after alignment, those sampled with their weights, and the cube."""

    cell: str
    recorded_um: np.ndarray
    aligned_um: np.ndarray
    points_um: np.ndarray
    weight: np.ndarray
    cube_yx: np.ndarray
    half_um: float


def read_views(cell: str, folders: Mapping[str, Path], dataset: Mapping[str, Any]) -> Views:
    """Read a cell from the shard folder of each stage; `dataset` has the key side_um."""
    rows = {name: files.read_cell(folder, cell) for name, folder in folders.items()}
    clouds = [stored_weighted_cloud(folders[name], rows[name])[0] for name in ("download", "align")]
    points_um, weight, cube_zyx = (
        files.read_array(folders["sample"], name)[rows["sample"]["index"]]
        for name in ("points_um", "intensity", "cube")
    )
    return Views(cell, *clouds, points_um, weight, cube_zyx.sum(axis=0), dataset["side_um"] / 2)


def draw(cells: Sequence[Views], title: str, unit: str) -> Figure:
    """Draw one row per cell and one column per stage, all at one scale, in projection along z."""
    figure, grid = empty_sheet(len(cells), _TITLES, title)
    reach_um = max(float(np.abs(cell.recorded_um[:, :2]).max()) for cell in cells) * 1.05
    for row, cell in zip(grid, cells, strict=True):
        for axes, points_um in zip(row, (cell.recorded_um, cell.aligned_um, cell.points_um), strict=False):
            draw_points(axes, points_um, points_um[:, 2], reach_um, cmap="viridis")
        top = np.percentile(cell.weight, _BRIGHTEST)
        draw_points(row[3], cell.points_um, cell.weight, reach_um, cmap="viridis", vmin=0, vmax=top)
        extent = (-cell.half_um, cell.half_um) * 2
        row[4].imshow(cell.cube_yx, cmap="gray", origin="lower", extent=extent)
        limit(row[4], reach_um)
        n_recorded, n_sampled = len(cell.recorded_um), len(cell.points_um)
        row[0].set_ylabel(f"{wrap_identifier(cell.cell)}\n{n_recorded} points,\n{n_sampled} sampled")
    layout.draw_scale_bar(grid[-1][0], reach_um, layout.scale_bar_length(reach_um), unit)
    return figure
