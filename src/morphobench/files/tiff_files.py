"""What TIFF files say of themselves beside their planes: sizes by ImageJ, and planes in other files."""

import math
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from morphobench.errors import InputError

if TYPE_CHECKING:
    from tifffile import TiffFile

# Micrometres per unit, as ImageJ writes it.
_UM = {"nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6} | dict.fromkeys(
    ("um", "µm", "μm", "\\u00b5m", "\\u03bcm", "micron", "microns", "micrometer", "micrometers"), 1.0
)
_UM |= dict.fromkeys(("micrometre", "micrometres"), 1.0) | {"nanometer": 1e-3, "millimeter": 1e3}
_UNKNOWN = "an unknown unit"


def check_own_planes(text: str) -> None:
    """Check that the OME-XML of a TIFF describes planes of this file alone.

    Raises
    ------
    InputError
        When it names planes of other files, as a copy of another image's OME-XML does.
    ElementTree.ParseError
        When it is no XML.
    """
    root = ElementTree.fromstring(text)
    places = [(place.text, place.get("FileName")) for place in root.iterfind(".//{*}TiffData/{*}UUID")]
    own = root.get("UUID") or (places[0][0] if places else None)
    if others := sorted({name or str(uuid) for uuid, name in places if uuid != own}):
        reason = f"its OME-XML says that planes lie in another file ({', '.join(others)[:200]})"
        remedy = "Export this image alone into one file, with OME-XML of its own, or as plain TIFF"
        raise InputError(f"{reason}. {remedy}.")


def check_planes(path: str | Path) -> None:
    """Check that all planes of the first image of a TIFF lie in this file.

    Raises
    ------
    InputError
        When planes are missing, which would be read as zeros, or lie in another file.
    """
    from tifffile import TiffFile

    with TiffFile(path) as tiff:
        if tiff.is_ome:
            check_own_planes(tiff.ome_metadata)
        planes = list(tiff.series[0].pages)
    if missing := planes.count(None):
        lost = f"{missing} of {len(planes)} planes are missing; the file is truncated"
        raise InputError(f"{lost}, or has the OME-XML of another image. Fetch or export it again.")


def imagej_spacing(tiff: "TiffFile") -> tuple[tuple[float, float, float] | None, str]:
    """Return the edges of a voxel along z, y, x that ImageJ wrote, micrometres, and "µm".

    In a unit without a length in micrometres, such as pixel, or without a distance of planes, None and the
    units.
    """
    known, tags = tiff.imagej_metadata or {}, tiff.pages[0].tags
    numbers = [tags[f"{axis}Resolution"].value if f"{axis}Resolution" in tags else (0, 1) for axis in "YX"]
    if not all(math.prod(number) for number in numbers) or "spacing" not in known:
        return None, "µm"
    plane = str(known.get("unit", _UNKNOWN)).strip()
    units = [str(known.get(key, plane)).strip() for key in ("zunit", "yunit")] + [plane]
    if not all(unit.lower() in _UM for unit in units):
        return None, ", ".join(sorted(set(units)))
    edges = [float(known["spacing"]), *(n_units / n_pixels for n_pixels, n_units in numbers)]
    return tuple(edge * _UM[unit.lower()] for edge, unit in zip(edges, units, strict=True)), "µm"
