"""Image crops of one cell, read by the roles of their channels at cubic voxels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files import images, shards
from morphobench.files.layout import CROPS
from morphobench.geometry import labels


def read_crops(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], spacing_um: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read one cell at cubic voxels: the structure, the mask to align by and the mask to keep.

    A segmented structure (kind polymorphic) becomes 0 and 1 first: interpolated labels mean nothing.

    Parameters
    ----------
    row
        Columns crop_raw and crop_seg, one of which may be empty, and optionally name_dict.
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


def _read_roles(
    row: Mapping[str, Any], folder: Path, dataset: Mapping[str, Any], roles: list[str]
) -> tuple[dict[str, np.ndarray], tuple[float, float, float]]:
    """Return the channels of some roles, the structure's first, and the edges of their voxels."""
    channels, spacing_um_zyx = dataset["channels"], dataset["source"].get("spacing_um_zyx")
    paths = {crop: folder / row[crop] for crop in CROPS if row[crop]}
    name_dict = row.get("name_dict")
    names = images.parse_name_dict(name_dict, list(paths)) if isinstance(name_dict, str) and name_dict else {}
    crops = {role: _crop_with(paths, names, channels[role], last=role != "structure") for role in roles}
    read: dict[str, np.ndarray] = {}
    for crop in dict.fromkeys(crops.values()):
        here = {role: channels[role] for role in roles if crops[role] == crop}
        known = {"channel_names": names.get(crop), "spacing_um_zyx": spacing_um_zyx}
        volumes, spacing_um_zyx = images.read_channels(paths[crop], sorted(set(here.values())), **known)
        read |= {role: volumes[channel] for role, channel in here.items()}
        shape, expected = volumes[next(iter(here.values()))].shape, read["structure"].shape
        if shape != expected:
            other = row[crops["structure"]]
            raise InputError(f"{paths[crop]}: shape {shape}, but {other} has {expected}. Fetch both again.")
    return read, spacing_um_zyx


def _crop_with(paths: Mapping[str, Path], names: Mapping[str, list[str]], channel: str, *, last: bool) -> str:
    """Return the crop that holds a channel; where both or neither do, crop_seg if `last`, else crop_raw."""
    crops = sorted(paths, reverse=last)
    for crop in crops if len(crops) > 1 else []:
        if channel in (names.get(crop) or images.channel_names(paths[crop])):
            return crop
    return crops[0]
