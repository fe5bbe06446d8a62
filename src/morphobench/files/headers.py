"""What is known of the channels and voxels of a crop: from the configuration, its file, and its row.

Edges of a voxel are taken from `source.spacing_um_zyx`, else the file, else the row's `scale_micron`, a text
such as "[0.108333, 0.108333, 0.108333]" along x, y and z. Names of channels are taken from
`source.channel_names`, else the row's `name_dict`, else the file.
"""

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files.layout import CROPS
from morphobench.log import logger

Spacing = tuple[float, float, float]
Names = Sequence[str | None] | Mapping[str, int]
# Two sizes of a voxel that differ by more than this share contradict each other.
_TOLERANCE = 0.01
# What writers put where a channel has no name: "C:0", "Channel:0:1", "Channel 2".
NO_NAME = re.compile(r"(?:C|Channel)[: ]?\d+(?::\d+)*")


class Header(NamedTuple):
    """What a file says of itself.

    Attributes
    ----------
    channel_names
        One for each channel, in order; None or a writer's placeholder, such as "C:0", for none.
    spacing_um_zyx
        Edges of a voxel; None where it says nothing, or not in micrometres.
    unit
        In which it says them.
    """

    channel_names: Sequence[str | None]
    spacing_um_zyx: Spacing | None
    unit: str = "µm"


class Stated(NamedTuple):
    """What is stated of a crop outside of its file; None for nothing.

    Attributes
    ----------
    channel_names, names_from
        Names in the order of the file, or by name the number of a channel; and who states them.
    spacing_um_zyx, spacing_from
        Edges of a voxel that are taken whatever the file says, and who states them.
    scale_um_zyx
        Edges of a voxel in the crop's row.
    other_um_zyx
        Edges of a voxel of the same cell's other crop.
    """

    channel_names: Names | None = None
    names_from: str = "the configuration"
    spacing_um_zyx: Sequence[float] | None = None
    scale_um_zyx: Spacing | None = None
    other_um_zyx: Spacing | None = None
    spacing_from: str = "source.spacing_um_zyx"


class Described(NamedTuple):
    """What is taken: names of all channels (None for none), edges of a voxel, and from where each is."""

    channel_names: list[str | None]
    names_from: str
    spacing_um_zyx: Spacing
    spacing_from: str

    def index_of(self, name: str) -> int:
        """Return the number of a channel; the only one of a file needs no name.

        Raises
        ------
        InputError
            When no channel, or more than one, has the name.
        """
        names = self.channel_names
        if names == [None]:
            return 0
        if names.count(name) == 1:
            return names.index(name)
        if not any(names):
            found = f"its {len(names)} channels have no names, so that {name!r} is not found"
            raise InputError(f"{found}. State them in source.channel_names, by their order.")
        there = ", ".join(one or "(no name)" for one in names)
        found = f"channel {name!r} occurs {names.count(name)} times among {there}"
        raise InputError(f"{found}. Mend the dataset's channels, or name_dict.")


def describe(header: Header, stated: Stated) -> Described:
    """Return what is taken of a crop, and from where; see the module for the order.

    Two sizes of a voxel that contradict each other are warned of, once.

    Raises
    ------
    InputError
        When no size of a voxel is known, or names do not fit the number of channels.
    """
    names, names_from = _names(header, stated)
    spacings = {
        stated.spacing_from: stated.spacing_um_zyx,
        "the file": header.spacing_um_zyx,
        "scale_micron": stated.scale_um_zyx,
        "the other crop": stated.other_um_zyx,
    }
    known = {origin: tuple(map(float, one)) for origin, one in spacings.items() if one is not None}
    for origin, one in known.items():
        if len(one) != 3 or not all(np.isfinite(edge) and edge > 0 for edge in one):
            remedy = "Set spacing_um_zyx in the dataset's source."
            raise InputError(f"the size of a voxel along z, y, x is {one} in {origin}. {remedy}")
    if not known:
        if header.unit != "µm":
            raise InputError(f"voxel sizes are in {header.unit}. Set spacing_um_zyx in the dataset's source.")
        raise InputError(
            "the size of a voxel along z, y, x stands neither in source.spacing_um_zyx, nor in the file, "
            "nor in the row's scale_micron. Set spacing_um_zyx in the dataset's source."
        )
    spacing_from, spacing = next(iter(known.items()))
    for origin, other in known.items():
        if not np.allclose(other, spacing, rtol=_TOLERANCE, atol=0):
            warn_once(
                f"a voxel along z, y, x has {_edges(spacing)} um in {spacing_from}, which is taken, but "
                f"{_edges(other)} um in {origin}"
            )
    return Described(names, names_from, spacing, spacing_from)


def _names(header: Header, stated: Stated) -> tuple[list[str | None], str]:
    n_channels = len(header.channel_names)
    if stated.channel_names is None:
        names = [name if name and not NO_NAME.fullmatch(name) else None for name in header.channel_names]
        return names, "the file" if any(names) else "nowhere"
    if not isinstance(stated.channel_names, Mapping):
        names = list(stated.channel_names)
        if len(names) != n_channels:
            said = f"{len(names)} names are given ({', '.join(map(str, names))}) by {stated.names_from}"
            remedy = "Name every channel of the file in its order."
            raise InputError(f"holds {n_channels} channels, but {said}. {remedy}")
        return names, stated.names_from
    names = [None] * n_channels
    for name, number in stated.channel_names.items():
        if number >= n_channels:
            said = f"channel {number} is {name!r} by {stated.names_from}"
            raise InputError(f"holds {n_channels} channels, but {said}, counted from 0. Mend the number.")
        names[number] = name
    return names, stated.names_from


def stated(row: Mapping[str, Any], source: Mapping[str, Any], crop: str) -> Stated:
    """Return what configuration and row state of one crop.

    Parameters
    ----------
    row
        Optionally name_dict and scale_micron.
    source
        The data set's source: optionally channel_names and spacing_um_zyx.

    Raises
    ------
    InputError
        When a name_dict or scale_micron that is needed is wrong.
    """
    spacing = source.get("spacing_um_zyx")
    try:
        scale_um_zyx = parse_scale(row.get("scale_micron"))
    except InputError:
        if spacing is None:
            raise
        scale_um_zyx = None
    configured = (source.get("channel_names") or {}).get(crop)
    if configured is not None:
        return Stated(configured, "source.channel_names", spacing, scale_um_zyx)
    return Stated(row_names(row).get(crop), "name_dict", spacing, scale_um_zyx)


def row_names(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of channels by crop in a row's name_dict; none where it is empty or missing."""
    text = row.get("name_dict")
    return parse_name_dict(text) if isinstance(text, str) and text.strip() else {}


def known_crops(
    row: Mapping[str, Any], source: Mapping[str, Any], channels: Collection[str]
) -> list[str] | None:
    """Return the crops that hold some channels by configuration and name_dict; None where neither tells."""
    try:
        names = row_names(row)
    except InputError:
        names = {}
    names |= source.get("channel_names") or {}
    holding = [crop for crop in CROPS if set(channels) & set(names.get(crop, ()))]
    is_told = channels and all(any(name in names[crop] for crop in holding) for name in channels)
    return holding if is_told else None


def used_crops(
    row: Mapping[str, Any], source: Mapping[str, Any], channels: Collection[str], *, both: bool
) -> list[str]:
    """Return the crops that a cell's `channels` lie in; those that hold none need not be fetched.

    Where nothing tells, both crops of a row, with `both` also those it lacks.
    """
    known = known_crops(row, source, channels)
    existing = [crop for crop in CROPS if row.get(crop)]
    return known or (list(CROPS) if both or not existing else existing)


def parse_name_dict(text: str) -> dict[str, list[str]]:
    """Parse the channel names of a name_dict, such as ``{'crop_raw': ['dna'], 'crop_seg': [...]}``.

    Raises
    ------
    InputError
        When the text is no dictionary, or has no list of names for a crop that it has.
    """
    remedy = "Correct it in the manifest, or leave it empty to take the names in the files."
    names = _literal(text, "name_dict", "dictionary", remedy)
    lists = {crop: names[crop] for crop in CROPS if crop in names} if isinstance(names, dict) else {}
    if not lists or not all(_are_names(one) for one in lists.values()):
        raise InputError(f"name_dict {text!r} must give lists of names for {' and '.join(CROPS)}. {remedy}")
    return {crop: list(one) for crop, one in lists.items()}


def _are_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def parse_scale(value: object) -> Spacing | None:
    """Return the edges of a voxel along z, y, x in a scale_micron, which is along x, y, z; None for none.

    Raises
    ------
    InputError
        When it is no list of three positive numbers.

    Examples
    --------
    >>> parse_scale("[0.1, 0.2, 0.3]")
    (0.3, 0.2, 0.1)
    """
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, str) and not value.strip():
        return None
    remedy = "Correct it in the manifest, or set source.spacing_um_zyx."
    edges = _literal(value, "scale_micron", "list", remedy) if isinstance(value, str) else value
    try:
        x, y, z = (float(edge) for edge in edges)
    except (TypeError, ValueError) as error:
        raise InputError(f"scale_micron {value!r} is no list of three numbers. {remedy}") from error
    if not all(np.isfinite(edge) and edge > 0 for edge in (x, y, z)):
        raise InputError(f"scale_micron {value!r} has an edge that is no positive number. {remedy}")
    return z, y, x


def voxel_volumes(table: pd.DataFrame, source: Mapping[str, Any]) -> pd.Series:
    """Return the volume of each row's voxel, cubic micrometres, before any file is read; NaN if not known."""
    if (spacing := source.get("spacing_um_zyx")) is not None:
        return pd.Series(float(np.prod(spacing)), index=table.index)
    return table.get("scale_micron", pd.Series(np.nan, index=table.index)).map(_voxel_volume).astype(float)


def _voxel_volume(scale: object) -> float:
    try:
        return float(np.prod(parse_scale(scale) or np.nan))
    # The row itself fails where its voxels are needed.
    except InputError:
        return np.nan


def _literal(text: str, name: str, kind: str, remedy: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(f"{name} {text!r} is no {kind} ({error}). {remedy}") from error


def _edges(spacing: Spacing) -> str:
    return " x ".join(f"{edge:.4g}" for edge in spacing)


@cache
def warn_once(message: str) -> None:
    """Log a warning, unless the same was logged before."""
    logger.warning(message)
