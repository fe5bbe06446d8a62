"""Contact sheet of punctate cells: crop, aligned, masked, points and cube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphobench import files
from morphobench.files.crops import read_crops
from morphobench.files.layout import crop_folder, stored_cell
from morphobench.plot import layout

_TITLES = ("crop", "aligned", "masked", "points, brighter in lighter colour", "cube")
_MAX_POINTS = 4000
_BRIGHTEST = 99.8


class Picture(NamedTuple):
    """A volume as seen along the optical axis.

    Attributes
    ----------
    image_yx
        Largest value along z.
    outline_yx
        Where the mask is, bool; None for no outline.
    half_um
        Half the width and half the height, micrometres (x, y).
    """

    image_yx: np.ndarray
    outline_yx: np.ndarray | None
    half_um: tuple[float, float]


class Views(NamedTuple):
    """One cell after every stage: the crop, aligned, masked; points with their counts; the cube."""

    cell: str
    pictures: tuple[Picture, Picture, Picture]
    points_um: np.ndarray
    intensity: np.ndarray
    cube: Picture


def picture(volume_zyx: np.ndarray, mask_zyx: np.ndarray | None, spacing_um: float) -> Picture:
    """Project a volume, and the outline of its mask, along z."""
    image_yx = volume_zyx.max(axis=0)
    half = tuple(n * spacing_um / 2 for n in image_yx.shape[::-1])
    return Picture(image_yx, None if mask_zyx is None else (mask_zyx > 0).any(axis=0), half)


def views(cell: str, folders: Mapping[str, Path], dataset: Mapping[str, Any]) -> Views:
    """Collect one cell from the shard folder of each stage.

    Parameters
    ----------
    cell
        CellId.
    folders
        Shard folder that holds it, by stage.
    dataset
        See `morphobench.align.punctate.run`; also side_um of its cubes.
    """
    rows = {name: files.read_cell(folder, cell) for name, folder in folders.items()}
    spacing_um = dataset["voxel_um"]
    raw_zyx, _, kept_zyx = read_crops(
        rows["download"], crop_folder(folders["download"], dataset["source"]), dataset, spacing_um
    )
    found = [picture(raw_zyx, kept_zyx, spacing_um)]
    for name in ("align", "mask"):
        structure_zyx, mask_zyx = stored_cell(folders[name], rows[name])
        shown = structure_zyx if name == "align" else np.where(mask_zyx > 0, structure_zyx, 0)
        found.append(picture(shown, mask_zyx if name == "align" else None, spacing_um))
    index = rows["sample"]["index"]
    points_um, intensity, cube = (
        files.read_array(folders["sample"], name)[index] for name in ("points_um", "intensity", "cube")
    )
    return Views(
        cell, tuple(found), points_um, intensity, picture(cube, None, dataset["side_um"] / cube.shape[0])
    )


def _draw_picture(axes: Axes, shown: Picture, reach_um: float) -> None:
    x, y = shown.half_um
    lit = shown.image_yx[shown.image_yx > 0]
    low, high = (lit.min(), np.percentile(lit, _BRIGHTEST)) if lit.size else (0, 1)
    extent = (-x, x, -y, y)
    axes.imshow(shown.image_yx, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
    if shown.outline_yx is not None:
        axes.contour(shown.outline_yx, [0.5], colors="#E69F00", linewidths=0.6, extent=extent)
    axes.set(xlim=(-reach_um, reach_um), ylim=(-reach_um, reach_um), xticks=[], yticks=[], facecolor="0.9")


def _draw_points(axes: Axes, shown: Views, reach_um: float) -> None:
    step = max(1, len(shown.points_um) // _MAX_POINTS)
    x, y, _ = shown.points_um[::step].T
    high = np.percentile(shown.intensity, _BRIGHTEST)
    axes.scatter(x, y, c=shown.intensity[::step], s=0.4, lw=0, cmap="viridis", vmax=high)
    axes.set(xlim=(-reach_um, reach_um), ylim=(-reach_um, reach_um), xticks=[], yticks=[], aspect="equal")


def draw(shown: Sequence[Views], title: str) -> Figure:
    """Draw one row per cell and one column per stage, all at one scale.

    Parameters
    ----------
    shown
        The cells.
    title
        Line above them.
    """
    figure, grid = layout.sheet(len(shown), _TITLES, title)
    reach_um = max(max(one.half_um) for cell in shown for one in cell.pictures)
    for row, cell in zip(grid, shown, strict=True):
        for axes, one in zip(row[[0, 1, 2, 4]], (*cell.pictures, cell.cube), strict=True):
            _draw_picture(axes, one, reach_um)
        _draw_points(row[3], cell, reach_um)
        row[0].set_ylabel(layout.wrapped(cell.cell))
    layout.scale_bar(grid[-1][0], reach_um, length_um=5)
    return figure
