"""Volumes in HDF5 files, as PlantSeg, ilastik and Fiji write them: `a.h5/label` is an array of a file."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files.headers import Header
from morphobench.files.ome_zarr import Sizes

SUFFIXES = (".hdf5", ".h5", ".hdf")
_PLACE = re.compile(r"(?i)(.+\.(?:hdf5|h5|hdf))/(.+)")
# Axes of an array that does not name its own.
_AXES = {3: "ZYX", 4: "CZYX"}
_SPACING = "element_size_um"


def split(path: Path | str) -> tuple[Path, str] | None:
    """Return file and array of a path such as `a.h5/label`; None for another path.

    Examples
    --------
    >>> split("ovules/a.h5/volumes/label"), split("ovules/a.h5")
    ((PosixPath('ovules/a.h5'), 'volumes/label'), None)
    """
    match = _PLACE.fullmatch(str(path))
    return (Path(match[1]), match[2]) if match else None


def file_of(path: Path | str) -> Path:
    """Return the file in which a path lies: that of an array, or the path itself."""
    place = split(path)
    return place[0] if place else Path(path)


def is_array(path: Path | str) -> bool:
    """Return whether a path names an array of an HDF5 file that is there."""
    place = split(path)
    return place is not None and place[0].is_file()


def arrays_of(file: Path) -> list[Path]:
    """Return the paths of the volumes in a file, sorted; none of one that is unreadable or no HDF5."""
    import h5py

    found: list[Path] = []

    def note(name: str, data: Any) -> None:
        if isinstance(data, h5py.Dataset) and data.ndim in _AXES and data.dtype.kind in "uibf":
            found.append(file / name)

    try:
        with h5py.File(file, "r") as opened:
            opened.visititems(note)
    except OSError:
        return []
    return sorted(found)


class HdfImage:
    """A volume of an HDF5 file, with the names of `image_library.Library.Image` where both are read alike.

    Axes are those of the attribute `axistags` (ilastik), else z, y, x, with channels first if there are four;
    edges of a voxel are those of `element_size_um`, z, y, x (Fiji, PlantSeg), of itself or of another array.

    Raises
    ------
    InputError
        When it is missing, no volume, or lies in another file.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        file, self._name = split(path) or (path, "")
        self._file = h5py.File(file, "r")
        data = self._file.get(self._name)
        if not isinstance(data, h5py.Dataset):
            there = ", ".join(map(str, arrays_of(file))) or "no volume"
            raise InputError(f"{path}: no such array. The file has {there}.")
        if data.file.filename != self._file.filename or data.is_virtual or data.external:
            raise InputError(f"{path}: its values lie in other files. Export it as one file.")
        self._data, self._axes = data, _axes(path, data)
        sizes = dict(zip(self._axes, data.shape, strict=True))
        self.scenes, self.dtype = [self._name], data.dtype
        self.dims = Sizes(*(sizes.get(axis, 1) for axis in Sizes._fields))
        others = (self._file[str(other.relative_to(file))] for other in arrays_of(file))
        edges = next(filter(None, map(_spacing_um_zyx, (data, *others))), None)
        self.header = Header([None] * self.dims.C, edges)

    def read(self, index: int) -> np.ndarray:
        """Return a channel of shape (z, y, x)."""
        place = {"T": 0, "C": index}
        volume = self._data[tuple(place.get(axis, slice(None)) for axis in self._axes)]
        left = [axis for axis in self._axes if axis not in place]
        return np.transpose(volume, [left.index(axis) for axis in "ZYX"])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _axes(path: Path, data: Any) -> str:
    tags = data.attrs.get("axistags")
    try:
        axes = "".join(tag["key"] for tag in json.loads(tags)["axes"]).upper() if tags else _AXES[data.ndim]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: axes of shape {data.shape} are unknown. Export axes z, y, x.") from error
    if len(axes) != data.ndim or not set("ZYX") <= set(axes) <= set(Sizes._fields):
        found = f"axes {axes.lower()} of an array of shape {data.shape}"
        raise InputError(f"{path}: {found}; expected z, y, x, and perhaps t and c. Export it so.")
    return axes


def _spacing_um_zyx(data: Any) -> tuple[float, float, float] | None:
    edges = np.ravel(data.attrs.get(_SPACING, ()))
    known = edges.dtype.kind in "fiu" and len(edges) == 3 and np.isfinite(edges).all() and (edges > 0).all()
    return tuple(map(float, edges)) if known else None
