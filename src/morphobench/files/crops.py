"""Image crops of one cell, read by the roles of their channels at cubic voxels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.errors import InputError, named
from morphobench.files import channels, headers, images, shards
from morphobench.geometry import labels

# Column of a manifest with the label of each cell in its mask.
LABEL = "mask_label"
# What is noted of each cell beside its volumes: labels in its mask, strays left out of it, `channels.fault`.
MARKS = {"n_mask_labels": 0, "mask_stray_voxels": 0, "structure_fault": ""}


def read_crops(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], spacing_um: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read one cell as `read_cell` does, without its marks."""
    return read_cell(row, folder, dataset, spacing_um)[:3]


def read_cell(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], spacing_um: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Read one cell at cubic voxels: the structure, the mask to align by and the mask to keep.

    A segmented structure (kind polymorphic) becomes 0 and 1 first: interpolated labels mean nothing. Masks
    are those of one cell (`labels.own_mask`) without strays; with mask.reference, as published, every value
    above 0 counts.

    Parameters
    ----------
    row
        Columns crop_raw and crop_seg, one of which may be empty, and optionally name_dict, scale_micron and
        mask_label.
    folder
        Where their paths start.
    dataset
        See `morphobench.align.punctate.run`.
    spacing_um
        Edge of the cubic voxels, micrometres.

    Returns
    -------
    structure_zyx, guide_zyx, kept_zyx
        Of one shape (z, y, x); masks uint8, 0 or 1.
    marks
        Columns `MARKS`.

    Raises
    ------
    InputError
        When an image is missing or wrong, channels differ in shape, or a mask outlines no cell.
    """
    guide, kept = dataset["align"]["mask"], shards.by_structure(dataset["mask"]["role"], row, "mask.role")
    roles = list(dict.fromkeys(["structure", guide, kept]))
    read, spacing_um_zyx = _read_roles(row, folder, dataset, roles, _may_be_dark(dataset))
    marks, masks = dict(MARKS), {}
    for role in dict.fromkeys((guide, kept)):
        masks[role], n_labels, n_stray = _own_mask(read[role], role, row, dataset)
        marks["n_mask_labels"] = max(marks["n_mask_labels"], n_labels)
        marks["mask_stray_voxels"] = max(marks["mask_stray_voxels"], n_stray)
    structure_zyx = read["structure"]
    if dataset.get("kind") == "polymorphic":
        structure_zyx = labels.occupancy(structure_zyx)
        if not dataset["mask"].get("reference"):
            with named(f"structure ({dataset['channels']['structure']})"):
                labels.check_outlined(structure_zyx >= 0.5)
    else:
        marks["structure_fault"] = channels.fault(
            structure_zyx, masks[kept], dataset["align"]["saturated_share"]
        )
    edges = (spacing_um_zyx, spacing_um)
    cubic = {
        role: images.resample_isotropic(mask.view(np.uint8), *edges, order=0) for role, mask in masks.items()
    }
    return images.resample_isotropic(structure_zyx, *edges, order=1), cubic[guide], cubic[kept], marks


def _own_mask(
    volume_zyx: np.ndarray, role: str, row: Mapping[str, Any], dataset: Mapping[str, Any]
) -> tuple[np.ndarray, int, int]:
    """Return the mask of the cell, the labels in it, and how many voxels of strays were left out."""
    if dataset["mask"].get("reference"):
        return volume_zyx > 0, 1, 0
    if dataset["channels"][role] == dataset["channels"]["structure"]:
        # A structure that is its own mask: all its pieces belong to it.
        return labels.foreground(volume_zyx), 1, 0
    with named(f"{role} ({dataset['channels'][role]})"):
        mask_zyx, n_labels = labels.own_mask(volume_zyx, _label(row, dataset["source"]))
    mask_zyx, n_stray = labels.without_stray_pieces(mask_zyx, dataset["align"]["stray_share"])
    return mask_zyx, n_labels, n_stray


def _label(row: Mapping[str, Any], source: Mapping[str, Any]) -> int | None:
    """Return the cell's own label in its mask, None where its row does not tell."""
    value = row.get(LABEL) if source.get("cells") else None
    if value is None or value == "" or value != value:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not number.is_integer() or number < 1:
        raise InputError(f"{LABEL} is {value!r}, no whole number above 0. Correct it in the manifest.")
    return int(number)


def _may_be_dark(dataset: Mapping[str, Any]) -> set[str]:
    """Return the channels that may be zero everywhere: a dead channel is marked, an empty mask fails."""
    is_shape = dataset.get("kind") == "polymorphic"
    return set() if is_shape else {dataset.get("channels", {}).get("structure")}


def read_used(row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any]) -> None:
    """Read the channels `used_channels` of one cell; the same errors as `read_crops`."""
    used = {channel: channel for channel in dataset.get("used_channels") or ()}
    if used:
        dark = _may_be_dark(dataset)
        _read_roles(row, folder, {**dataset, "channels": used}, list(used), dark)


def _read_roles(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], roles: list[str], dark: set[str]
) -> tuple[dict[str, np.ndarray], tuple[float, float, float]]:
    """Return the channels of some roles, and the edges of their voxels."""
    names, source = dataset["channels"], dataset["source"]
    is_shape = dataset.get("kind") == "polymorphic"
    used = headers.used_crops(row, source, {names[role] for role in roles}, both=False)
    paths = {crop: folder / row[crop] for crop in used if row[crop]}
    stated = {crop: headers.stated(row, source, crop) for crop in paths}
    # A structure is looked for in the raw crop first, unless it is a segmentation.
    crops = {
        role: _crop_with(paths, stated, names[role], last=role != "structure" or is_shape) for role in roles
    }
    read: dict[str, np.ndarray] = {}
    spacing_um_zyx = None
    for crop in dict.fromkeys(crops.values()):
        here = {role: names[role] for role in roles if crops[role] == crop}
        known = stated[crop]._replace(other_um_zyx=spacing_um_zyx)
        volumes, own_um_zyx = images.read_stated(
            paths[crop], sorted(set(here.values())), known, may_be_empty=True
        )
        if empty := [name for name, volume in volumes.items() if name not in dark and not volume.any()]:
            reason = f"channel {empty[0]!r} is zero everywhere"
            raise InputError(f"{paths[crop]}: {reason}. Remove the cell or restore it.")
        spacing_um_zyx = spacing_um_zyx or own_um_zyx
        read |= {role: volumes[channel] for role, channel in here.items()}
        shape, expected = volumes[next(iter(here.values()))].shape, read[roles[0]].shape
        if shape != expected:
            other = row[crops[roles[0]]]
            raise InputError(f"{paths[crop]}: shape {shape}, but {other} has {expected}. Fetch both again.")
    return read, spacing_um_zyx


def _crop_with(
    paths: Mapping[str, Path], stated: Mapping[str, headers.Stated], channel: str, *, last: bool
) -> str:
    """Return the crop that holds a channel; where both or neither do, crop_seg if `last`, else crop_raw."""
    crops = sorted(paths, reverse=last)
    for crop in crops if len(crops) > 1 else []:
        names = stated[crop].channel_names
        if channel in (images.read_header(paths[crop]).channel_names if names is None else names):
            return crop
    return crops[0]
