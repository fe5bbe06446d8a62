"""Published packings: brought into this project's frame, or left in theirs for published weights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.align import packing as align
from morphobench.download.remote import Store
from morphobench.errors import InputError
from morphobench.files import shards
from morphobench.files.layout import PACKINGS, SHAPES, positions_name
from morphobench.files.packings import read_positions, read_shapes
from morphobench.files.volumes import Layout
from morphobench.geometry import meshes, rotation
from morphobench.geometry.packing import to_packing_frame, upsample
from morphobench.mask import packing as mask
from morphobench.published import manifest as tables
from morphobench.published.shard import explained, fetch, rows_of
from morphobench.sample import packing as sample

FIGURES = f"{PACKINGS}/figures"
# Channel of the spheres in a published image; axes are packing y, channel, z, x.
_SPHERES = 1


def image_name(rule: str, shape: str, angle: str) -> str:
    """Return the published file name of the image of one packing."""
    return f"voxelized_image_pcna_analyze_{rule}_{shape}_{angle}_seed_0.ome.tiff"


def run(
    published: str | Path,
    shard_out: str | Path,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    download: Mapping[str, Any],
    seed: int,
    max_failed_fraction: float,
) -> None:
    """Write one shard of stage `sample` from published packings, see `morphobench.sample.packing`.

    The published layout holds positions and the shapes of nuclei: bringing them into this project's frame,
    centred on the nucleus, and drawing cubes from them is what the stages align, mask and sample do to
    packings that are made here, and their code does it. With sample.mode reference, for published weights,
    points keep the published axes and origin, and cubes are summed up from the published images.

    For the parameters see `morphobench.published.punctate.run`; `seed` is that of the run, and
    `dataset` holds mask, rules and source too.

    Raises
    ------
    InputError
        When the shapes are missing, or too many cells fail.
    """
    store = tables.store_of(dataset, download)
    root = PurePosixPath(dataset["published"]["preprocessed"]).parent
    cells = _angled(rows_of(published, shard, n_shards), store, dataset, root)
    reference = dataset["sample"].get("mode") == "reference"

    def names_of(row: Mapping[str, Any]) -> list[str]:
        parts = (row["rule"], row["group"], row["angle"])
        other = f"{FIGURES}/{image_name(*parts)}" if reference else _shape_name(row)
        return [str(root / PACKINGS / positions_name(*parts)), str(root / other)]

    cells, paths = fetch(cells, names_of, store, dataset["name"])
    located = {row["CellId"]: [paths.get(n) for n in names_of(row)] for row in cells.to_dict("records")}
    settings = {**dataset["sample"], "seed": seed, "dataset_name": dataset["name"]}
    settings.pop("mode", None)
    if reference:
        _as_published(shard_out, cells, located, dataset, settings, max_failed_fraction)
    else:
        _as_made_here(shard_out, cells, located, dataset, settings, max_failed_fraction)


def _shape_name(row: Mapping[str, Any]) -> str:
    return f"{SHAPES}/{row['group']}_{row['angle']}.obj"


def _angled(
    cells: pd.DataFrame, store: Store, dataset: Mapping[str, Any], root: PurePosixPath
) -> pd.DataFrame:
    """Add the angle of each cell's shape, and check its rule."""
    if "rule" not in cells:
        raise InputError(f"{dataset['published']['preprocessed']}: column rule is missing; add it.")
    name = str(root / SHAPES / "manifest.csv")
    path = store.fetch([name], dataset=dataset["name"])[name]
    angles = read_shapes(path).set_index("CellId")["angle"]
    angle = cells["group"].map(angles)
    errors = cells["error"].copy()
    errors[angle.isna()] = f"{path}: this shape has no row. Add it, or leave its cells out."
    unknown = ~cells["rule"].isin(dataset["rules"])
    errors[unknown] = "its rule is none of `rules` in the dataset's yaml. Mend the manifest."
    return cells.assign(angle=angle.fillna(""), error=errors, success=errors == "")


def _as_made_here(
    shard_out: str | Path,
    cells: pd.DataFrame,
    located: Mapping[str, list[Path | None]],
    dataset: Mapping[str, Any],
    settings: Mapping[str, Any],
    max_failed_fraction: float,
) -> None:
    """Let the stages align, mask and sample work on a folder with the fetched files."""
    limit = {"max_failed_fraction": max_failed_fraction}
    with tempfile.TemporaryDirectory(prefix="morphobench-") as name:
        raw, aligned, masked = (Path(name) / shards for shards in ("download", "align", "mask"))
        (raw / PACKINGS).mkdir(parents=True)
        (raw / SHAPES).mkdir()
        for row in cells[cells["success"]].to_dict("records"):
            positions, shape = located[row["CellId"]]
            shutil.copyfile(
                positions, raw / PACKINGS / positions_name(row["rule"], row["group"], row["angle"])
            )
            _to_packing_units(shape, raw / _shape_name(row), dataset)
        files.write_table(cells, raw / files.CELL_TABLE)
        align.run(raw, aligned, dataset=dataset, **limit)
        mask.run(aligned, masked, **dataset["mask"], **limit)
        sample.run(masked, shard_out, **settings, **limit)


def _to_packing_units(shape: Path, out: Path, dataset: Mapping[str, Any]) -> None:
    """Bring a published shape where the stage align expects it, in packing units with the depth first."""
    source = dataset["source"]
    if out.exists():
        return
    if source["shape_axes"] == "depth_first" and source["shape_unit_um"] == dataset["voxel_um"]:
        shutil.copyfile(shape, out)
        return
    place = {"unit_um": source["shape_unit_um"], "axes": source["shape_axes"], "centred": False}
    mesh = to_packing_frame(meshes.read_closed_mesh(shape), voxel_um=dataset["voxel_um"], **place)
    mesh.export(out, include_normals=False)


def _as_published(
    shard_out: str | Path,
    cells: pd.DataFrame,
    located: Mapping[str, list[Path | None]],
    dataset: Mapping[str, Any],
    settings: Mapping[str, Any],
    max_failed_fraction: float,
) -> None:
    cube, points = settings["cube"], settings["points"]

    def work(row: dict[str, Any]) -> shards.Result:
        positions, image = located[row["CellId"]]
        cloud_um = read_positions(positions) * dataset["voxel_um"]
        rng = seeds.generator(settings["seed"], settings["dataset_name"], "sample", row["CellId"])
        return {}, {
            "points_um": upsample(cloud_um, **points, rng=rng),
            "cube": read_image(image, cube["size"]),
        }

    arrays = {
        "points_um": Layout(np.float32, (points["n_points"], 3)),
        "cube": Layout(np.float32, (cube["size"],) * 3),
    }
    with shards.create(shard_out, "published_cells", max_failed_fraction) as shard:
        shard.fill(cells, work, arrays)


def read_image(path: Path, size: int) -> np.ndarray:
    """Read the spheres of a published image and sum them up in blocks, as the published loader does.

    Parameters
    ----------
    path
        OME-TIFF with axes packing y, channel, z, x; channel 1 holds the spheres. The last axis, the depth,
        is padded on both sides to the length of the others.
    size
        Voxels per side of the result; the image's length is a multiple of it.

    Returns
    -------
    numpy.ndarray
        Shape (size, size, size), float32, axes packing y, z, x: those of the image.

    Raises
    ------
    InputError
        When the file is damaged or has other axes or sizes.
    """
    import tifffile

    with explained(path):
        image = tifffile.imread(path)
        if image.ndim != 4 or image.shape[1] <= _SPHERES:
            raise InputError(f"shape {image.shape}, expected axes y, channel, z, x with two channels.")
        spheres = image[:, _SPHERES]
        long, missing = spheres.shape[0], spheres.shape[0] - spheres.shape[2]
        if spheres.shape[1] != long or missing < 0 or missing % 2 or long % size:
            raise InputError(
                f"the spheres have shape {spheres.shape}: not square in y and z, too deep, or no multiple of "
                f"sample.cube.size = {size}."
            )
        spheres = np.pad(spheres, [(0, 0), (0, 0), (missing // 2,) * 2])
        block = long // size
        parts = spheres.reshape(size, block, size, block, size, block)
        return parts.sum(axis=(1, 3, 5), dtype=np.float32)


def example_um(row: Mapping[str, Any], store: Store, dataset: Mapping[str, Any], seed: int) -> np.ndarray:
    """Return the packed points of one cell for a figure, fetching those alone; (n, 3), micrometres.

    In the published frame, turned into x, y, z and centred on their own mean: the nucleus is not fetched.
    """
    root = PurePosixPath(dataset["published"]["preprocessed"]).parent
    cells = _angled(pd.DataFrame([dict(row)]), store, dataset, root)
    name = str(root / PACKINGS / positions_name(row["rule"], row["group"], cells["angle"].iloc[0]))
    positions = read_positions(store.fetch([name], dataset=dataset["name"])[name])
    cloud_um = rotation.packing_to_um(positions, dataset["voxel_um"])
    cloud_um -= cloud_um.mean(axis=0)
    return upsample(
        cloud_um,
        **dataset["sample"]["points"],
        rng=seeds.generator(seed, dataset["name"], "sample", row["CellId"]),
    )
