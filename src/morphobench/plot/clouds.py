"""Clouds as figures show them: about their centroid, and the optical section in their middle."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

_COORDINATES = ["x_um", "y_um", "z_um"]


def centred_clouds(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Move each cloud's centroid to the origin: where a canonical shape lies in its frame means nothing.

    Parameters
    ----------
    table
        Columns x_um, y_um, z_um and `by`, which tells clouds apart.
    by
        Names of columns.
    """
    groups = table.groupby(list(by), sort=False, dropna=False)[_COORDINATES]
    return table.assign(**(table[_COORDINATES] - groups.transform("mean")))


def central_slab(table: pd.DataFrame, by: Sequence[str], fraction: float | None) -> pd.DataFrame:
    """Keep the points of each cloud near its own middle plane: ``|z - m| < fraction h``.

    m is the middle between the cloud's lowest and highest point and h half its depth. A cloud without any
    point there keeps all.

    Parameters
    ----------
    table
        Columns x_um, y_um, z_um and `by`, which tells clouds apart.
    by
        Names of columns.
    fraction
        Half the thickness, as a share of half the cloud's depth; None keeps all.

    Notes
    -----
    Source: the published display of nuclear structures, there about z = 0, where shapes that a model decodes
    need not lie.
    """
    if fraction is None:
        return table
    groups = table["z_um"].groupby([table[name] for name in by], sort=False, dropna=False)
    low, high = groups.transform("min"), groups.transform("max")
    near = (table["z_um"] - (low + high) / 2).abs() <= fraction * (high - low) / 2
    some = near.groupby([table[name] for name in by], sort=False, dropna=False).transform("any")
    return table[near | ~some]
