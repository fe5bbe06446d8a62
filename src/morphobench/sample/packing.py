"""Stage `sample` for packings: clouds of jittered copies of the points, and cubes drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import shards
from morphobench.files.arrays import write_rows


def run(
    shard_in: str | Path,
    shard_out: str | Path,
    *,
    dataset_name: str,
    points: Mapping[str, Any],
    cube: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Sample one shard: points_um.npy (n_ok, n_points, 3) float32 and cube.npy (n_ok, s, s, s) uint8, zyx.

    Adds column `index`, the cell's row in both arrays, -1 for failed cells.

    Parameters
    ----------
    shard_in
        Shard folder of stage `mask`.
    shard_out
        Folder to write, whole or not at all.
    dataset_name
        Part of each cell's seed.
    points
        Arguments n_points, jitter_um and jitter_clip_um of `upsample`.
    cube
        Arguments size, side_um, radius_um and oversample of `rasterise`.
    seed
        Seed of the run.
    max_failed_fraction
        Largest share of failed cells that lets the stage go on.

    Raises
    ------
    InputError
        When too many cells fail.
    """
    shard_in = Path(shard_in)
    points_um = files.read_array(shard_in, "points_um")

    def work(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        cloud_um = shards.cloud(points_um, row)
        check_fits(cloud_um, cube["side_um"], cube["radius_um"])
        rng = seeds.generator(seed, dataset_name, "sample", row["CellId"])
        return {}, {"points_um": upsample(cloud_um, **points, rng=rng), "cube": rasterise(cloud_um, **cube)}

    arrays = {
        "points_um": (np.float32, (points["n_points"], 3)),
        "cube": (np.uint8, (cube["size"],) * 3),
    }
    with files.atomic_folder(shard_out) as part:
        cells = write_rows(part, files.read_cells(shard_in), arrays, work)
        shards.finish(part, cells, max_failed_fraction, "sample")


def check_fits(points_um: np.ndarray, side_um: float, radius_um: float) -> None:
    """Make sure that spheres stay inside a centred cube.

    Parameters
    ----------
    points_um
        Sphere centres, shape (n, 3), micrometres.
    side_um, radius_um
        Side of the cube and radius of a sphere, micrometres.

    Raises
    ------
    InputError
        When one does not, naming the side that would do.
    """
    reach_um = float(np.abs(points_um).max()) + radius_um
    if reach_um >= side_um / 2:
        raise InputError(
            f"the cell reaches {reach_um:.3f} um from its centre, beyond sample.cube.side_um = {side_um:g}. "
            f"Raise sample.cube.side_um above {2 * reach_um:.3f}, or remove the cell."
        )


def upsample(
    points_um: np.ndarray, *, n_points: int, jitter_um: float, jitter_clip_um: float, rng: np.random.Generator
) -> np.ndarray:
    """Repeat a cloud up to a number of points, each copy with its own clipped Gaussian jitter.

    Published scheme (Vasan et al. 2025, cellPACK loader): whole copies, all jittered. Where `n_points` is no
    multiple of the cloud's size, the last copy is a random subset.

    Parameters
    ----------
    points_um
        Shape (k, 3), micrometres.
    n_points
        Number of points wanted.
    jitter_um, jitter_clip_um
        Standard deviation of the jitter per axis and its largest size, micrometres.
    rng
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Shape (n_points, 3), float32, copy after copy.
    """
    whole, rest = divmod(n_points, len(points_um))
    last = rng.choice(len(points_um), rest, replace=False)
    index = np.concatenate([np.tile(np.arange(len(points_um)), whole), last])
    jitter = rng.normal(0.0, jitter_um, (n_points, 3)).clip(-jitter_clip_um, jitter_clip_um)
    return (points_um[index] + jitter).astype(np.float32)


def rasterise(
    points_um: np.ndarray, *, size: int, side_um: float, radius_um: float, oversample: int
) -> np.ndarray:
    """Draw spheres into a centred cube: each voxel counts its sub-voxels that some sphere covers.

    Equals voxelising all spheres at the sub-voxel size and summing blocks, as the published images were made,
    without the oversampled volume. A sub-voxel is covered when its centre lies within the radius of a sphere,
    or when it holds a sphere's centre.

    Parameters
    ----------
    points_um
        Sphere centres, shape (n, 3), xyz, micrometres, origin at the middle of the cube; must pass
        `check_fits`.
    size
        Voxels per side.
    side_um
        Side of the cube, micrometres.
    radius_um
        Radius of the spheres, micrometres.
    oversample
        Sub-voxels per voxel edge.

    Returns
    -------
    numpy.ndarray
        Shape (size, size, size), axes z, y, x, uint8, saturating at 255.
    """
    edge_um = side_um / size / oversample
    position = np.asarray(points_um, dtype=np.float64)[:, ::-1] / edge_um + size * oversample / 2
    home = np.floor(position).astype(np.int64)
    reach = int(np.ceil(radius_um / edge_um))
    steps = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    # Squared distances separate by axis, so only (n, 3, steps) numbers need the offset within the sub-voxel.
    along = (steps + (home - position)[..., None] + 0.5) ** 2
    squared = sum(along[:, axis, around[:, axis] + reach] for axis in range(3))
    covered = (squared <= (radius_um / edge_um) ** 2) | ~around.any(axis=1)
    sphere, step = np.nonzero(covered)
    fine = np.full(3, size * oversample)
    # The same sub-voxel under two spheres counts once.
    flat = np.unique(np.ravel_multi_index(tuple((home[sphere] + around[step]).T), fine))
    voxel = np.ravel_multi_index(tuple(i // oversample for i in np.unravel_index(flat, fine)), (size,) * 3)
    filled, counts = np.unique(voxel, return_counts=True)
    cube_zyx = np.zeros(size**3, dtype=np.uint8)
    cube_zyx[filled] = counts.clip(max=255)
    return cube_zyx.reshape(size, size, size)
