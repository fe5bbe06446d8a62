"""Export of embeddings as AnnData."""

from collections.abc import Mapping, Sequence

from morphobench.files import FilePath, anndata, reserved
from morphobench.files.tables import describe_cells, mu_columns, read_checked

_ERRORS = "^(reconstruction|noise_floor|sampling_distance|other_cell|mean_shape)_"


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
    table = read_checked(embedding, ("CellId", "split"))
    cells = describe_cells(table["CellId"], read_checked(manifest, ("CellId",)), embedding)
    obs = anndata.known_of_cells(cells, numbers)
    if reconstruction is not None:
        errors = read_checked(reconstruction, ("CellId",)).set_index("CellId")
        errors = errors.rename(columns={"reason": "reconstruction_reason"}).filter(regex=_ERRORS)
        obs = reserved.keep_apart(obs, set(errors), "the manifest").join(errors)
    anndata.write(
        out,
        table[mu_columns(table.columns)],
        obs,
        {key: str(value) for key, value in provenance.items()},
    )
