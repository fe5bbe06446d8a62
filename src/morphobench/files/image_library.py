"""The library that reads and writes image files: bioio where it is installed, else aicsimageio."""

import importlib.util
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

# Packages of a library that read further formats, by suffix.
_BIOIO = {".czi": "bioio-czi", ".nd2": "bioio-nd2", ".lif": "bioio-lif"}
_AICSIMAGEIO = {".czi": "aicspylibczi", ".nd2": "nd2", ".lif": "readlif"}


class Library(NamedTuple):
    """Classes that both libraries have: the image, the writer of OME-TIFF, edges of a voxel along z, y, x."""

    Image: type[Any]
    OmeTiffWriter: type[Any]
    PhysicalPixelSizes: type[Any]


def name() -> str:
    """Return the name of the library, without importing it."""
    return "bioio" if importlib.util.find_spec("bioio") else "aicsimageio"


def packages() -> Mapping[str, str]:
    """Return the packages that read formats of their own, by suffix."""
    return _BIOIO if name() == "bioio" else _AICSIMAGEIO


@cache
def library() -> Library:
    """Import the library, which takes seconds."""
    if name() == "bioio":
        from bioio import BioImage
        from bioio_base.types import PhysicalPixelSizes
        from bioio_ome_tiff.writers import OmeTiffWriter

        return Library(BioImage, OmeTiffWriter, PhysicalPixelSizes)
    from aicsimageio import AICSImage
    from aicsimageio.types import PhysicalPixelSizes
    from aicsimageio.writers import OmeTiffWriter

    return Library(AICSImage, OmeTiffWriter, PhysicalPixelSizes)
