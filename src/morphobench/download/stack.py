"""Segmented shapes that come as one array, written out as single crops in the published layout."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import images, manifests, npz

TABLE = "manifest.csv"


def write(folder: Path, source: Mapping[str, Any], shard: int, n_shards: int) -> pd.DataFrame:
    """Write the shapes of a shard as ``crop_seg/<CellId>_seg.ome.tif``, one channel of 0 and 1 each.

    Parameters
    ----------
    folder
        The shard folder to write in.
    source
        Keys stack, an .npz file (see `read_volumes`) beside a table `TABLE` with column CellId and metadata,
        one row for each volume in their order; spacing_um_zyx, the edges of a voxel, micrometres; and
        optionally channel, the channel's name, "structure" by default, and max_cells (`manifests.chosen`).
    shard, n_shards
        This shard and their number; a shape's shard follows from its CellId alone.

    Returns
    -------
    pandas.DataFrame
        The table's columns, crop_raw (empty), crop_seg (relative to the shard folder), name_dict, and those
        of `manifests.STATE`. A shape without voxels is a failed row.

    Raises
    ------
    InputError
        When the array, the table or the size of a voxel is missing or wrong, or array and table differ.
    """
    path, spacing_um_zyx = Path(source["stack"]), source.get("spacing_um_zyx")
    if spacing_um_zyx is None:
        raise InputError(f"{path}: the size of its voxels is not known. Set source.spacing_um_zyx.")
    table = _read_table(path.parent / TABLE)
    volumes = read_volumes(path)
    if len(volumes) != len(table):
        raise InputError(
            f"{path}: holds {len(volumes)} volumes, but {path.parent / TABLE} has {len(table)} rows. They "
            "must be the same cells in the same order."
        )
    (folder / "crop_seg").mkdir()
    channel = source.get("channel") or "structure"
    crops = {"crop_raw": "", "crop_seg": "", "name_dict": str({"crop_seg": [channel]})}
    rows, chosen = [], manifests.chosen(table["CellId"], source.get("max_cells"))
    for about, volume_zyx in zip(table.to_dict("records"), volumes, strict=True):
        if about["CellId"] in chosen and seeds.shard_of(about["CellId"], n_shards) == shard:
            rows.append(
                about | crops | _written(folder, about["CellId"], channel, volume_zyx, spacing_um_zyx)
            )
    types = table.dtypes.to_dict() | dict.fromkeys(crops, "object") | manifests.STATE
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def read_volumes(path: Path) -> np.ndarray:
    """Read segmented shapes of one size.

    Parameters
    ----------
    path
        An .npz file with `volumes`, bool or uint8, not zero inside, shape (n, z, y, x); or with `packed`,
        uint8, each row the bits of a flat volume (numpy.packbits), and `shape`, that of all volumes.

    Returns
    -------
    numpy.ndarray
        Bool, shape (n, z, y, x).

    Raises
    ------
    InputError
        When the file is missing, unreadable, holds Python objects, or none of these arrays.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. Point source.stack at the shapes.")
    remedy = "It needs `volumes` of shape (n, z, y, x), bool or uint8; or `packed` and `shape`."
    try:
        npz.check_sizes(path)
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in ("volumes", "packed", "shape") if name in held}
    except InputError:
        raise
    # numpy takes a file that is no archive for a bare array or a pickle.
    except (ValueError, OSError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not readable as arrays ({error}). {remedy}") from error
    volumes = arrays.get("volumes")
    if volumes is None and len(arrays) == 2:
        volumes = _unpacked(path, arrays["packed"], arrays["shape"])
    if volumes is None or volumes.ndim != 4 or volumes.dtype not in (np.bool_, np.uint8):
        held = ", ".join(f"{name} {array.dtype}{array.shape}" for name, array in arrays.items()) or "none"
        raise InputError(f"{path}: found {held}. {remedy}")
    return volumes != 0


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


def _read_table(path: Path) -> pd.DataFrame:
    table = manifests.read(path, ["CellId"], text=["CellId"])
    repeated = table.loc[table["CellId"].duplicated(), "CellId"].unique()
    if len(repeated):
        raise InputError(f"{path}: CellId {', '.join(repeated[:5])} occurs more than once. Rename them.")
    for cell in table["CellId"]:
        manifests.check_file_part(path, "CellId", cell)
    return table


def _written(
    folder: Path, cell: str, channel: str, volume_zyx: np.ndarray, spacing_um_zyx: list[float]
) -> dict[str, Any]:
    start = time.perf_counter()
    state = {"success": True, "error": "", "excluded": False}
    if not volume_zyx.any():
        reason = "the segmentation is empty. Mend the volume, or leave the cell out."
        return state | {"success": False, "error": reason, "seconds": 0.0}
    name = f"crop_seg/{cell}_seg.ome.tif"
    images.write_crop(folder / name, {channel: volume_zyx}, spacing_um_zyx)
    return state | {"crop_seg": name, "seconds": time.perf_counter() - start}
