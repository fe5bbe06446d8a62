"""Cells of a frozen data set: they keep their split, and must be the cells that were frozen."""

from collections.abc import Iterable

import pandas as pd

from morphobench.errors import InputError
from morphobench.files import FilePath, frozen
from morphobench.log import logger

_ANEW = "to begin anew, take `freeze` out, remove that folder, and train"


def check(cells: pd.DataFrame, shards: Iterable[FilePath], kept: pd.DataFrame, path: FilePath) -> None:
    """Refuse a manifest in which a frozen cell has other arrays or another split; warn of those gone.

    `cells` and `kept`, of the file `path`, are manifests; `kept` has the column `digest` (`frozen.digests`).

    Raises
    ------
    InputError
        Naming the first of these cells.
    """
    kept, now = (table[table["success"].astype(bool)].set_index("CellId") for table in (kept, cells))
    gone = kept.index.difference(now.index)
    if len(gone):
        logger.warning(
            "%s: %d of %d frozen cells are not usable now, %s first", path, len(gone), len(kept), gone[0]
        )
    kept = kept.drop(gone)
    now = now.loc[kept.index].assign(digest=pd.concat([frozen.digests(shard) for shard in shards]))
    changed = kept.index[now["digest"] != kept["digest"]]
    if len(changed):
        found = f"{len(changed)} of {len(kept)} frozen cells have other arrays now, {changed[0]} first"
        remedy = f"Restore its files, or call the new cell otherwise; {_ANEW}"
        raise InputError(f"{path}: {found}. {remedy}.")
    moved = kept.index[now["split"] != kept["split"]]
    if len(moved):
        first = f"{moved[0]} was {kept['split'][moved[0]]} and is {now['split'][moved[0]]}"
        found = f"{len(moved)} of {len(kept)} frozen cells have another split now: {first}"
        raise InputError(f"{path}: {found}. Restore its group, or its column of the split; {_ANEW}.")
