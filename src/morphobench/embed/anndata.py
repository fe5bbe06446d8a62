"""Export of embeddings as AnnData."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from morphobench import __version__
from morphobench.files import FilePath, atomic_file, reserved, values
from morphobench.files.layout import FACES, VERTICES
from morphobench.files.reserved import STATE
from morphobench.files.tables import describe_cells, mu_columns, read_checked

# Where and how a cell is stored says nothing about it.
_BOOKKEEPING = {*STATE, "index", "shard", "seed", "first_voxel", *VERTICES, *FACES}


def run(
    manifest: FilePath,
    embedding: FilePath,
    out: FilePath,
    *,
    reconstruction: FilePath | None = None,
    provenance: Mapping[str, str],
    numbers: Sequence[str] = (),
) -> None:
    """Write an .h5ad file: X the embedding, obs manifest and errors, uns["morphobench"] the provenance.

    Text of the manifest stays text, but in the columns `numbers`. The same inputs give the same bytes.
    Raises InputError when a cell is not in the manifest, or there twice.
    """
    import anndata

    table = read_checked(embedding, ("CellId", "split"))
    names = mu_columns(table.columns)
    cells = read_checked(manifest, ("CellId",))
    obs = _observations(describe_cells(table["CellId"], cells, embedding), reconstruction, numbers)
    uns = {"morphobench": {"version": __version__, **{key: str(value) for key, value in provenance.items()}}}
    var = pd.DataFrame(index=names)
    content = anndata.AnnData(X=table[names].to_numpy(np.float32), obs=obs, var=var, uns=uns)
    with atomic_file(out) as part:
        content.write_h5ad(part, compression="gzip")


def _observations(
    cells: pd.DataFrame, reconstruction: FilePath | None, numbers: Sequence[str]
) -> pd.DataFrame:
    """Return what is known of the embedded cells, indexed by CellId; text as categories, "" where unknown."""
    table = cells[[name for name in cells if name not in _BOOKKEEPING]]
    known = [name for name in numbers if name in table]
    table = table.assign(**{name: values.numbers(table[name], f"column {name}") for name in known})
    if reconstruction is not None:
        errors = read_checked(reconstruction, ("CellId",)).set_index("CellId")
        errors = errors.rename(columns={"reason": "reconstruction_reason"})
        errors = errors.filter(regex="^(reconstruction|noise_floor|sampling_distance|other_cell|mean_shape)_")
        table = reserved.keep_apart(table, set(errors), "the manifest").join(errors)
    text = table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]
    return table.assign(**{name: values.text(table[name]).fillna("").astype("category") for name in text})
