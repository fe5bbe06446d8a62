"""Stage `sample` for punctate structures: clouds sampled by intensity, and cubes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench import files, seeds
from morphobench.files import FilePath, shards
from morphobench.files.layout import SIZES, stored_cell
from morphobench.files.volumes import Layout
from morphobench.geometry.region import AXES, crop_to_box, fits, offset_in_box
from morphobench.sample.cube import to_cube
from morphobench.sample.points import sample_points
from morphobench.sample.reference import reference_encoding


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    dataset_name: str,
    box: FilePath,
    variant: str | Mapping[str, str],
    points: Mapping[str, Any],
    cube: Mapping[str, Any],
    mode: str = "corrected",
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Sample one shard of stage `mask`; it fails when too many of its cells do.

    Writes points_um.npy (n_ok, n_points, 3) float32, axes x, y, z, micrometres from the centre of the mask;
    intensity.npy (n_ok, n_points) float32, camera counts of each point's voxel (for mode "reference" those of
    `reference_encoding`); cube.npy (n_ok, size, size, size) uint16, axes z, y, x. Adds `seed` of the cell's
    generator, -1 for cells that were not sampled; fits_{z,y,x}, whether it fits the common box; and
    `excluded`, set for cells that the box's policy drops, which are no failures.

    Parameters
    ----------
    box
        File of the common box, see `mask.box`.
    variant
        Sampler, see `sample_points`; or one for each structure_name.
    points
        Arguments n_points and jitter_voxel of `sample_points`.
    cube
        Arguments size, side_um and crop of `to_cube`.
    mode
        Of `sample_points`.
    """
    common = json.loads(Path(box).read_text(encoding="utf-8"))
    box_zyx = [common[axis] for axis in AXES]

    def sample_cell(row: dict[str, Any]) -> shards.Result:
        shape_zyx = [row[column] for column in SIZES]
        fit = fits(shape_zyx, box_zyx)
        if common["policy"] == "drop" and not all(fit.values()):
            large = [axis for axis in AXES if not fit[f"fits_{axis}"]]
            sizes = "; ".join(f"{axis} {row[f'size_{axis}']} of {common[axis]} voxels" for axis in large)
            error = f"does not fit the common box: {sizes}. Raise box.quantile, or set box.policy to crop."
            return fit | {"success": False, "excluded": True, "error": error}, {}
        parts = (seed, dataset_name, "sample", row["CellId"])
        volumes_zyx = stored_cell(shard_in, row)
        cropped_zyx = [crop_to_box(volume_zyx, box_zyx) for volume_zyx in volumes_zyx]
        # As an index into the cell once cropped to the box.
        center_zyx = np.array([row[f"center_{axis}_voxel"] for axis in AXES])
        center_zyx += np.minimum(offset_in_box(shape_zyx, box_zyx), 0)
        clip = None if np.isnan(row["clip_low"]) else (row["clip_low"], row["clip_high"])
        sampler = shards.by_structure(variant, row, "sample.variant")
        law = {**points, "variant": sampler, "mode": mode, "rng": seeds.generator(*parts)}
        if mode == "reference":
            encoded = reference_encoding(*volumes_zyx, variant=sampler, box_zyx=box_zyx, clip=clip)
            cloud = sample_points(*encoded, **law)
        else:
            cloud = sample_points(*cropped_zyx, center_zyx=center_zyx, **law)
        place = {"center_zyx": center_zyx, "spacing_um": row["spacing_um"]}
        return fit | {"seed": seeds.integer(*parts)}, {
            "points_um": cloud[:, 2::-1] * np.float32(row["spacing_um"]),
            "intensity": cloud[:, 3],
            "cube": to_cube(*cropped_zyx, **place, clip=clip, **cube),
        }

    arrays = {
        "points_um": Layout(np.float32, (points["n_points"], 3)),
        "intensity": Layout(np.float32, (points["n_points"],)),
        "cube": Layout(np.uint16, (cube["size"],) * 3),
    }
    cells = files.read_cells(shard_in)
    if "excluded" not in cells:
        cells = cells.assign(excluded=False)
    defaults = {"seed": -1} | {f"fits_{axis}": False for axis in AXES}
    with shards.create(shard_out, "sample", max_failed_fraction) as shard:
        shard.fill(cells, sample_cell, arrays, defaults, timed=True)
