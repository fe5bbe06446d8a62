"""OME-Zarr folders (version 0.4): the finest level of one image, read channel by channel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from morphobench.errors import InputError
from morphobench.files.headers import Header

SUFFIX = ".zarr"
_UM = {"angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4}
_REMEDY = "Export it as OME-Zarr 0.4 or OME-TIFF."


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder of OME-Zarr."""
    return path.suffix == SUFFIX and path.is_dir()


class Sizes(NamedTuple):
    """Numbers of time points, channels, planes, rows and columns."""

    T: int
    C: int
    Z: int
    Y: int
    X: int


class ZarrImage:
    """An OME-Zarr folder, with the names of `image_library.Library.Image` where both are read alike.

    The reader of aicsimageio does not end on an image without names of channels.

    Raises
    ------
    InputError
        When it is no OME-Zarr of version 0.4, or has other axes than t, c, z, y, x.
    """

    def __init__(self, path: Path) -> None:
        import zarr

        if (path / "zarr.json").exists():
            raise InputError(f"{path}: written in version 3 of Zarr, which is not read here. {_REMEDY}")
        if (path / ".zarray").exists():
            raise InputError(f"{path}: one bare array, so no OME-Zarr image. {_REMEDY}")
        group = zarr.open_group(str(path), mode="r")
        multiscales = group.attrs.get("multiscales")
        if not multiscales:
            raise InputError(f"{path}: a Zarr without `multiscales`, so no OME-Zarr image. {_REMEDY}")
        image = multiscales[0]
        self.scenes, self._array = multiscales, group[image["datasets"][0]["path"]]
        axes = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in image.get("axes", "tczyx")]
        self._axes = "".join(str(axis["name"]).upper() for axis in axes)
        if len(self._axes) != self._array.ndim or not set("ZYX") <= set(self._axes) <= set(Sizes._fields):
            found = f"axes {self._axes.lower()} of an array of shape {self._array.shape}"
            raise InputError(f"{path}: {found}; expected z, y, x, and perhaps t and c. {_REMEDY}")
        sizes = dict(zip(self._axes, self._array.shape, strict=True))
        self.dims, self.dtype = Sizes(*(sizes.get(axis, 1) for axis in Sizes._fields)), self._array.dtype
        channels = (group.attrs.get("omero") or {}).get("channels") or []
        names = [channel.get("label") for channel in channels] or [None] * self.dims.C
        spacing, unit = self._spacing(image, axes)
        self.header = Header(names, spacing, unit)

    def _spacing(
        self, image: Mapping[str, Any], axes: Sequence[Mapping[str, Any]]
    ) -> tuple[tuple[float, float, float] | None, str]:
        """Return the edges of a voxel along z, y, x, micrometres, and None with the units in other cases."""
        steps = [image, image["datasets"][0]]
        found = [step for one in steps for step in one.get("coordinateTransformations") or []]
        scales = [step["scale"] for step in found if step.get("type") == "scale"]
        units = {axis["name"].upper(): axis.get("unit", "unknown") for axis in axes}
        own = [units[axis] for axis in "ZYX"]
        if not scales or not all(unit in _UM for unit in own):
            return None, ", ".join(sorted(set(own))) if scales else "µm"
        edges = dict(zip(self._axes, np.prod(scales, axis=0).tolist(), strict=True))
        return tuple(edges[axis] * _UM[units[axis]] for axis in "ZYX"), "µm"

    def read(self, index: int) -> np.ndarray:
        """Return a channel of shape (z, y, x)."""
        place = {"T": 0, "C": index}
        volume = self._array[tuple(place.get(axis, slice(None)) for axis in self._axes)]
        left = [axis for axis in self._axes if axis not in place]
        return np.transpose(volume, [left.index(axis) for axis in "ZYX"])
