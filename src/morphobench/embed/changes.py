"""Changes of cells that ask what an embedding depends on, and descriptors of changed cells.

Cells are mirrored, their points put in another order or sampled again, and their resolution is halved.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.files import FilePath
from morphobench.files.layout import stored_centres
from morphobench.files.tables import with_embeddings
from morphobench.geometry.packing import upsample
from morphobench.geometry.resolution import half_resolution

# x to -x: with some rotation, any other mirror image. And half a turn, which grids hold as exactly.
MIRROR, HALF_TURN = np.diag([-1.0, 1.0, 1.0]), np.diag([1.0, -1.0, -1.0])
# Change -> why a representation may not have it; of `<change>_floor`, what the change does to it anyway.
CHANGES = {
    "reflection": "the numbers are not computed from the cell",
    "reflection_floor": "the numbers are not computed from the cell",
    "order": "no points are read, which could have another order",
    "sampling": "the whole cell is read: there is no second draw of points",
    "resolution": "the numbers are not computed from the cell",
    "resolution_floor": "nothing is resampled",
}


def changed_table(cells: pd.DataFrame, z: Mapping[str, np.ndarray], width: int) -> pd.DataFrame:
    """Return the embeddings of n changed cells: CellId, group, split, change, reason, mu_0 ... mu_{D-1}.

    `z` has shape (n, D) for each change; one that is missing has rows without embedding, with the reason.
    """
    tables = []
    for change, reason in CHANGES.items():
        labels = cells[["CellId", "group", "split"]].assign(
            change=change, reason="" if change in z else reason
        )
        tables.append(
            with_embeddings(labels, z.get(change, np.full((len(cells), width), np.nan, np.float32)))
        )
    return pd.concat(tables, ignore_index=True)


def described_changes(
    stored: np.ndarray,
    describe: Callable[[np.ndarray, np.ndarray], np.ndarray],
    n_points: int | None,
    again_um: np.ndarray | None,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return the descriptor, shape (D,), of one stored cell after each of the `CHANGES` that it can have.

    Parameters
    ----------
    stored
        Points (n, 3) or, without `n_points`, signed distances (s, s, s), zyx.
    describe
        Takes an array like `stored` and rotations (m, 3, 3); returns (m, D).
    n_points
        Points that the descriptor reads: the first ones.
    again_um
        Where there are not twice as many points: others (n, 3) of the same cell, if any.
    seed
        Of the order of points.
    """
    mirrored, turned = describe(stored[:n_points], np.stack([MIRROR, HALF_TURN]))
    one = partial(describe, rotations=np.eye(3)[None])
    changed = {"reflection": mirrored, "reflection_floor": turned}
    if n_points is None:
        return changed | {"resolution": one(half_resolution(stored))[0]}
    points = np.random.default_rng(seed).permutation(stored[:n_points])
    changed |= {"order": one(points)[0], "resolution": one(points[: len(points) // 2])[0]}
    other = stored[n_points : 2 * n_points] if len(stored) >= 2 * n_points else again_um
    if other is None:
        return changed
    again = one(other)[0]
    # Half the points are other points, too.
    return changed | {"sampling": again, "resolution_floor": again}


def changed_descriptors(
    cells: pd.DataFrame,
    stored: Iterable[np.ndarray],
    describe: Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], np.ndarray],
    shards: Sequence[FilePath],
    *,
    n_points: int | None,
    jitter: Mapping[str, Any] | None,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return `described_changes` of n cells, shape (n, D) each.

    `stored` and `describe` are as in `baselines`; `jitter` has the arguments of `upsample` where clouds are
    copies of spheres, else None.
    """
    described = []
    for array, row in zip(stored, cells.to_dict("records"), strict=True):
        own, again_um = seeds.integer(seed, row["CellId"]), None
        if jitter is not None and n_points is not None:
            rng = np.random.default_rng(own)
            again_um = upsample(stored_centres(shards[row["shard"]], row), **jitter, rng=rng)
        cell = partial(_of_cell, describe, row)
        described.append(described_changes(array, cell, n_points, again_um, own))
    return {name: np.stack([one[name] for one in described]) for name in (described[0] if described else {})}


def _of_cell(
    describe: Callable[..., np.ndarray], row: Mapping[str, Any], array: np.ndarray, rotations: np.ndarray
) -> np.ndarray:
    return describe(array, rotations, row)
