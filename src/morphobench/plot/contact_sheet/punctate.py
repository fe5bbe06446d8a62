"""Contact sheet of punctate cells: crop, aligned, masked, points and cube."""

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
from morphobench.plot.contact_sheet.grid import draw_points, empty_sheet, limit, wrap_identifier

_TITLES = ("crop", "aligned", "masked", "points, lighter is brighter", "cube")
_BRIGHTEST = 99.8


class Picture(NamedTuple):
    """A volume in projection along the optical axis.

    Attributes
    ----------
    image_yx
        Largest value along z.
    outline_yx
        Extent of the mask, bool; None for no outline.
    half_um
        Half the width and half the height, micrometres (x, y).
    """

    image_yx: np.ndarray
    outline_yx: np.ndarray | None
    half_um: tuple[float, float]


class Views(NamedTuple):
    """A cell after every stage: the crop, aligned, masked; points with their intensity; the cube."""

    cell: str
    pictures: tuple[Picture, Picture, Picture]
    points_um: np.ndarray
    intensity: np.ndarray
    cube: Picture


def project(volume_zyx: np.ndarray, mask_zyx: np.ndarray | None, spacing_um: float) -> Picture:
    """Project a volume, and the outline of its mask, along z."""
    image_yx = volume_zyx.max(axis=0)
    half = tuple(n * spacing_um / 2 for n in image_yx.shape[::-1])
    return Picture(image_yx, None if mask_zyx is None else (mask_zyx > 0).any(axis=0), half)


def read_views(cell: str, folders: Mapping[str, Path], dataset: Mapping[str, Any]) -> Views:
    """Read a cell from the shard folder of each stage; `dataset` has the keys of stage align, and side_um."""
    rows = {name: files.read_cell(folder, cell) for name, folder in folders.items()}
    spacing_um = dataset["voxel_um"]
    crop = crop_folder(folders["download"], dataset["source"])
    raw_zyx, _, kept_zyx = read_crops(rows["download"], crop, dataset, spacing_um)
    pictures = [project(raw_zyx, kept_zyx, spacing_um)]
    for name in ("align", "mask"):
        structure_zyx, mask_zyx = stored_cell(folders[name], rows[name])
        if name == "mask":
            structure_zyx, mask_zyx = np.where(mask_zyx > 0, structure_zyx, 0), None
        pictures.append(project(structure_zyx, mask_zyx, spacing_um))
    points_um, intensity, cube = (
        files.read_array(folders["sample"], name)[rows["sample"]["index"]]
        for name in ("points_um", "intensity", "cube")
    )
    cube_picture = project(cube, None, dataset["side_um"] / cube.shape[0])
    return Views(cell, tuple(pictures), points_um, intensity, cube_picture)


def _draw_picture(axes: Axes, picture: Picture, reach_um: float) -> None:
    x, y = picture.half_um
    positive = picture.image_yx[picture.image_yx > 0]
    low, high = (positive.min(), np.percentile(positive, _BRIGHTEST)) if positive.size else (0, 1)
    extent = (-x, x, -y, y)
    axes.imshow(picture.image_yx, cmap="gray", vmin=low, vmax=high, origin="lower", extent=extent)
    if picture.outline_yx is not None:
        axes.contour(picture.outline_yx, [0.5], colors="#E69F00", linewidths=0.6, extent=extent)
    limit(axes, reach_um)
    axes.set_facecolor("0.9")


def draw(cells: Sequence[Views], title: str, unit: str) -> Figure:
    """Draw one row per cell and one column per stage, all at one scale."""
    figure, grid = empty_sheet(len(cells), _TITLES, title)
    reach_um = max(max(picture.half_um) for cell in cells for picture in cell.pictures)
    for row, cell in zip(grid, cells, strict=True):
        for axes, picture in zip(row[[0, 1, 2, 4]], (*cell.pictures, cell.cube), strict=True):
            _draw_picture(axes, picture, reach_um)
        brightest = np.percentile(cell.intensity, _BRIGHTEST)
        draw_points(row[3], cell.points_um, cell.intensity, reach_um, cmap="viridis", vmax=brightest)
        row[0].set_ylabel(wrap_identifier(cell.cell))
    layout.draw_scale_bar(grid[-1][0], reach_um, layout.scale_bar_length(reach_um), unit)
    return figure
