"""Cells of a data set with all that is known of them, for programs of others: AnnData and CSV."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from morphobench.files import FilePath, anndata, reserved, write_table
from morphobench.files.tables import describe_cells, embedding_matrix, mu_columns, read_checked

_PLANES = {"X_pca": ["PC_1", "PC_2"], "X_pacmap": ["PaCMAP_1", "PaCMAP_2"]}
_SCORES = [
    "model",
    "seed",
    "metric",
    "variant",
    "unit",
    "better",
    "value",
    "ci_low",
    "ci_high",
    "n",
    "reason",
]


def run(
    manifest: FilePath,
    embeddings: Mapping[str, FilePath],
    pca: FilePath,
    plane: FilePath,
    scores: FilePath,
    *,
    h5ad: FilePath,
    csv: FilePath,
    model: str,
    numbers: Sequence[str],
    provenance: Mapping[str, str],
) -> None:
    """Write the cells of a data set that `model` embeds, as AnnData and as CSV.

    AnnData: X the embedding by `model`, obsm those of the other `embeddings` by name, and the first principal
    components (X_pca) and the map (X_pacmap) of `model`; obs the manifest; uns["morphobench"] the provenance
    and the table of scores. CSV: a row per cell with the manifest, both planes and the embedding. NaN stands
    where analyses leave a cell out.

    Raises
    ------
    InputError
        When a cell is not in the manifest.
    """
    tables = {name: read_checked(path, ("CellId",)) for name, path in embeddings.items()}
    own = tables.pop(model)
    z, ids = own[mu_columns(own.columns)], own["CellId"]
    cells = describe_cells(ids, read_checked(manifest, ("CellId",)), embeddings[model])
    planes = {
        "X_pca": _plane(pca, ids, ["PC_1", "PC_2"]),
        "X_pacmap": _plane(plane, ids, ["dim_0", "dim_1"]),
    }
    obs = anndata.known_of_cells(cells, numbers)
    others = {name: _aligned(table, ids) for name, table in tables.items()}
    table = read_checked(scores, ("model", "metric"))
    table = table[[name for name in _SCORES if name in table]].reset_index(drop=True)
    table.index = table.index.astype(str)
    known = {key: str(value) for key, value in provenance.items()}
    known |= {"model": model, "scores": anndata.with_categories(table)}
    anndata.write(h5ad, z, obs, known, {**planes, **others})
    columns = {
        name: planes[key][:, number] for key, names in _PLANES.items() for number, name in enumerate(names)
    }
    apart = reserved.keep_apart(obs, {*columns, *z.columns}, "the manifest")
    placed = apart.assign(**columns).reset_index(names="CellId")
    write_table(placed.join(z.reset_index(drop=True)), csv)


def _plane(path: FilePath, ids: pd.Series, columns: Sequence[str]) -> np.ndarray:
    table = read_checked(path, ("CellId", *columns)).set_index("CellId")
    return table[list(columns)].reindex(ids).to_numpy(np.float64)


def _aligned(table: pd.DataFrame, ids: pd.Series) -> np.ndarray:
    """Return the embeddings of the cells `ids`, NaN for cells that a table lacks."""
    z = pd.DataFrame(embedding_matrix(table), index=table["CellId"])
    return z.reindex(ids).to_numpy(np.float32)
