"""Point clouds as figures display them: about their centroid, and their central optical section."""

from collections.abc import Sequence

import pandas as pd

COORDINATES = ["x_um", "y_um", "z_um"]


def centre_clouds(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Move the centroid of each cloud (rows of equal `by`) to the origin."""
    groups = table.groupby(list(by), sort=False, dropna=False)[COORDINATES]
    return table.assign(**(table[COORDINATES] - groups.transform("mean")))


def central_section(table: pd.DataFrame, by: Sequence[str], fraction: float | None) -> pd.DataFrame:
    """Keep the points of each cloud (rows of equal `by`) near its middle plane: ``|z - m| <= fraction h``.

    m is the middle between the cloud's lowest and highest point and h half its depth; None keeps all, and so
    does a cloud without a point there.

    Notes
    -----
    Source: the published display of nuclear structures, there about z = 0, where decoded shapes need not lie.
    """
    if fraction is None:
        return table
    keys = [table[name] for name in by]
    groups = table["z_um"].groupby(keys, sort=False, dropna=False)
    low, high = groups.transform("min"), groups.transform("max")
    near = (table["z_um"] - (low + high) / 2).abs() <= fraction * (high - low) / 2
    has_near = near.groupby(keys, sort=False, dropna=False).transform("any")
    return table[near | ~has_near]
