"""What a run from published embeddings has instead of sampled cells: their labels, and a few to show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files.manifests import example_cells
from morphobench.files.shards import stage_module
from morphobench.log import logger
from morphobench.published.manifest import read_used, store_of


def run(
    published: str | Path, embeddings: Mapping[str, str | Path], out: str | Path, *, dataset: str
) -> None:
    """Write the manifest of a dataset that starts from embeddings: all published cells with their split.

    Parameters
    ----------
    published
        Table that `morphobench.published.manifest.run` wrote.
    embeddings
        Embedding table of each model in pose identity.
    out
        Parquet file to write, with columns shard and index, -1: no cell has arrays here.
    dataset
        Name, for messages.

    Raises
    ------
    InputError
        When no embedding belongs to a cell of the manifest.
    """
    cells = read_used(published)
    if "split" not in cells:
        cells["split"] = _split_of_models(cells["CellId"], embeddings, dataset)
    counts = cells["split"].value_counts().to_dict()
    logger.info("%s: %d cells, %s", dataset, len(cells), counts)
    files.write_table(cells.assign(shard=-1, index=-1), out)


def _split_of_models(ids: pd.Series, embeddings: Mapping[str, str | Path], dataset: str) -> pd.Series:
    """Return the split that the first model was trained with, and tell where others had another."""
    tables = {
        name: pd.read_parquet(path, columns=["CellId", "split"]).set_index("CellId")["split"]
        for name, path in embeddings.items()
    }
    (first, split), *others = tables.items()
    for name, other in others:
        both = split.index.intersection(other.index)
        differing = int((split[both] != other[both]).sum())
        if differing:
            logger.warning(
                "%s: %d cells are in another split for %s than for %s, whose split is used",
                *(dataset, differing, name, first),
            )
    found = ids.map(split)
    if found.isna().all():
        raise InputError(
            f"{dataset}: no embedded cell of {first} is in the manifest. Compare the CellId of both."
        )
    return found


def examples(
    manifest: str | Path,
    out: str | Path,
    *,
    dataset: Mapping[str, Any],
    seed: int,
    download: Mapping[str, Any],
) -> None:
    """Fetch and write the clouds of the example cells alone, as `morphobench.analyse.examples` does."""
    cells = example_cells(pd.read_parquet(manifest), dataset["stratum"])
    store, reader = store_of(dataset, download), stage_module("published", dataset["kind"])
    tables = []
    for row in cells.to_dict("records"):
        cloud_um = reader.example_um(row, store, dataset, seed)
        cloud = pd.DataFrame(np.asarray(cloud_um), columns=["x_um", "y_um", "z_um"])
        tables.append(cloud.assign(CellId=row["CellId"], stratum=row[dataset["stratum"]]))
    files.write_table(pd.concat(tables, ignore_index=True), out)
