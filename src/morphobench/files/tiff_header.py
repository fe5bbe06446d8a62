"""What a TIFF says of itself in its first kilobytes, wherever its planes lie: of a crop not fetched yet."""

from typing import Any, BinaryIO, NamedTuple
from xml.etree import ElementTree

from morphobench.errors import InputError, named
from morphobench.files.headers import Header
from morphobench.files.tiff_files import check_own_planes, imagej_spacing

_AXES = "TCZYX"


class TiffHeader(NamedTuple):
    """Axes, shape and type of an image, and what it says of its channels and voxels."""

    axes: str
    shape: tuple[int, ...]
    dtype: str
    header: Header


def read(file: BinaryIO, name: str) -> TiffHeader:
    """Read the header of a TIFF: of an OME-TIFF, from its first page alone.

    Raises
    ------
    InputError
        When it is no TIFF, or its OME-XML cannot be read.
    """
    from tifffile import TiffFile

    try:
        with TiffFile(file, name=name) as tiff:
            if tiff.is_ome:
                with named(name):
                    check_own_planes(tiff.ome_metadata)
                return _of_ome(tiff.ome_metadata, tiff.pages[0])
            series = tiff.series[0]
            axes, shape = series.axes, tuple(series.shape)
            names = [None] * dict(zip(axes, shape, strict=True)).get("C", 1)
            sizes = imagej_spacing(tiff) if tiff.is_imagej else (None,)
            return TiffHeader(axes, shape, str(series.dtype), Header(names, *sizes))
    # A broken file can raise anything: struct, zlib, XML, index and type errors all occur.
    except Exception as error:
        if isinstance(error, InputError) and str(error).startswith(name):
            raise
        reason = f"not readable as a TIFF ({type(error).__name__}: {error})"
        raise InputError(f"{name}: {reason}. It may be truncated, or another file.") from error


def _of_ome(text: str, page: Any) -> TiffHeader:
    pixels = ElementTree.fromstring(text).find(".//{*}Pixels")
    if pixels is None:
        raise InputError("its OME-XML has no element Pixels")
    sizes = {axis: int(pixels.get(f"Size{axis}", 1)) for axis in _AXES}
    order = pixels.get("DimensionOrder", "XYZCT")[::-1]
    axes = "".join(axis for axis in order if sizes[axis] > 1 or axis in "ZYX")
    names = [channel.get("Name") for channel in pixels.iterfind("{*}Channel")]
    names = (names + [None] * sizes["C"])[: sizes["C"]]
    edges = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    units = {pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"}
    spacing_um_zyx = tuple(map(float, edges)) if units == {"µm"} and all(edges) else None
    header = Header(names, spacing_um_zyx, ", ".join(sorted(units)))
    return TiffHeader(axes, tuple(sizes[axis] for axis in axes), str(page.dtype), header)
