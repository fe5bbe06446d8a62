"""The box that all cells of a dataset share, and how a volume is brought into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError

AXES = "zyx"
POLICIES = ("crop", "drop")


def run(
    shards: Iterable[str | Path], out: str | Path, *, quantile: float = 1.0, policy: str = "drop"
) -> None:
    """Write the common box of a dataset as JSON, from the extents that stage `mask` noted.

    Keys: z, y, x (voxels), quantile, policy, n_cells, n_fit, n_not_fit.

    Parameters
    ----------
    shards
        Shard folders of stage `mask`.
    out
        JSON file to write.
    quantile
        Share of the cells, per axis, whose extent the box must hold; 1: the largest too; 0.95 as published.
    policy
        What becomes of cells that do not fit: "crop" cuts them, as published; "drop" leaves them out.

    Raises
    ------
    InputError
        When the policy is neither, or no cell is left to measure.
    """
    if policy not in POLICIES:
        raise InputError(f"box.policy is {policy!r}; set it to {' or '.join(POLICIES)}.")
    cells = pd.concat([files.read_cells(shard) for shard in shards], ignore_index=True)
    cells = cells[cells["success"].astype(bool)]
    if not len(cells):
        raise InputError(f"{out}: no cell passed stage mask; see the column `error` in its shards.")
    extents_zyx = cells[[f"box_{axis}" for axis in AXES]].to_numpy()
    box_zyx = common_box(extents_zyx, quantile)
    n_fit = int((extents_zyx <= box_zyx).all(axis=1).sum())
    counts = {"n_cells": len(cells), "n_fit": n_fit, "n_not_fit": len(cells) - n_fit}
    sizes = dict(zip(AXES, map(int, box_zyx), strict=True))
    files.write_json(sizes | counts | {"quantile": quantile, "policy": policy}, out)


def common_box(extents_zyx: np.ndarray, quantile: float) -> np.ndarray:
    """Return per axis the quantile of the cells' extents, linearly interpolated and rounded up.

    Parameters
    ----------
    extents_zyx
        Shape (n_cells, 3), voxels.
    quantile
        0 to 1.

    Returns
    -------
    numpy.ndarray
        Shape (3,), int64, voxels.
    """
    return np.ceil(np.quantile(extents_zyx, quantile, axis=0)).astype(np.int64)


def fits(shape_zyx: Sequence[int], box_zyx: Sequence[int]) -> dict[str, bool]:
    """Return for each axis whether a volume is no larger than the box, as columns fits_z, fits_y, fits_x."""
    pairs = zip(AXES, shape_zyx, box_zyx, strict=True)
    return {f"fits_{axis}": bool(n <= size) for axis, n, size in pairs}


def offset_in_box(shape_zyx: Sequence[int], box_zyx: Sequence[int]) -> np.ndarray:
    """Return where the first voxel of a centred volume falls, negative where the volume is the larger.

    Half the difference rounded down, before the volume or cut off it (published stage `register`).
    """
    difference = np.asarray(box_zyx) - np.asarray(shape_zyx)
    return np.where(difference >= 0, difference // 2, -(-difference // 2))


def crop_to_box(volume_zyx: np.ndarray, box_zyx: Sequence[int]) -> np.ndarray:
    """Return the central part of a volume that lies in the box (a view); smaller axes stay as they are."""
    starts = np.maximum(-offset_in_box(volume_zyx.shape, box_zyx), 0)
    return volume_zyx[tuple(slice(start, start + n) for start, n in zip(starts, box_zyx, strict=True))]


def fit_to_box(volume_zyx: np.ndarray, box_zyx: Sequence[int], background: float) -> np.ndarray:
    """Centre a volume in the box: pad where it is smaller, crop where it is larger.

    Parameters
    ----------
    volume_zyx
        Shape (z, y, x).
    box_zyx
        Size of the box, voxels.
    background
        Value of the padding.

    Returns
    -------
    numpy.ndarray
        Shape `box_zyx`, of the volume's type.
    """
    inside = crop_to_box(volume_zyx, box_zyx)
    before = offset_in_box(inside.shape, box_zyx)
    after = np.asarray(box_zyx) - inside.shape - before
    return np.pad(inside, np.stack([before, after], axis=1), constant_values=background)
