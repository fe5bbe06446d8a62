"""Image crops of one cell, read by the roles of their channels at cubic voxels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files import headers, images, shards
from morphobench.geometry import labels


def read_crops(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], spacing_um: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read one cell at cubic voxels: the structure, the mask to align by and the mask to keep.

    A segmented structure (kind polymorphic) becomes 0 and 1 first: interpolated labels mean nothing.

    Parameters
    ----------
    row
        Columns crop_raw and crop_seg, one of which may be empty, and optionally name_dict and scale_micron.
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

    Raises
    ------
    InputError
        When an image is missing or wrong, or channels differ in shape.
    """
    guide, kept = dataset["align"]["mask"], shards.by_structure(dataset["mask"]["role"], row, "mask.role")
    roles = list(dict.fromkeys(["structure", guide, kept]))
    read, spacing_um_zyx = _read_roles(row, folder, dataset, roles)
    structure_zyx = read["structure"]
    if dataset.get("kind") == "polymorphic":
        structure_zyx = labels.occupancy(structure_zyx)
    edges = (spacing_um_zyx, spacing_um)
    masks = {
        role: images.resample_isotropic((read[role] > 0).view(np.uint8), *edges, order=0)
        for role in {guide, kept}
    }
    return images.resample_isotropic(structure_zyx, *edges, order=1), masks[guide], masks[kept]


def read_used(row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any]) -> None:
    """Read the channels `used_channels` of one cell; the same errors as `read_crops`."""
    channels = {channel: channel for channel in dataset.get("used_channels") or ()}
    if channels:
        _read_roles(row, folder, {**dataset, "channels": channels}, list(channels))


def _read_roles(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], roles: list[str]
) -> tuple[dict[str, np.ndarray], tuple[float, float, float]]:
    """Return the channels of some roles, and the edges of their voxels."""
    channels, source = dataset["channels"], dataset["source"]
    is_shape = dataset.get("kind") == "polymorphic"
    used = headers.used_crops(row, source, {channels[role] for role in roles}, both=False)
    paths = {crop: folder / row[crop] for crop in used if row[crop]}
    stated = {crop: headers.stated(row, source, crop) for crop in paths}
    # A structure is looked for in the raw crop first, unless it is a segmentation.
    crops = {
        role: _crop_with(paths, stated, channels[role], last=role != "structure" or is_shape)
        for role in roles
    }
    read: dict[str, np.ndarray] = {}
    spacing_um_zyx = None
    for crop in dict.fromkeys(crops.values()):
        here = {role: channels[role] for role in roles if crops[role] == crop}
        known = stated[crop]._replace(other_um_zyx=spacing_um_zyx)
        volumes, own_um_zyx = images.read_stated(paths[crop], sorted(set(here.values())), known)
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
