"""Labels and example cells of a run that starts from published embeddings, without sampled cells."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.files.manifests import example_cells
from morphobench.files.shards import stage_module
from morphobench.log import logger
from morphobench.published.manifest import fetch_file, open_published, read_used


def run(manifest: FilePath, embeddings: Sequence[FilePath], out: FilePath, *, dataset: str) -> None:
    """Write the manifest of sampled cells: all used cells with their split; shard and index are -1.

    Raises
    ------
    InputError
        When no embedding belongs to a cell of the manifest.
    """
    cells = read_used(manifest)
    if "split" not in cells:
        cells["split"] = _split_of_models(cells["CellId"], embeddings, dataset)
    logger.info("%s: %d cells, %s", dataset, len(cells), cells["split"].value_counts().to_dict())
    files.write_table(cells.assign(shard=-1, index=-1), out)


def _split_of_models(ids: pd.Series, embeddings: Sequence[FilePath], dataset: str) -> pd.Series:
    """Return the split in the first table of embeddings; a difference in others is logged."""
    first, *others = embeddings
    split, *other_splits = (
        pd.read_parquet(path, columns=["CellId", "split"]).set_index("CellId")["split"] for path in embeddings
    )
    for path, other in zip(others, other_splits, strict=True):
        first_split, other_split = split.align(other, join="inner")
        if n := int((first_split != other_split).sum()):
            message = "%s: %d cells are in another split for %s than for %s, whose split is used"
            logger.warning(message, dataset, n, path, first)
    if (splits := ids.map(split)).isna().all():
        raise InputError(f"{dataset}: no cell of {first} is in the manifest. Compare the CellId of both.")
    return splits


def write_examples(
    manifest: FilePath,
    out: FilePath,
    *,
    dataset: Mapping[str, Any],
    seed: int,
    download_config: Mapping[str, Any],
) -> None:
    """Fetch the example cells alone and write their clouds: columns x_um, y_um, z_um, CellId, stratum."""
    store, kind = open_published(dataset, download_config), stage_module("published", dataset["kind"])
    cells = example_cells(pd.read_parquet(manifest), dataset["stratum"])
    tables = []
    for row in kind.with_files(cells, store, dataset).to_dict("records"):
        if not row["success"]:
            raise InputError(f"{dataset['name']}: {row['CellId']}: {row['error']}")
        cloud_um = kind.read_example(fetch_file(store, row["files"][0], dataset), row, dataset, seed)
        cloud = pd.DataFrame(cloud_um, columns=["x_um", "y_um", "z_um"])
        tables.append(cloud.assign(CellId=row["CellId"], stratum=row[dataset["stratum"]]))
    files.write_table(pd.concat(tables, ignore_index=True), out)
