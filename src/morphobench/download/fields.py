"""Fields of view with label images, cut into single cells in the published layout."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.download.crops import InShard, warn_of_shared
from morphobench.errors import InputError, named
from morphobench.files import channels, headers, identifiers, images, manifests
from morphobench.files.headers import Stated
from morphobench.files.layout import CROPS
from morphobench.geometry import labels as labelled
from morphobench.geometry.labels import cell_mask, find_cells, owners, part_mask
from morphobench.log import logger

Images = Mapping[str, np.ndarray]
Spacing = tuple[float, float, float]
# Of the cell's label: voxels of strays, which are left out, and pieces; and which raw channels are at fault.
_MARKS = {"label_stray_voxels": "int64", "label_pieces": "int64", "channel_faults": "object"}


def cut(
    folder: Path,
    source: Mapping[str, Any],
    in_shard: InShard,
    taken: Collection[str] = (),
    *,
    stray_share: float,
    saturated_share: float,
    is_first: bool = True,
) -> pd.DataFrame:
    """Cut the fields of view of a shard into cells.

    Writes ``crop_raw/<CellId>_raw.ome.tif`` with all raw channels and ``crop_seg/<CellId>_seg.ome.tif`` with
    the masks, 0 and 1, of that cell alone. A CellId is ``<FOVId>_<label>``; label 0 stands for a field that
    could not be cut. Cells that touch the border of their field are excluded. Strays of a label are no part
    of its cell (`labels.without_strays`); channels are checked (`channels.fault`). The first shard logs
    images that occur twice.

    Returns
    -------
    pandas.DataFrame
        Columns CellId, FOVId, those of `CROPS` (relative to the shard folder), name_dict, the metadata, those
        of `manifests.STATE`, and label_stray_voxels, label_pieces and channel_faults.

    Raises
    ------
    InputError
        When the table is missing or wrong.
    """
    path, fov = Path(source["fovs"]), source["fov"]
    table = read_table(source, taken)
    columns = file_columns(source)
    if is_first:
        warn_of_shared(path, table, "FOVId", columns[:1])
    table = table[in_shard(table["FOVId"])]
    metadata = table.drop(columns=columns)
    for kind in CROPS:
        (folder / kind).mkdir()
    rows: list[dict[str, Any]] = []
    for number, field in enumerate(table.to_dict("records"), start=1):
        try:
            if fault := identifiers.fault(field["FOVId"]):
                raise InputError(f"{path}: FOVId {fault}")
            inside = {
                column: manifests.inside(path.parent, field[column], absolute=True) for column in columns
            }
            cells = _cut_field(folder, field | inside, fov, stray_share, saturated_share)
        except InputError as error:
            cells = [_row(field["FOVId"], 0, str(error))]
        rows += [{column: field[column] for column in metadata} | cell for cell in cells]
        logger.info("download: field %s, %d cells, %d of %d", field["FOVId"], len(cells), number, len(table))
    types = metadata.dtypes.to_dict() | dict.fromkeys(("CellId", *CROPS, "name_dict"), "object")
    types |= manifests.STATE | _MARKS
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def file_columns(source: Mapping[str, Any]) -> list[str]:
    """Return the columns of a table of fields that name files; without raw channels, label images alone."""
    has_images = source["fov"].get("channel_names") != []
    return [*(["image"] if has_images else []), *source["fov"]["label_channels"]]


def read_table(source: Mapping[str, Any], taken: Collection[str] = ()) -> pd.DataFrame:
    """Read the table of fields of view, a row per FOVId; InputError when it is missing or wrong.

    `taken` are names that its own columns make room for.
    """
    path = Path(source["fovs"])
    taken = {*taken, "CellId", *CROPS, "name_dict"}
    group = [one for one in manifests.group_columns(source.get("group")) if one not in ("CellId", "FOVId")]
    units = {"group": group, "derive": source.get("derive"), "taken": taken}
    table = manifests.read(path, file_columns(source), text=["FOVId"], **units)
    manifests.check_unique(path, table["FOVId"])
    return table


def _cut_field(
    folder: Path,
    field: Mapping[str, Any],
    fov: Mapping[str, Any],
    stray_share: float,
    saturated_share: float,
) -> list[dict[str, Any]]:
    """Write the cells of one field; return a row for each label."""
    start = time.perf_counter()
    raw, labels, spacing_um = _read_field(field, fov)
    first, *others = labels
    cleaned = labelled.without_strays(labels[first], stray_share)
    _check_cleaned(cleaned, field, first)
    labels |= {first: cleaned.label_zyx}
    owner = {name: _owners(labels[name], labels[first], field[name]) for name in others}
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
            row = _row(field["FOVId"], crop.label)
            row = _write_cell(folder, row, volumes, masks, spacing_um, saturated_share)
        counts = int(cleaned.n_stray[crop.label]), int(cleaned.n_pieces[crop.label])
        row |= dict(zip(("label_stray_voxels", "label_pieces"), counts, strict=True))
        rows.append(row | {"seconds": shared + time.perf_counter() - start})
    _warn_of_faults(field, rows)
    return rows


def _check_cleaned(cleaned: labelled.Cleaned, field: Mapping[str, Any], name: str) -> None:
    """Check the labels of a field's cells, and warn of strays and of labels in several parts."""
    with named(field[name]):
        labelled.check_cells(cleaned)
    for numbers, what in (
        (
            np.flatnonzero(cleaned.n_stray),
            "have stray voxels, which are left out (column label_stray_voxels)",
        ),
        (np.flatnonzero(cleaned.n_pieces > 1), "lie in several parts of like size (column label_pieces)"),
    ):
        if len(numbers):
            some = ", ".join(map(str, numbers[:5]))
            logger.warning("download: %s: %d labels %s: %s", field[name], len(numbers), what, some)


def _owners(part_zyx: np.ndarray, cell_zyx: np.ndarray, path: Path) -> np.ndarray:
    """Return the cell of each part; InputError when one label stands for the parts of many cells."""
    if part_zyx.max() == part_zyx[part_zyx > 0].min(initial=part_zyx.max()) and cell_zyx.max() > 1:
        n_cells = len(np.unique(cell_zyx[(part_zyx > 0) & (cell_zyx > 0)]))
        if n_cells > 1:
            found = f"its only label, {part_zyx.max()}, lies in {n_cells} parts of different cells"
            raise InputError(f"{path}: {found}: a mask, not labels. Number its parts, as the cells are.")
    return owners(part_zyx, cell_zyx)


def _warn_of_faults(field: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
    faults = [row["channel_faults"] for row in rows if row["channel_faults"]]
    if faults:
        message = (
            "download: field %s: %d of %d cells have a channel at fault, first %s (column channel_faults)"
        )
        logger.warning(message, field["FOVId"], len(faults), len(rows), faults[0])


def _read_field(field: Mapping[str, Any], fov: Mapping[str, Any]) -> tuple[Images, Images, Spacing]:
    """Return raw channels and label images by name, axes z, y, x, and the voxel's edges along z, y, x."""
    said = {"spacing_um_zyx": fov.get("spacing_um_zyx"), "spacing_from": "source.fov.spacing_um_zyx"}
    known = Stated(fov.get("channel_names"), **said)
    whatever = {"may_be_empty": True, "may_have_gaps": True}
    first = fov["label_channels"][0]
    if "image" in field:
        place = field["image"]
        raw, spacing_um = images.read_stated(place, None, known, **whatever)
        shape = next(iter(raw.values())).shape
    else:
        place, raw, shape = field[first], {}, None
        with named(place):
            own = known._replace(channel_names=[first])
            spacing_um = headers.describe(images.read_header(place), own).spacing_um_zyx
    labels = {}
    for name in fov["label_channels"]:
        own = Stated([name], spacing_um_zyx=spacing_um, spacing_from=f"the image {place}")
        labels |= images.read_stated(field[name], [name], own, may_be_empty=True)[0]
        shape = shape or labels[name].shape
        if labels[name].shape != shape:
            found = f"labels of shape {labels[name].shape}, but {place} has {shape} (z, y, x)"
            raise InputError(f"{field[name]}: {found}. Export both for the same field of view.")
        with named(field[name]):
            labels[name] = labelled.to_labels(labels[name])
    return raw, labels, spacing_um


def _write_cell(
    folder: Path,
    row: dict[str, Any],
    volumes: Images,
    masks: Images,
    spacing_um: Spacing,
    saturated_share: float,
) -> dict[str, Any]:
    if empty := [name for name, mask_zyx in masks.items() if not mask_zyx.any()]:
        reason = f"the cell has no voxels of {', '.join(empty)}. Mend the labels or leave the cell out."
        return row | manifests.state(reason)
    if gaps := [name for name, volume_zyx in volumes.items() if not images.all_finite(volume_zyx)]:
        reason = f"channel {gaps[0]!r} has values that are not finite in or beside the cell. Export it again."
        return row | manifests.state(reason)
    mask_zyx = next(iter(masks.values()))
    faults = {name: channels.fault(one_zyx, mask_zyx, saturated_share) for name, one_zyx in volumes.items()}
    row |= {"channel_faults": "; ".join(f"{name}: {fault}" for name, fault in faults.items() if fault)}
    crops = {kind: content for kind, content in zip(CROPS, (volumes, masks), strict=True) if content}
    for kind, content in crops.items():
        name = f"{kind}/{row['CellId']}_{kind.removeprefix('crop_')}.ome.tif"
        images.write_crop(folder / name, content, spacing_um)
        row |= {kind: name}
    return row | {"name_dict": str({kind: list(content) for kind, content in crops.items()})}


def _row(field: str, label: int, error: str = "", *, excluded: bool = False) -> dict[str, Any]:
    blank = dict.fromkeys((*CROPS, "name_dict"), "")
    blank |= {"label_stray_voxels": 0, "label_pieces": 0, "channel_faults": ""}
    return {"CellId": f"{field}_{label}", "FOVId": field} | blank | manifests.state(error, excluded=excluded)
