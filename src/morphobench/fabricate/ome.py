"""Crops as the tools of the published data wrote them: OME-TIFF without voxel size and channel names.

Unlike `morphobench.files.images.write_crop`: the description is of 2013-06, its namespace in lower case; it
calls the bytes big-endian though they are not; channels are named by number; all channels of a plane follow
one another (axes T, Z, C, Y, X); and files above two megabytes are BigTIFF.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree

import numpy as np
import tifffile

_NAMESPACE = "http://www.openmicroscopy.org/Schemas/ome/2013-06"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2012-03"
_BIG_TIFF_BYTES = 2**21


def write(path: Path, channels: Sequence[np.ndarray], name: UUID) -> None:
    """Write channels of one shape (z, y, x) and type, uint8 or uint16; `name` stands in the XML."""
    data_zcyx = np.stack(channels, axis=1)
    with tifffile.TiffWriter(path, bigtiff=data_zcyx.nbytes > _BIG_TIFF_BYTES, byteorder="<") as writer:
        writer.write(
            data_zcyx[None],
            description=_description(data_zcyx, name),
            photometric="minisblack",
            compression="zlib",
            metadata=None,
        )


def _description(data_zcyx: np.ndarray, name: UUID) -> bytes:
    n_planes, n_channels, height, width = data_zcyx.shape
    sizes = {"SizeX": width, "SizeY": height, "SizeC": n_channels, "SizeZ": n_planes, "SizeT": 1}
    stated = {"ID": "0", "BigEndian": "true", "DimensionOrder": "XYCZT", "Type": data_zcyx.dtype.name}
    root = ElementTree.Element("OME", {"xmlns": _NAMESPACE, "xmlns:xsi": _XSI, "UUID": name.urn})
    root.set("xsi:schemaLocation", f"{_SCHEMA} {_SCHEMA}/ome.xsd")
    image = ElementTree.SubElement(root, "Image", {"ID": "0", "Name": "IMAGE0"})
    pixels = ElementTree.SubElement(image, "Pixels", stated | {key: str(n) for key, n in sizes.items()})
    for channel in range(n_channels):
        described = {"ID": f"Channel:0:{channel}", "Name": f"C:{channel}", "SamplesPerPixel": "1"}
        ElementTree.SubElement(pixels, "Channel", described)
    for plane in range(n_planes * n_channels):
        z, channel = divmod(plane, n_channels)
        first = {"FirstZ": z, "FirstC": channel, "FirstT": 0, "IFD": plane, "PlaneCount": 1}
        ElementTree.SubElement(pixels, "TiffData", {key: str(n) for key, n in first.items()})
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
