"""Image files: reading channels by name, writing crops, and resampling to cubic voxels.

Frame: the centre of voxel (k, j, i) lies at (index + 1/2) times the voxel's edge from the corner of the
volume, along z, y and x. Resampling keeps the corner.
"""

import ast
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from morphobench.errors import InputError
from morphobench.files import FilePath

if TYPE_CHECKING:
    from aicsimageio import AICSImage

# Voxels whose edges differ by less than this share are taken as they are: no volume is blurred for it.
ISOTROPY_TOLERANCE = 1e-3
# A pixel size in another unit, such as nanometres, would ask for billions of voxels.
_MAX_VOXELS = 2**31


def read_channels(
    path: FilePath,
    names: Sequence[str] | None,
    *,
    channel_names: Sequence[str] | None = None,
    spacing_um_zyx: Sequence[float] | None = None,
    may_be_empty: bool = False,
) -> tuple[dict[str, np.ndarray], tuple[float, float, float]]:
    """Read channels of an image file by name, and the edges of its voxels along z, y, x, micrometres.

    Parameters
    ----------
    path
        File that aicsimageio reads, such as an OME-TIFF: one scene, one time point, several planes.
    names
        Channels to read; None for all. The others stay on disk.
    channel_names, spacing_um_zyx
        Names of all channels in the file's order, as in a manifest's name_dict, and edges of a voxel; None
        for those in the file.
    may_be_empty
        Whether a channel may be zero everywhere.

    Returns
    -------
    channels
        Arrays of shape (z, y, x) by name, in the file's type.
    spacing_um_zyx
        Edges of a voxel.

    Raises
    ------
    InputError
        When the file is missing, truncated, no image or no single volume, lacks a channel or the size of its
        voxels, or a channel is not finite, or zero everywhere though it may not be.
    """
    path = Path(path)
    with _opened(path) as image:
        _check_single_volume(path, image)
        there = list(image.channel_names if channel_names is None else channel_names)
        if channel_names is not None and len(there) != image.dims.C:
            held = f"holds {image.dims.C} channels, but {len(there)} names are given ({', '.join(there)})"
            raise InputError(f"{path}: {held}. Name every channel of the file in its order.")
        spacing_um = _spacing_um(path, image, spacing_um_zyx)
        channels = {}
        for name in there if names is None else names:
            if there.count(name) != 1:
                found = f"channel {name!r} occurs {there.count(name)} times among {', '.join(there)}"
                raise InputError(f"{path}: {found}. Mend the dataset's channels, or name_dict.")
            channels[name] = _read_channel(path, image, there.index(name))
    for name, volume_zyx in channels.items():
        if volume_zyx.dtype.kind == "f" and not np.isfinite(volume_zyx).all():
            raise InputError(f"{path}: channel {name!r} has values that are not finite. Export it again.")
        if not may_be_empty and not volume_zyx.any():
            raise InputError(f"{path}: channel {name!r} is zero everywhere. Remove the cell or restore it.")
    return channels, spacing_um


def channel_names(path: FilePath) -> list[str]:
    """Return the names of the channels of an image file, in its order."""
    with _opened(Path(path)) as image:
        return list(image.channel_names)


def write_crop(path: FilePath, channels: Mapping[str, np.ndarray], spacing_um_zyx: Sequence[float]) -> None:
    """Write channels of one shape (z, y, x) as one OME-TIFF, axes C, Z, Y, X; bool becomes 0 and 1."""
    with _quiet():
        from aicsimageio.types import PhysicalPixelSizes
        from aicsimageio.writers import OmeTiffWriter

        data_czyx = np.stack(list(channels.values()))
        data_czyx = data_czyx.view(np.uint8) if data_czyx.dtype == bool else data_czyx
        sizes = PhysicalPixelSizes(*map(float, spacing_um_zyx))
        described = {"channel_names": list(channels), "physical_pixel_sizes": sizes}
        OmeTiffWriter.save(data_czyx, str(path), dim_order="CZYX", **described)


def parse_name_dict(text: str, crops: Sequence[str] = ("crop_raw", "crop_seg")) -> dict[str, list[str]]:
    """Parse the channel names of a name_dict, such as ``{'crop_raw': ['dna'], 'crop_seg': [...]}``.

    Raises
    ------
    InputError
        When the text is no dictionary of lists of names, or lacks one of the crops.
    """
    remedy = "Correct it in the manifest, or leave it empty to take the names in the files."
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(f"name_dict {text!r} is no dictionary ({error}). {remedy}") from error
    lists = [names.get(crop) for crop in crops] if isinstance(names, dict) else [None]
    if not all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in lists):
        raise InputError(f"name_dict {text!r} must give lists of names for {' and '.join(crops)}. {remedy}")
    return dict(zip(crops, lists, strict=True))


def resample_isotropic(
    volume_zyx: np.ndarray, spacing_um_zyx: Sequence[float], spacing_um: float, *, order: int
) -> np.ndarray:
    """Resample a volume to cubic voxels; the corner stays, and the extents to within half a voxel.

    Parameters
    ----------
    volume_zyx
        Shape (z, y, x).
    spacing_um_zyx, spacing_um
        Edges of its voxels along z, y, x, and edge of the cubic voxels, micrometres.
    order
        0, the nearest voxel, for labels, whose type is kept; 1, linear, for intensities, float32, after a
        Gaussian of standard deviation (ratio - 1) / 2 voxels along axes that become coarser, as in
        skimage.transform.resize.

    Returns
    -------
    numpy.ndarray
        Shape (z', y', x'); the volume itself when its voxels have this size within `ISOTROPY_TOLERANCE`.

    Raises
    ------
    InputError
        When the result would be absurdly large, as for a voxel size in another unit.
    """
    ratio = spacing_um / np.asarray(spacing_um_zyx, dtype=float)
    if np.abs(1 / ratio - 1).max() < ISOTROPY_TOLERANCE:
        return volume_zyx
    shape = np.maximum(1, np.round(volume_zyx.shape / ratio))
    if shape.prod() > _MAX_VOXELS:
        edges = f"{tuple(spacing_um_zyx)} um would become {shape.prod():.2g} of {spacing_um} um"
        raise InputError(f"voxels of {edges}. Give the voxel size in micrometres (spacing_um_zyx).")
    kind = np.dtype(np.float32) if order else volume_zyx.dtype
    sigma = np.maximum(0, (ratio - 1) / 2)
    if order and sigma.any():
        volume_zyx = ndimage.gaussian_filter(volume_zyx.astype(kind), sigma, mode="nearest")
    # Centres: (out + 1/2) * spacing_um = (in + 1/2) * spacing_um_zyx.
    output = {"output_shape": tuple(shape.astype(int)), "output": kind, "order": order, "mode": "nearest"}
    return ndimage.affine_transform(volume_zyx, ratio, offset=ratio / 2 - 0.5, **output)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence aicsimageio on readers that are not installed and on deprecated calls of its own."""
    noisy = logging.getLogger("aicsimageio")
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"aicsimageio\.")
            yield
    finally:
        noisy.setLevel(level)


@contextmanager
def _opened(path: Path) -> "Iterator[AICSImage]":
    if not path.is_file():
        raise InputError(f"{path}: no such file. Restore it, or correct its path in the manifest.")
    try:
        with _quiet():
            from aicsimageio import AICSImage

            yield AICSImage(path)
    except InputError:
        raise
    # A broken file can raise anything: struct, zlib, XML, index and type errors all occur.
    except Exception as error:
        reason = f"not readable as an image ({type(error).__name__}: {error})"
        raise InputError(f"{path}: {reason}. It may be truncated: fetch or export it again.") from error


def _check_single_volume(path: Path, image: "AICSImage") -> None:
    from aicsimageio.readers import TiffReader
    from tifffile import TiffFile

    dims = image.dims
    times, samples = dims.T, getattr(dims, "S", 1)
    if len(image.scenes) > 1 or times > 1 or samples > 1 or dims.Z < 2:
        found = f"{len(image.scenes)} scenes, {times} time points, {dims.Z} planes, {samples} colour samples"
        remedy = "Export one volume, or fetch it again if truncated"
        raise InputError(f"{path}: expected one volume, found {found}. {remedy}.")
    if isinstance(image.reader, TiffReader):
        # Planes beyond the end of a truncated file would be read as zeros without an error.
        with TiffFile(path) as tiff:
            planes = list(tiff.series[0].pages)
        if missing := planes.count(None):
            lost = f"{missing} of {len(planes)} planes are missing; the file is truncated"
            raise InputError(f"{path}: {lost}. Fetch it again.")


def _read_channel(path: Path, image: "AICSImage", index: int) -> np.ndarray:
    """Return a channel of shape (z, y, x)."""
    from tifffile import TiffFile

    if path.suffix.lower() in (".tif", ".tiff"):
        # aicsimageio would open the file anew for each plane.
        with TiffFile(path) as tiff:
            series = tiff.series[0]
            known = series.axes.endswith("YX") and set(series.axes) <= set("TCZYX")
            if known and len(series.pages) == np.prod(series.shape[:-2]):
                pages = np.arange(len(series.pages)).reshape(series.shape[:-2])
                own = pages.take(index, axis=series.axes.index("C")) if "C" in series.axes else pages
                return tiff.asarray(key=own.ravel().tolist(), series=0)
    return image.get_image_dask_data("ZYX", C=index, T=0).compute(scheduler="synchronous")


def _spacing_um(
    path: Path, image: "AICSImage", spacing: Sequence[float] | None
) -> tuple[float, float, float]:
    spacing_um = tuple(image.physical_pixel_sizes if spacing is None else spacing)
    remedy = "Set spacing_um_zyx in the dataset's source."
    if len(spacing_um) != 3 or not all(size and np.isfinite(size) and size > 0 for size in spacing_um):
        raise InputError(f"{path}: the size of a voxel along z, y, x is {spacing_um}. {remedy}")
    images = getattr(image.metadata, "images", None)
    if spacing is None and images:
        pixels = images[0].pixels
        units = {str(getattr(pixels, f"physical_size_{axis}_unit").value) for axis in "zyx"}
        if units != {"µm"}:
            raise InputError(f"{path}: voxel sizes are in {', '.join(sorted(units))}. {remedy}")
    return tuple(float(size) for size in spacing_um)
