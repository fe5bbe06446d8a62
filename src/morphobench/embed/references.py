"""What a reconstruction error is read against: another sampling of the cell, another cell, the mean shape."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from morphobench import seeds
from morphobench.files import FilePath
from morphobench.geometry.overlap import Mesh, common_grid, voxelise
from morphobench.geometry.packing import upsample
from morphobench.models.cells import POINT_CLOUDS, Cells, open_cells
from morphobench.models.decode_surfaces import masked_mesh, volume_mesh


class CloudReferences(NamedTuple):
    """Clouds that the stored clouds of test cells are compared with, in micrometres.

    Attributes
    ----------
    clouds
        The test cells.
    others
        See `other_cells`.
    mean_um
        See `mean_cloud`.
    jitter
        For packings, the arguments of `upsample`; else None.
    draws
        Seed of each cell.
    """

    clouds: Cells
    others: np.ndarray
    mean_um: Tensor
    jitter: Mapping[str, Any] | None
    draws: Sequence[int]

    def again_um(self, row: int) -> Tensor | None:
        """Return a packing's spheres, copied and jittered anew, shape (1, n_points, 3); None for others."""
        if self.jitter is None:
            return None
        rng = np.random.default_rng(self.draws[row])
        return torch.from_numpy(upsample(self.clouds.centres_um(row), **self.jitter, rng=rng))[None]

    def other_um(self, row: int) -> Tensor | None:
        """Return the stored cloud of another cell of its stratum; None for a cell that is alone."""
        other = self.others[row]
        return None if other < 0 else torch.from_numpy(self.clouds.raw([other])["points_um"])


def cloud_references(
    manifest: FilePath,
    shards: Sequence[FilePath],
    *,
    dataset: str,
    n_points: int,
    stratum: str | None,
    packing: Mapping[str, Any] | None,
    seed: int,
) -> CloudReferences:
    """Read the test and training clouds of a data set; see `reconstruction.run`."""
    clouds = open_cells(manifest, shards, POINT_CLOUDS, "test")
    known = open_cells(manifest, shards, POINT_CLOUDS, "train", required=False)
    mean_um = mean_cloud(known, n_points, seeds.integer(seed, dataset, "mean shape"))
    draws = [seeds.integer(seed, dataset, "sampled again", cell) for cell in clouds.table["CellId"]]
    others = other_cells(clouds.table, stratum, seeds.integer(seed, dataset, "other cell"))
    return CloudReferences(clouds, others, mean_um, packing and packing["points"], draws)


def other_cells(table: pd.DataFrame, stratum: str | None, seed: int) -> np.ndarray:
    """Draw another cell of the same stratum for each cell, of another group where there is one.

    Returns rows of `table`, shape (n,), the same for every model; -1 for a cell that is alone, or of no
    stratum. Without a column `stratum` all are of one.
    """
    values = pd.factorize(table[stratum])[0] if stratum in table else np.zeros(len(table))
    groups, rows = table["group"].to_numpy(), np.arange(len(table))
    drawn = []
    for row, cell in enumerate(table["CellId"]):
        alike = (values == values[row]) & (rows != row) & (values >= 0)
        apart = alike & (groups != groups[row])
        choices = np.flatnonzero(apart if apart.any() else alike)
        drawn.append(choices[int(seeds.place(seed, cell) * len(choices))] if len(choices) else -1)
    return np.array(drawn, dtype=np.int64)


def mean_cloud(cells: Cells, n_points: int, seed: int) -> Tensor:
    """Return points of the clouds of all cells together, shape (1, n_points, 3): of their mean density.

    NaN without cells.
    """
    if not len(cells):
        return torch.full((1, n_points, 3), torch.nan)
    rng = np.random.default_rng(seed)
    clouds = (cells.raw([row])["points_um"][0] for row in rng.integers(0, len(cells), n_points))
    return torch.from_numpy(np.stack([cloud[rng.integers(len(cloud))] for cloud in clouds])[None])


def mean_mesh(
    cells: pd.DataFrame, meshes: Sequence[FilePath], embed_config: Mapping[str, Any], seed: int
) -> Mesh | None:
    """Return the surface of the voxels that lie in most training cells, as many as a cell has on average.

    Cells are centred by their bounding boxes, `error_voxels` along the longest side of all; up to
    `mean_shape_cells` of them, chosen by `seed` and CellId. None without cells.
    """
    from scipy.ndimage import gaussian_filter

    rows = sorted(cells.to_dict("records"), key=lambda row: seeds.integer(seed, row["CellId"]))
    shapes = [masked_mesh(row, meshes) for row in rows[: embed_config["mean_shape_cells"]]]
    if not shapes:
        return None
    grid = common_grid(shapes, embed_config["error_voxels"], embed_config["speck_share"])
    count_zyx = np.zeros(grid.n_xyz[::-1])
    for shape in shapes:
        count_zyx += voxelise(shape, grid)
    n_inside = max(round(count_zyx.sum() / len(shapes)), 1)
    # Numbers of cells tie; smoothed ones do not.
    share_zyx = gaussian_filter(count_zyx, 1.0, mode="constant")
    least = np.sort(share_zyx, axis=None)[-n_inside]
    vertices_um, faces = volume_mesh(share_zyx - least, float(grid.edge_um[0]), -0.5)
    return vertices_um + grid.low_um, faces
