"""Scale factors of shapes on their grids: one for all cells of a dataset, one for each, or a file of them."""

from collections.abc import Iterable

import numpy as np

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, weights
from morphobench.files.factors import read_factors
from morphobench.log import logger
from morphobench.mask.passed import read_cells

_EXTENTS = [f"extent_{axis}_um" for axis in "xyz"]


def run(
    shards: Iterable[FilePath],
    out: FilePath,
    *,
    mode: str,
    resolution: int,
    margin_voxel: float = 2,
    file: FilePath | None = None,
    reference: bool = False,
    frozen: FilePath | None = None,
) -> None:
    """Write the scale factor of every cell of the shards of stage `mask` as a table.

    Columns: CellId, by which it is sorted; scale_factor, grid voxels per micrometre; max_extent_um, the
    longest side of the cell's bounding box. Cells that failed before have NaN in both.

    Parameters
    ----------
    mode
        "global": the largest cell sets the factor of all, so that sizes stay comparable. "per_cell": each
        cell fills the grid. "file": those of `file`; a cell that it lacks has NaN.
    resolution
        Grid voxels along each side.
    margin_voxel
        Grid voxels that stay free on either side, without `reference`.
    file
        The published scale_factor.npz, see `read_factors`: grid voxels per source voxel.
    reference
        With extents D in source voxels: resolution / (D + 2 floor(resolution / 1.5)): small cells fill
        less of the grid, and less of a finer one.
    frozen
        File of the factor that mode "global" keeps, whatever these cells need (`weights.frozen`). Of larger
        ones stage `sample` says that they leave the grid.

    Raises
    ------
    InputError
        When the settings contradict each other, no cell is left to measure, or the file is wrong.
    """
    if (mode == "file") != bool(file):
        raise InputError(f"scale_factor.mode is {mode} and scale_factor.file {file}: set both, or neither.")
    if margin_voxel < 0 or resolution - 2 * margin_voxel <= 0:
        margin = f"scale_factor.margin_voxel = {margin_voxel:g}"
        raise InputError(f"{margin} leaves nothing of {resolution} voxels. Take 0 or more, below half of it.")
    cells = read_cells(shards, out)
    good = cells["success"].to_numpy(bool)
    extent_um = cells[_EXTENTS].to_numpy(np.float64).max(axis=1)
    spacing_um = cells["spacing_um"].to_numpy(np.float64)
    if mode == "file":
        known = read_factors(file)
        factor = np.array([known.get(cell, np.nan) for cell in cells["CellId"]]) / spacing_um
        logger.info("scale_factor: %s lacks %d of %d cells", file, np.isnan(factor[good]).sum(), good.sum())
    else:
        grid = {"resolution": resolution, "margin_voxel": margin_voxel, "reference": reference}
        factor = factor_of(extent_um, spacing_um, **grid)
    if mode == "global":
        kept = weights.frozen(frozen, "scale_factor") if frozen else factor[good].min()
        factor = np.full_like(factor, kept)
    factor[~good] = extent_um[~good] = np.nan
    files.write_table(cells[["CellId"]].assign(scale_factor=factor, max_extent_um=extent_um), out)


def factor_of(
    extent_um: np.ndarray | float,
    spacing_um: np.ndarray | float,
    *,
    resolution: int,
    margin_voxel: float,
    reference: bool,
) -> np.ndarray | float:
    """Return the factor by which a cell of this longest side fills its grid, voxels per um; see `run`."""
    if reference:
        return resolution / (extent_um + 2 * np.floor(resolution / 1.5) * spacing_um)
    return (resolution - 2 * margin_voxel) / extent_um
