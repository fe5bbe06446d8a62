"""Names of columns that the stages write, which a source's own columns of the same name make room for."""

from collections.abc import Collection

import pandas as pd

from morphobench.errors import InputError
from morphobench.log import logger

# Columns of the cell table that stages write about each cell, and their types.
STATE = {"success": "bool", "error": "object", "excluded": "bool", "seconds": "float64"}
# What a source's own column of such a name is called.
OWN = "source_{}"
_IN_ALL = (*STATE, "group", "split", "fold", "shard", "index", "used", "seed", "_index")
_SIZES = ("size_z", "size_y", "size_x")
_ALIGNED = ("spacing_um", "angle_degrees", "first_voxel", *_SIZES)
_ALIGNED += tuple(f"{name}_{axis}_um" for name in ("center", "origin") for axis in "zyx")
_MEASURES = ("surface_area_um2", "volume_um3", "distance_um")
# By kind of dataset: columns that only say where and how a cell is stored, and measured ones.
_STORED = {
    "packing": ("radius_um", "n_outside", "first", "n_points"),
    "punctate": (*_ALIGNED, "clip_low", "clip_high", "n_dilated", "radius_um", "first", "n_points"),
    "polymorphic": (
        *_ALIGNED,
        "scale_um",
        "scale_factor",
        "first_vertex",
        "n_vertices",
        "first_face",
        "n_faces",
    ),
}
_STORED["packing"] += tuple(f"translation_{axis}_um" for axis in "xyz")
_STORED["punctate"] += tuple(f"{name}_{axis}" for name in ("box", "fits") for axis in "zyx")
_STORED["punctate"] += tuple(f"center_{axis}_voxel" for axis in "zyx")
_STORED["polymorphic"] += tuple(f"start_{axis}_voxel" for axis in "zyx")
_STORED["polymorphic"] += tuple(f"loc_{axis}_um" for axis in "xyz")
_MARKS = ("n_mask_labels", "mask_stray_voxels", "structure_fault")
_MARKS += ("label_stray_voxels", "label_pieces", "channel_faults")
_MEASURED = {
    "packing": ("volume_of_nucleus_um3", "rule", "angle"),
    "punctate": ("n_voxels", "elongation", "nearly_square", *_MARKS),
    "polymorphic": (
        *_MARKS,
        *("elongation", "nearly_square", "open_share"),
        *("n_voxels", "n_pieces", "n_pieces_label", "volume_um3", "area_um2", "touches_border"),
        *(f"extent_{axis}_um" for axis in "xyz"),
        *(f"{statistic}_{name}" for name in _MEASURES for statistic in ("mean", "std")),
    ),
}


def stored(kind: str) -> set[str]:
    """Return the columns that only say where and how a cell of this kind is stored."""
    return {*_IN_ALL, *_STORED.get(kind, ())}


def measured(kind: str) -> set[str]:
    """Return the columns that stages measure of a cell of this kind."""
    return set(_MEASURED.get(kind, ()))


def own_name(name: str, table: Collection[str]) -> str:
    """Return what a source's column is called in a table that `keep_apart` returned."""
    return OWN.format(name) if OWN.format(name) in table else name


def keep_apart(table: pd.DataFrame, names: Collection[str], place: object) -> pd.DataFrame:
    """Rename a source's own columns among some names to ``source_<name>``, and say so.

    Raises
    ------
    InputError
        When it has a column of that name too.
    """
    new = {name: OWN.format(name) for name in table if name in names}
    if taken := [name for name, own in new.items() if own in table]:
        reason = f"stages write a column {taken[0]}, and its own cannot be kept as {new[taken[0]]}"
        raise InputError(f"{place}: {reason}, which is there too. Rename one of them.")
    if new:
        said = ", ".join(f"{name} as {own}" for name, own in new.items())
        logger.warning("%s: its own columns of names that stages write are kept: %s", place, said)
    return table.rename(columns=new)
