"""Stage `mask`: the box that all cells of a dataset share."""

from collections.abc import Iterable

import numpy as np

from morphobench import files
from morphobench.files import FilePath, weights
from morphobench.geometry.region import AXES
from morphobench.mask.passed import read_cells


def run(
    shards: Iterable[FilePath],
    out: FilePath,
    *,
    quantile: float = 1.0,
    policy: str = "drop",
    frozen: FilePath | None = None,
) -> None:
    """Write the common box of the shards of stage `mask` as JSON.

    Keys: z, y, x (voxels), quantile, policy, n_cells, n_fit, n_not_fit.

    Parameters
    ----------
    quantile
        Share of the cells, per axis, whose extent the box must hold; 1: the largest too; 0.95 as published.
    policy
        What becomes of cells that do not fit: "crop" cuts them, as published; "drop" leaves them out.
    frozen
        File of a box that is kept, whatever these cells need (`weights.frozen`).

    Raises
    ------
    InputError
        When no cell is left to measure.
    """
    cells = read_cells(shards, out)
    cells = cells[cells["success"].astype(bool)]
    extents_zyx = cells[[f"box_{axis}" for axis in AXES]].to_numpy()
    if frozen:
        kept = weights.frozen(frozen, "box")
        box_zyx = np.array([kept[axis] for axis in AXES])
    else:
        # The quantile per axis, interpolated and rounded up.
        box_zyx = np.ceil(np.quantile(extents_zyx, quantile, axis=0)).astype(np.int64)
    n_fit = int((extents_zyx <= box_zyx).all(axis=1).sum())
    counts = {"n_cells": len(cells), "n_fit": n_fit, "n_not_fit": len(cells) - n_fit}
    sizes = dict(zip(AXES, map(int, box_zyx), strict=True))
    files.write_json(sizes | counts | {"quantile": quantile, "policy": policy}, out)
