"""Stage `sample` for clouds of recorded points: as many of each cell, and cubes that count them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files, seeds
from morphobench.errors import InputError
from morphobench.files import FilePath, shards
from morphobench.files.layout import stored_weighted_cloud
from morphobench.files.volumes import Layout
from morphobench.geometry.region import AXES, fits
from morphobench.sample.cube import TOP


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    dataset_name: str,
    box: FilePath,
    points: Mapping[str, Any],
    cube: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Sample one shard of stage `mask`, in the layout of punctate structures.

    Writes points_um.npy (n_ok, n_points, 3) float32, x, y, z, micrometres from the middle of the cell;
    intensity.npy (n_ok, n_points) float32, the weight of each point; and cube.npy (n_ok, size, size, size)
    uint16, z, y, x, in which these points are counted. Number of points of a cell alone could tell classes:
    points and cubes hold as many of every cell. Adds `seed`, fits_{z,y,x} and `excluded`, as for images.

    Parameters
    ----------
    box
        File of the common box, see `mask.box`.
    points
        n_points; jitter_um, width of the uniform noise on each coordinate; with_replacement, whether cells
        with fewer points repeat some.
    cube
        Arguments size, side_um and crop of `count_in_cube`.
    """
    common = json.loads(Path(box).read_text(encoding="utf-8"))

    def sample_cell(row: dict[str, Any]) -> shards.Result:
        fit = fits([row[f"box_{axis}"] for axis in AXES], [common[axis] for axis in AXES])
        if common["policy"] == "drop" and not all(fit.values()):
            large = ", ".join(axis for axis in AXES if not fit[f"fits_{axis}"])
            error = (
                f"does not fit the common box along {large}. Raise box.quantile, or set box.policy to crop."
            )
            return fit | {"success": False, "excluded": True, "error": error}, {}
        parts = (seed, dataset_name, "sample", row["CellId"])
        sampled_um, weight = subsample(*stored_weighted_cloud(shard_in, row), points, seeds.generator(*parts))
        counts = count_in_cube(sampled_um, weight, **cube)
        arrays = {"points_um": sampled_um, "intensity": weight, "cube": counts}
        return fit | {"seed": seeds.integer(*parts)}, arrays

    arrays = {
        "points_um": Layout(np.float32, (points["n_points"], 3)),
        "intensity": Layout(np.float32, (points["n_points"],)),
        "cube": Layout(np.uint16, (cube["size"],) * 3),
    }
    cells = files.read_cells(shard_in)
    defaults = {"seed": -1} | {f"fits_{axis}": False for axis in AXES}
    with shards.create(shard_out, "sample", max_failed_fraction) as shard:
        shard.fill(cells, sample_cell, arrays, defaults, timed=True)


def subsample(
    points_um: np.ndarray, weight: np.ndarray, points: Mapping[str, Any], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sample points (n, 3) and their weights (n,) uniformly; see `run`.

    Raises
    ------
    InputError
        When there are too few, and none may be repeated.
    """
    n_points, n_there = points["n_points"], len(points_um)
    repeats = n_there < n_points
    if repeats and not points["with_replacement"]:
        few = f"the cell has {n_there} points, fewer than sample.points.n_points = {n_points}"
        raise InputError(f"{few}. Lower it, set sample.points.with_replacement, or remove the cell.")
    index = rng.choice(n_there, n_points, replace=repeats)
    noise_um = (rng.random((n_points, 3)) - 0.5) * points["jitter_um"]
    return (points_um[index] + noise_um).astype(np.float32), weight[index]


def count_in_cube(
    points_um: np.ndarray, weight: np.ndarray, *, size: int, side_um: float, crop: bool
) -> np.ndarray:
    """Count points (n, 3) by their weights (n,) in a centred cube, the fullest voxel 65535; uint16, z, y, x.

    Raises
    ------
    InputError
        When a point lies outside and `crop` is not set, or no point has a weight.
    """
    reach_um = float(np.abs(points_um).max())
    if reach_um > side_um / 2 and not crop:
        found = f"the cell reaches {reach_um:.3f} um, beyond sample.cube.side_um = {side_um:g}"
        raise InputError(f"{found}. Raise it above {2 * reach_um:.3f}, or set sample.cube.crop.")
    edges = [np.linspace(-side_um / 2, side_um / 2, size + 1)] * 3
    counts_zyx, _ = np.histogramdd(points_um[:, ::-1], edges, weights=weight.clip(min=0))
    if not counts_zyx.max() > 0:
        raise InputError("no point in the cube has a weight above 0. Check source.points.columns.weight.")
    return np.rint(counts_zyx * (TOP / counts_zyx.max())).astype(np.uint16)
