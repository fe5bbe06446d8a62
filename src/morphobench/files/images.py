"""Image files: reading channels by name, writing crops, and resampling to cubic voxels.

Frame: the centre of voxel (k, j, i) lies at (index + 1/2) times the voxel's edge from the corner of the
volume, along z, y and x. Resampling keeps the corner.
"""

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.errors import InputError, named
from morphobench.files import FilePath, headers, image_library, limits, tiff_files
from morphobench.files.hdf_images import HdfImage, is_array
from morphobench.files.headers import Header, Names, Spacing, Stated
from morphobench.files.ome_zarr import ZarrImage, is_zarr

# An image of `image_library`, or of OME-Zarr or HDF5 with the same names.
Image = Any | ZarrImage | HdfImage

# Voxels whose edges differ by less than this share are taken as they are: no volume is blurred for it.
ISOTROPY_TOLERANCE = 1e-3
# A pixel size in another unit, such as nanometres, would ask for billions of voxels.
_MAX_VOXELS = 2**31
_TIFF = (".tif", ".tiff", ".lsm", ".btf")


def read_channels(
    path: FilePath,
    names: Sequence[str] | None,
    *,
    channel_names: Names | None = None,
    spacing_um_zyx: Sequence[float] | None = None,
    may_be_empty: bool = False,
    may_have_gaps: bool = False,
) -> tuple[dict[str, np.ndarray], Spacing]:
    """Read channels of an image file by name, and the edges of its voxels along z, y, x, micrometres.

    `channel_names` and `spacing_um_zyx` are names of channels and edges of a voxel; None for those in the
    file. For the rest see `read_stated`.
    """
    known = Stated(channel_names, spacing_um_zyx=spacing_um_zyx)
    return read_stated(path, names, known, may_be_empty=may_be_empty, may_have_gaps=may_have_gaps)


def read_stated(
    path: FilePath,
    names: Sequence[str] | None,
    stated: Stated,
    *,
    may_be_empty: bool = False,
    may_have_gaps: bool = False,
) -> tuple[dict[str, np.ndarray], Spacing]:
    """Read channels of an image file, of which something is stated outside of it.

    Parameters
    ----------
    path
        File that bioio or aicsimageio reads, such as an OME-TIFF, a folder of OME-Zarr, or an array of an
        HDF5 file (`a.h5/label`): one scene, one time point, several planes.
    names
        Channels to read, see `headers.Described.index_of`; None for all. The others stay on disk.
    stated
        See `headers.describe`.
    may_be_empty
        Whether a channel may be zero everywhere.
    may_have_gaps
        Whether some of its values may not be finite.

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
    with _opened(path) as image, named(path):
        _check_single_volume(image)
        header = _header(image, path)
        described = headers.describe(header, stated)
        if names is None:
            pairs = zip(described.channel_names, header.channel_names, strict=True)
            names = [own or placeholder for own, placeholder in pairs]
            described = described._replace(channel_names=names)
        indices = [described.index_of(name) for name in names]
        if len(set(indices)) < len(indices):
            raise InputError(f"has one channel, not {', '.join(names)}. Mend the dataset's channels.")
        dims = image.dims
        limits.check_volumes(path, (dims.Z, dims.Y, dims.X), image.dtype.itemsize, len(names))
        channels = {
            name: _read_channel(path, image, index) for name, index in zip(names, indices, strict=True)
        }
    for name, volume_zyx in channels.items():
        if not may_have_gaps and not all_finite(volume_zyx):
            raise InputError(f"{path}: channel {name!r} has values that are not finite. Export it again.")
        if not may_be_empty and not volume_zyx.any():
            raise InputError(f"{path}: channel {name!r} is zero everywhere. Remove the cell or restore it.")
    return channels, described.spacing_um_zyx


def all_finite(volume_zyx: np.ndarray) -> bool:
    """Return whether a volume has no NaN and no infinite value."""
    return volume_zyx.dtype.kind != "f" or bool(np.isfinite(volume_zyx).all())


def exists(path: FilePath) -> bool:
    """Return whether there is a file, a folder of OME-Zarr, or the HDF5 file of an array."""
    return Path(path).is_file() or is_zarr(Path(path)) or is_array(path)


def read_header(path: FilePath) -> Header:
    """Return what an image file says of its channels and voxels."""
    with _opened(Path(path)) as image:
        return _header(image, Path(path))


def read_layout(path: FilePath) -> tuple[str, tuple[int, ...], str, Header]:
    """Return axes, shape and type of an image file, and what it says of its channels and voxels."""
    with _opened(Path(path)) as image:
        sizes = {axis: getattr(image.dims, axis) for axis in "TCZYX"}
        axes = "".join(axis for axis, size in sizes.items() if size > 1 or axis in "ZYX")
        return axes, tuple(sizes[axis] for axis in axes), str(image.dtype), _header(image, Path(path))


def write_crop(path: FilePath, channels: Mapping[str, np.ndarray], spacing_um_zyx: Sequence[float]) -> None:
    """Write channels of one shape (z, y, x) as one OME-TIFF, axes C, Z, Y, X; bool becomes 0 and 1."""
    with _quiet():
        library = image_library.library()
        data_czyx = np.stack(list(channels.values()))
        data_czyx = data_czyx.view(np.uint8) if data_czyx.dtype == bool else data_czyx
        sizes = library.PhysicalPixelSizes(*map(float, spacing_um_zyx))
        described = {"channel_names": list(channels), "physical_pixel_sizes": sizes}
        library.OmeTiffWriter.save(data_czyx, str(path), dim_order="CZYX", **described)


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
    from scipy import ndimage

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
    """Silence the library on readers that are not installed and on deprecated calls of its own."""
    name = image_library.name()
    noisy = logging.getLogger(name)
    level = noisy.level
    noisy.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=rf"{name}[._]")
            # bioio gives ome-types an argument of former versions.
            warnings.filterwarnings("ignore", message=r".*the parser argument is ignored")
            yield
    finally:
        noisy.setLevel(level)


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    if path.suffix == ".gz":
        raise InputError(f"{path}: compressed with gzip, which is not read here. Unpack it (gunzip).")
    if not exists(path):
        raise InputError(f"{path}: no such file. Restore it, or correct its path in the manifest.")
    try:
        with _quiet():
            if is_zarr(path):
                yield ZarrImage(path)
                return
            if is_array(path):
                with closing(HdfImage(path)) as image:
                    yield image
                return
            with named(path):
                if path.suffix.lower() in _TIFF:
                    tiff_files.check_planes(path)
            yield image_library.library().Image(path)
    except InputError:
        raise
    # A broken file can raise anything: struct, zlib, XML, index and type errors all occur.
    except Exception as error:
        package = image_library.packages().get(path.suffix.lower())
        if package and importlib.util.find_spec(package.replace("-", "_")) is None:
            lacking = f"read with the package {package}, which is not installed"
            raise InputError(f"{path}: {lacking}: pip install {package}, or export OME-TIFF.") from error
        reason = f"not readable as an image ({type(error).__name__}: {error})"
        raise InputError(f"{path}: {reason}. It may be truncated: fetch or export it again.") from error


def _check_single_volume(image: Image) -> None:
    dims = image.dims
    times, samples = dims.T, getattr(dims, "S", 1)
    if len(image.scenes) > 1 or times > 1 or samples > 1 or dims.Z < 2:
        found = f"{len(image.scenes)} scenes, {times} time points, {dims.Z} planes, {samples} colour samples"
        remedy = "Export one volume, or fetch it again if truncated"
        raise InputError(f"expected one volume, found {found}. {remedy}.")


def _read_channel(path: Path, image: Image, index: int) -> np.ndarray:
    """Return a channel of shape (z, y, x)."""
    from tifffile import TiffFile

    if isinstance(image, ZarrImage | HdfImage):
        return image.read(index)
    if path.suffix.lower() in _TIFF:
        # The library would open the file anew for each plane.
        with TiffFile(path) as tiff:
            series = tiff.series[0]
            known = series.axes.endswith("YX") and set(series.axes) <= set("TCZYX")
            if known and len(series.pages) == np.prod(series.shape[:-2]):
                pages = np.arange(len(series.pages)).reshape(series.shape[:-2])
                own = pages.take(index, axis=series.axes.index("C")) if "C" in series.axes else pages
                return tiff.asarray(key=own.ravel().tolist(), series=0)
    return image.get_image_dask_data("ZYX", C=index, T=0).compute(scheduler="synchronous")


def _header(image: Image, path: Path) -> Header:
    from tifffile import TiffFile

    if isinstance(image, ZarrImage | HdfImage):
        return image.header
    if path.suffix.lower() in _TIFF:
        with TiffFile(path) as tiff:
            if tiff.is_imagej and not tiff.is_ome:
                return Header(image.channel_names, *tiff_files.imagej_spacing(tiff))
    spacing = tuple(image.physical_pixel_sizes)
    units = {"µm"}
    if images := getattr(image.metadata, "images", None):
        pixels = images[0].pixels
        units = {str(getattr(pixels, f"physical_size_{axis}_unit").value) for axis in "zyx"}
    is_known = units == {"µm"} and all(spacing)
    return Header(image.channel_names, spacing if is_known else None, ", ".join(sorted(units)))
