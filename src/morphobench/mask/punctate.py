"""Stage `mask` for punctate structures: dilate each cell's mask, crop to it, note its statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from morphobench import files
from morphobench.errors import Excluded, InputError
from morphobench.files import FilePath, shards
from morphobench.files.layout import CELL, stored_cell
from morphobench.geometry import region

_BOX = tuple(f"box_{axis}" for axis in region.AXES)
_CENTER = tuple(f"center_{axis}_voxel" for axis in region.AXES)
_CLIP = ("clip_low", "clip_high")
_DEFAULTS = dict.fromkeys(("n_voxels", "n_dilated", *_BOX), 0) | dict.fromkeys((*_CENTER, *_CLIP), np.nan)


def run(
    shard_in: FilePath,
    shard_out: FilePath,
    *,
    role: str | Mapping[str, str],
    dilation_voxel: float,
    reference: bool = False,
    clip: str = "none",
    quantile: float = 0.975,
    structure_clips: Mapping[str, Sequence[float]] | None = None,
    min_voxels: int = 1,
    max_failed_fraction: float,
) -> None:
    """Mask one shard of cells from stage `align`; it fails when too many of its cells do.

    Writes structure.npy (float32, camera counts, unchanged in and around the mask, 0 where the dilation
    leaves the stored volume) and mask.npy (uint8: 0 outside, 1 the rim that dilation adds, 2 the mask),
    cropped to the dilated mask. Adds box_{z,y,x}, their extent, from which the common box is made;
    center_{z,y,x}_voxel, the centre of mass of the undilated mask as an index into the stored volume;
    n_voxels and n_dilated; clip_low and clip_high, camera counts, NaN without `clip`: noted, not applied.

    Parameters
    ----------
    role
        Which mask stage `align` kept, for messages.
    dilation_voxel
        How far from the mask points may lie, voxels.
    reference
        Dilate with a box, whole voxels: 8 x 8 x 8 for 4, see `region.dilate_box`.
    clip, quantile, structure_clips
        Intensity range, see `_clip_range`.
    min_voxels
        A cell whose mask has fewer voxels is left out.
    """
    if reference and dilation_voxel != int(dilation_voxel):
        raise InputError(f"mask.dilation_voxel is {dilation_voxel:g}; mask.reference needs a whole number.")

    def mask_cell(row: dict[str, Any]) -> shards.Result:
        raw_zyx, core_zyx = stored_cell(shard_in, row)
        n_voxels, where = np.count_nonzero(core_zyx), shards.by_structure(role, row, "mask.role")
        if not n_voxels:
            raise InputError(f"the mask ({where}) is empty. Check the segmentation, or remove the cell.")
        if n_voxels < min_voxels:
            few = f"has {n_voxels} voxels, fewer than mask.min_voxels = {min_voxels}"
            raise Excluded(f"the mask ({where}) {few}. Lower it, or remove the cell.")
        structure_zyx, labels_zyx = cut(raw_zyx, core_zyx, dilation_voxel=dilation_voxel, reference=reference)
        inside_zyx = labels_zyx == region.MASK
        inside = structure_zyx[inside_zyx]
        size = structure_zyx.size
        if n_bad := size - np.count_nonzero(np.isfinite(structure_zyx)):
            raise InputError(f"{n_bad} of {size} voxels around the mask are not finite. Check the image.")
        if inside.min() == inside.max():
            flat = f"all {inside.size} voxels of the mask hold {inside[0]:g} counts: zero variance"
            raise Excluded(f"{flat}. Check that the channel is the right one, or remove the cell.")
        limits = _clip_range(inside, clip, quantile, structure_clips, row)
        center = region.centre_of_mass(inside_zyx)
        values = (*structure_zyx.shape, *center.tolist(), *limits)
        columns = {"n_voxels": inside.size, "n_dilated": int(np.count_nonzero(labels_zyx))}
        columns |= dict(zip((*_BOX, *_CENTER, *_CLIP), values, strict=True))
        return columns, {"structure": structure_zyx, "mask": labels_zyx}

    with shards.create(shard_out, "mask", max_failed_fraction) as shard:
        shard.fill(files.read_cells(shard_in), mask_cell, CELL, _DEFAULTS, timed=True)


def cut(
    structure_zyx: np.ndarray, core_zyx: np.ndarray, *, dilation_voxel: float, reference: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Crop a cell to the bounding box of its dilated mask, last planes included; see `run`.

    Parameters
    ----------
    structure_zyx, core_zyx
        Camera counts and the mask, with at least one voxel, of one shape (z, y, x).

    Returns
    -------
    tuple of numpy.ndarray
        The intensities, 0 where the box leaves the volume, and the labels of `region` as uint8.
    """
    core_box = region.bounds(core_zyx)
    core = core_zyx[core_box] != 0
    dilate = region.dilate_box if reference else region.dilate_ball
    reach = region.padding(dilation_voxel)
    dilated = dilate(core, reach if reference else dilation_voxel)
    labels_zyx = np.full(dilated.shape, region.OUTSIDE, dtype=np.uint8)
    labels_zyx[dilated] = region.RIM
    labels_zyx[tuple(slice(reach, reach + n) for n in core.shape)][core] = region.MASK
    filled = region.bounds(dilated)
    starts = [span.start - reach + part.start for span, part in zip(core_box, filled, strict=True)]
    shape_zyx = [part.stop - part.start for part in filled]
    return _window(structure_zyx, starts, shape_zyx), labels_zyx[filled]


def _window(volume_zyx: np.ndarray, starts: Sequence[int], shape_zyx: Sequence[int]) -> np.ndarray:
    """Return a box out of a volume, with zeros where it lies outside."""
    spans = list(zip(starts, shape_zyx, volume_zyx.shape, strict=True))
    inner = tuple(slice(max(start, 0), start + length) for start, length, _ in spans)
    return np.pad(volume_zyx[inner], [(max(-s, 0), max(s + length - n, 0)) for s, length, n in spans])


def _clip_range(
    inside: np.ndarray, clip: str, quantile: float, clips: Mapping[str, Any] | None, row: Mapping[str, Any]
) -> tuple[float, float]:
    """Return the lower and upper end of a cell's intensity range, camera counts.

    Parameters
    ----------
    inside
        Intensities of the mask's voxels, camera counts.
    clip
        "none", NaN and NaN; "quantile", of `inside` from 1 - `quantile` to `quantile`; or "structure", the
        ends that `clips` holds for the cell's structure.

    Raises
    ------
    InputError
        When the table does not know the structure, or the range is empty.
    """
    if clip == "none":
        return np.nan, np.nan
    if clip == "quantile":
        low, high = np.quantile(inside, [1 - quantile, quantile])
    else:
        low, high = shards.by_structure(clips, row, "mask.structure_clips")
    if high <= low:
        empty = f"the intensity range {low:g} to {high:g} counts (mask.clip = {clip}) is empty"
        raise InputError(f"{empty}. Widen it in mask.structure_clips, or raise mask.quantile.")
    return float(low), float(high)
