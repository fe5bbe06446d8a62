"""The central slab of a cloud, the optical section that a figure shows of it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def central_slab(table: pd.DataFrame, by: Sequence[str], fraction: float | None) -> pd.DataFrame:
    """Keep the points of each cloud near the middle plane: ``|z| < fraction max |z|``.

    Parameters
    ----------
    table
        Columns x_um, y_um, z_um and `by`, which tells clouds apart.
    by
        Names of columns.
    fraction
        Half the thickness, as a share of the cloud's; None keeps all.

    Notes
    -----
    Source: the published display of nuclear structures.
    """
    if fraction is None:
        return table
    depth = table["z_um"].abs()
    limit = depth.groupby([table[name] for name in by], sort=False, dropna=False).transform("max")
    return table[depth <= fraction * limit]
