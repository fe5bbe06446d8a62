"""Fields of view with label images, cut into single cells in the published layout."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.download.crops import InShard
from morphobench.errors import InputError, named
from morphobench.files import identifiers, images, manifests
from morphobench.files.layout import CROPS
from morphobench.geometry.labels import cell_mask, check_labels, find_cells, owners, part_mask
from morphobench.log import logger

Images = Mapping[str, np.ndarray]
Spacing = tuple[float, float, float]


def cut(folder: Path, source: Mapping[str, Any], in_shard: InShard) -> pd.DataFrame:
    """Cut the fields of view of a shard into cells.

    Writes ``crop_raw/<CellId>_raw.ome.tif`` with all raw channels and ``crop_seg/<CellId>_seg.ome.tif`` with
    the masks, 0 and 1, of that cell alone. A CellId is ``<FOVId>_<label>``; label 0 stands for a field that
    could not be cut. Cells that touch the border of their field are excluded.

    Returns
    -------
    pandas.DataFrame
        Columns CellId, FOVId, those of `CROPS` (relative to the shard folder), name_dict, the metadata, and
        those of `manifests.STATE`.

    Raises
    ------
    InputError
        When the table is missing or wrong.
    """
    path, fov = Path(source["fovs"]), source["fov"]
    file_columns = ["image", *fov["label_channels"]]
    table = manifests.read(path, file_columns, text=["FOVId"], derive=source.get("derive"))
    manifests.check_unique(path, table["FOVId"])
    table = table[in_shard(table["FOVId"])]
    metadata = table.drop(columns=file_columns)
    for kind in CROPS:
        (folder / kind).mkdir()
    rows: list[dict[str, Any]] = []
    for number, field in enumerate(table.to_dict("records"), start=1):
        try:
            if fault := identifiers.fault(field["FOVId"]):
                raise InputError(f"{path}: FOVId {fault}")
            inside = {column: manifests.inside(path.parent, field[column]) for column in file_columns}
            cells = _cut_field(folder, field | inside, fov)
        except InputError as error:
            cells = [_row(field["FOVId"], 0, str(error))]
        rows += [{column: field[column] for column in metadata} | cell for cell in cells]
        logger.info("download: field %s, %d cells, %d of %d", field["FOVId"], len(cells), number, len(table))
    types = metadata.dtypes.to_dict() | dict.fromkeys(("CellId", *CROPS, "name_dict"), "object")
    types |= manifests.STATE
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def _cut_field(folder: Path, field: Mapping[str, Any], fov: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write the cells of one field; return a row for each label."""
    start = time.perf_counter()
    raw, labels, spacing_um = _read_field(field, fov)
    first, *others = labels
    owner = {name: owners(labels[name], labels[first]) for name in others}
    margin_um, z_border = fov.get("margin_um", 1.0), fov.get("z_border", True)
    crops = find_cells(labels[first], spacing_um, margin_um=margin_um, z_border=z_border)
    if not crops:
        return [_row(field["FOVId"], 0, "the field of view holds no labelled cell", excluded=True)]
    shared = (time.perf_counter() - start) / len(crops)
    rows = []
    for crop in crops:
        start = time.perf_counter()
        if crop.touches_border:
            reason = f"touches the border of the field of view {field['FOVId']}: part of it may be missing"
            row = _row(field["FOVId"], crop.label, reason, excluded=True)
        else:
            parts = {name: part_mask(labels[name], owner[name], labels[first], crop) for name in others}
            masks = {first: cell_mask(labels[first], crop)} | parts
            volumes = {name: volume_zyx[crop.box] for name, volume_zyx in raw.items()}
            row = _write_cell(folder, _row(field["FOVId"], crop.label), volumes, masks, spacing_um)
        rows.append(row | {"seconds": shared + time.perf_counter() - start})
    return rows


def _read_field(field: Mapping[str, Any], fov: Mapping[str, Any]) -> tuple[Images, Images, Spacing]:
    """Return raw channels and label images by name, axes z, y, x, and the voxel's edges along z, y, x."""
    described = {"channel_names": fov.get("channel_names"), "spacing_um_zyx": fov.get("spacing_um_zyx")}
    raw, spacing_um = images.read_channels(field["image"], None, **described)
    shape = next(iter(raw.values())).shape
    labels, described = {}, {"spacing_um_zyx": spacing_um, "may_be_empty": True}
    for name in fov["label_channels"]:
        labels |= images.read_channels(field[name], [name], channel_names=[name], **described)[0]
        if labels[name].shape != shape:
            found = f"labels of shape {labels[name].shape}, but {field['image']} has {shape} (z, y, x)"
            raise InputError(f"{field[name]}: {found}. Export both for the same field of view.")
        with named(field[name]):
            check_labels(labels[name])
    return raw, labels, spacing_um


def _write_cell(
    folder: Path, row: dict[str, Any], volumes: Images, masks: Images, spacing_um: Spacing
) -> dict[str, Any]:
    if empty := [name for name, mask_zyx in masks.items() if not mask_zyx.any()]:
        reason = f"the cell has no voxels of {', '.join(empty)}. Mend the labels or leave the cell out."
        return row | manifests.state(reason)
    for kind, channels in zip(CROPS, (volumes, masks), strict=True):
        name = f"{kind}/{row['CellId']}_{kind.removeprefix('crop_')}.ome.tif"
        images.write_crop(folder / name, channels, spacing_um)
        row |= {kind: name}
    return row | {"name_dict": str(dict(zip(CROPS, (list(volumes), list(masks)), strict=True)))}


def _row(field: str, label: int, error: str = "", *, excluded: bool = False) -> dict[str, Any]:
    blank = dict.fromkeys((*CROPS, "name_dict"), "")
    return {"CellId": f"{field}_{label}", "FOVId": field} | blank | manifests.state(error, excluded=excluded)
