"""Embeddings as AnnData, which the tools of single-cell biology open next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench import __version__
from morphobench.files import atomic_file, read_table
from morphobench.files.tables import describe_cells, mu_columns, read_checked

# Where and how a cell is stored says nothing about it.
_BOOKKEEPING = re.compile("success|error|excluded|seconds|index|shard|seed|first_.*|n_vertices|n_faces")


def observations(table: pd.DataFrame, manifest: pd.DataFrame, source: str | Path) -> pd.DataFrame:
    """Return what is known of every embedded cell: its row of the manifest, and its errors.

    Parameters
    ----------
    table
        Embedding table of pose "identity".
    manifest
        Cells of the dataset, with split, group, labels and features.
    source
        Name of the embedding table, for messages.

    Returns
    -------
    pandas.DataFrame
        Indexed by CellId, in the order of `table`; columns of text are categories, with "" where unknown.

    Raises
    ------
    InputError
        When a cell is not in the manifest, or there twice.
    """
    known = describe_cells(table["CellId"], manifest, source)
    known = known[[name for name in known if not _BOOKKEEPING.fullmatch(name)]]
    measured = [name for name in table if name.startswith(("reconstruction_", "noise_floor_"))]
    found = known.assign(**{name: table[name].to_numpy() for name in measured})
    text = found.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in found.dtypes]]
    return found.assign(**{name: found[name].fillna("").astype(str).astype("category") for name in text})


def run(
    manifest: str | Path, embedding: str | Path, out: str | Path, *, provenance: Mapping[str, str]
) -> None:
    """Write an .h5ad file: X the embedding, obs the manifest, uns["morphobench"] where it comes from.

    The same inputs give the same bytes.

    Parameters
    ----------
    manifest
        Table of stage `sample`.
    embedding
        Embedding table of pose "identity".
    out
        File to write.
    provenance
        Name of the dataset, model, seed and whatever else to keep, as text.

    Raises
    ------
    InputError
        When the two tables do not belong together.
    """
    import anndata

    table = read_checked(embedding, ("CellId", "split"))
    names = mu_columns(table.columns)
    manifest_table = read_table(manifest)
    manifest_table = manifest_table.assign(CellId=manifest_table["CellId"].astype(str))
    obs = observations(table, manifest_table, embedding)
    content = anndata.AnnData(
        X=table[names].to_numpy(np.float32),
        obs=obs,
        var=pd.DataFrame(index=names),
        uns={
            "morphobench": {"version": __version__, **{key: str(value) for key, value in provenance.items()}}
        },
    )
    with atomic_file(out) as part:
        content.write_h5ad(part, compression="gzip")
