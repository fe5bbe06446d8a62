"""Segmented shapes in one array, written as single crops in the published layout."""

import time
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.download.crops import InShard
from morphobench.errors import InputError, named
from morphobench.files import identifiers, images, manifests, npz
from morphobench.files.layout import CROPS
from morphobench.geometry.labels import foreground

TABLE = "manifest.csv"
_REMEDY = "It needs `volumes` of shape (n, z, y, x), bool or uint8; or `packed` and `shape`."


def table_path(source: Mapping[str, Any]) -> Path:
    """Return the table of a stack: the one that the source names, else `TABLE` beside it."""
    return Path(source["stack_table"]) if source.get("stack_table") else Path(source["stack"]).parent / TABLE


def write(
    folder: Path, source: Mapping[str, Any], in_shard: InShard, taken: Collection[str] = ()
) -> pd.DataFrame:
    """Write the shapes of a shard as ``crop_seg/<CellId>_seg.ome.tif``, one channel of 0 and 1 each.

    The table of source.stack (`read_volumes`) has a row of CellId and metadata for each volume.

    Returns
    -------
    pandas.DataFrame
        The table's columns, crop_raw (empty), crop_seg (relative to the shard folder), name_dict, and those
        of `manifests.STATE`. A shape without voxels or with an impossible CellId has failed.

    Raises
    ------
    InputError
        When the array, the table or the size of a voxel is missing or wrong, or array and table differ.
    """
    path, spacing_um_zyx = Path(source["stack"]), source.get("spacing_um_zyx")
    if spacing_um_zyx is None:
        raise InputError(f"{path}: the size of its voxels is not known. Set source.spacing_um_zyx.")
    table = read_table(source, taken)
    volumes = read_volumes(path)
    if len(volumes) != len(table):
        found = f"holds {len(volumes)} volumes, but {table_path(source)} has {len(table)} rows"
        raise InputError(f"{path}: {found}. They must be the same cells in the same order.")
    (folder / "crop_seg").mkdir()
    channel = source.get("channel") or "structure"
    crops = {"crop_raw": "", "crop_seg": "", "name_dict": str({"crop_seg": [channel]})}
    chosen = manifests.chosen(table["CellId"], source.get("max_cells"))
    selected = table["CellId"].isin(chosen).to_numpy() & in_shard(table["CellId"])
    rows = [
        row | crops | _write(folder, row["CellId"], channel, volume_zyx, spacing_um_zyx)
        for row, volume_zyx in zip(table[selected].to_dict("records"), volumes[selected], strict=True)
    ]
    types = table.dtypes.to_dict() | dict.fromkeys(crops, "object") | manifests.STATE
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def read_table(source: Mapping[str, Any], taken: Collection[str] = ()) -> pd.DataFrame:
    """Read the table of a stack, a row per CellId; InputError when it is missing or wrong.

    `taken` are names that its own columns make room for.
    """
    path = table_path(source)
    group = [one for one in manifests.group_columns(source.get("group")) if one != "CellId"]
    units = {"group": group, "derive": source.get("derive")}
    taken = {*taken, *CROPS, "name_dict"}
    table = manifests.read(path, [], text=["CellId"], **units, taken=taken)
    manifests.check_unique(path, table["CellId"])
    return table


def read_volumes(path: Path) -> np.ndarray:
    """Read segmented shapes of one size, bool, shape (n, z, y, x).

    An .npz file has `volumes`, bool or uint8, not zero inside, shape (n, z, y, x); or `packed`, uint8, each
    row the bits of a flat volume (numpy.packbits), and `shape`, that of all volumes. An .npy file
    is `volumes`.

    Raises
    ------
    InputError
        When the file is missing, unreadable, has Python objects, none of these arrays, or probabilities.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. Point source.stack at the shapes.")
    arrays = _arrays(path)
    volumes = arrays.get("volumes")
    if volumes is None and len(arrays) == 2:
        volumes = _unpacked(path, arrays["packed"], arrays["shape"])
    if volumes is None or volumes.ndim != 4 or volumes.dtype not in (np.bool_, np.uint8):
        found = ", ".join(f"{name} {array.dtype}{array.shape}" for name, array in arrays.items())
        found = found or f"none of these among {', '.join(_names(path)) or 'nothing'}"
        raise InputError(f"{path}: found {found}. {_REMEDY}")
    if volumes.dtype == np.uint8 and volumes.max(initial=0) > 1:
        for number, volume_zyx in enumerate(volumes):
            with named(f"{path}: volume {number}"):
                foreground(volume_zyx)
    return volumes != 0


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz or .npy file that `read_volumes` knows."""
    try:
        if path.suffix.lower() == ".npy":
            return {"volumes": np.load(path, allow_pickle=False, mmap_mode="r")}
        npz.check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in ("volumes", "packed", "shape") if name in archive}
    except InputError:
        raise
    # numpy takes a file that is no archive for a bare array or a pickle.
    except (ValueError, OSError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not readable as arrays ({error}). {_REMEDY}") from error


def _names(path: Path) -> list[str]:
    with np.load(path, allow_pickle=False) as archive:
        return archive.files


def _unpacked(path: Path, packed: np.ndarray, shape: np.ndarray) -> np.ndarray:
    sizes = shape.tolist() if shape.dtype.kind in "iu" and shape.shape == (4,) else [-1]
    n_voxels = int(np.prod(sizes[1:]))
    expected = (sizes[0], -(-n_voxels // 8))
    if min(sizes) < 0 or packed.dtype != np.uint8 or packed.shape != expected:
        raise InputError(
            f"{path}: `packed` {packed.dtype}{packed.shape} does not hold volumes of shape {shape.tolist()}. "
            "Pack each flat volume into a row of its own (numpy.packbits), and set `shape` to (n, z, y, x)."
        )
    return np.unpackbits(packed, axis=1, count=n_voxels).reshape(sizes)


def _write(
    folder: Path, cell: str, channel: str, volume_zyx: np.ndarray, spacing_um_zyx: list[float]
) -> dict[str, Any]:
    start = time.perf_counter()
    if fault := identifiers.fault(cell):
        return manifests.state(f"CellId {fault}")
    if not volume_zyx.any():
        return manifests.state("the segmentation is empty. Mend the volume, or leave the cell out.")
    name = f"crop_seg/{cell}_seg.ome.tif"
    images.write_crop(folder / name, {channel: volume_zyx}, spacing_um_zyx)
    return manifests.state() | {"crop_seg": name, "seconds": time.perf_counter() - start}
