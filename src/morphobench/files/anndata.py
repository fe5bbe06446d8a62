"""Cells as AnnData: numbers in X, what is known of each cell in obs; same content, same bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench import __version__
from morphobench.files import FilePath, atomic_file, values
from morphobench.files.layout import FACES, VERTICES
from morphobench.files.reserved import STATE

# Where and how a cell is stored says nothing about it.
_BOOKKEEPING = {*STATE, "index", "shard", "seed", "first_voxel", *VERTICES, *FACES}


def known_of_cells(cells: pd.DataFrame, numbers: Sequence[str]) -> pd.DataFrame:
    """Return the columns of the manifest that say something of cells; those in `numbers` as numbers."""
    table = cells[[name for name in cells if name not in _BOOKKEEPING]]
    known = [name for name in numbers if name in table]
    return table.assign(**{name: values.numbers(table[name], f"column {name}") for name in known})


def with_categories(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose text is categories, "" where it is unknown."""
    text = table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]
    return table.assign(**{name: values.text(table[name]).fillna("").astype("category") for name in text})


def write(
    out: FilePath,
    z: pd.DataFrame,
    obs: pd.DataFrame,
    provenance: Mapping[str, Any],
    obsm: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write an .h5ad file: X the numbers `z` (a row per row of `obs`), uns["morphobench"] the provenance."""
    import anndata

    uns = {"morphobench": {"version": __version__, **provenance}}
    var, x = pd.DataFrame(index=list(z.columns)), z.to_numpy(np.float32)
    content = anndata.AnnData(X=x, obs=with_categories(obs), var=var, uns=uns, obsm=dict(obsm or {}))
    with atomic_file(out) as part:
        content.write_h5ad(part, compression="gzip")
