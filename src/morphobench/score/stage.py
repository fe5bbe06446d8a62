"""Scores of one trained model, from the tables of the stages before."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files import FilePath, write_table
from morphobench.files.tables import describe_cells, embedding_matrix, read_checked
from morphobench.score import rows_embeddings
from morphobench.score.rows import EmbeddedCells, Fold, ScoreRows, tested
from morphobench.score.rows_cost import add_cost
from morphobench.score.rows_invariances import add_invariances
from morphobench.score.rows_labels import add_classification, add_outliers, add_sized_classification
from morphobench.score.rows_regression import add_regression
from morphobench.score.rows_rotation import add_lattice, add_uniform
from morphobench.score.summary import score_table

# As published: all pairs of neighbours in the test split of packings; elsewhere 20 pairs of 40 cells drawn.
_N_PAIRS_LEGACY = 20


def run(
    *,
    folds: Sequence[Mapping[str, FilePath]],
    cost: FilePath | None,
    dataset: str,
    model: str,
    model_seed: int,
    dataset_config: Mapping[str, Any],
    score_config: Mapping[str, Any],
    seed: int,
    scores_out: FilePath,
    items_out: FilePath,
    replicates_out: FilePath,
    outputs_out: FilePath,
) -> None:
    """Score one trained model, or a baseline without training; what is absent gives null with the reason.

    Parameters
    ----------
    folds
        Tables of each fold by name; one where the data set has no folds. Always there are `manifest`, of all
        cells: CellId, group, split and the columns that `dataset_config` names; and `identity`, the embedding
        of every cell. Others may be absent: `lattice` and `uniform`, of the test cells once per rotation,
        `invariances` (embeddings of changed test cells), `reconstruction` (errors), `pairs` of test cells
        (CSV) and `evolution` (decoded interpolants).
    cost
        JSON of `cost.run`; None where there is none.
    dataset, model, model_seed
        Names for the rows; `model_seed` is the seed of the training.
    dataset_config
        kind, labels (columns to classify), targets (columns to regress on), outlier (a rule, see
        `outlier_labels`) and scale_factor (of shapes, see `add_sized_classification`); the last three may be
        absent.
    score_config
        n_jackknife (most blocks of units that are left out in turn), k_neighbours (list of k of the intrinsic
        dimension), n_compactness (test cells that it takes), n_fractions (interior points of an
        interpolation) and legacy_width, the width of the narrowest model compared, which bounds
        the components that published definitions use.
    seed
        Seed of blocks of units and of random rotations; the same for every model.
    scores_out, items_out, replicates_out, outputs_out
        Tables to write: the fields of `Score`; `item_table`, `replicate_table` and `output_table` of
        `ScoreRows`.

    Raises
    ------
    InputError
        When a table lacks a column that every row needs, or tables do not belong together.
    """
    rows = ScoreRows(dataset, model, model_seed, score_config["n_jackknife"], seed)
    read = [Fold(_read_cells(tables["manifest"], tables["identity"]), tables) for tables in folds]
    _check_folds(read)
    rows.lacking = "" if len(tested(read)[0]) else "there is no test cell"
    width, classes = score_config["legacy_width"], dataset_config.get("classes") or {}
    labels = {label: classes.get(label, {}) for label in dataset_config["labels"]}
    n_legacy = np.inf if dataset_config["kind"] == "packing" else _N_PAIRS_LEGACY
    add_lattice(rows, read, labels, width, seed)
    add_uniform(rows, read, labels)
    add_invariances(rows, read)
    rows_embeddings.add_reconstruction(rows, read)
    rows_embeddings.add_evolution(rows, read, n_legacy)
    rows_embeddings.add_interpolation(rows, read, score_config["n_fractions"], n_legacy, width)
    for label, rules in labels.items():
        add_classification(rows, read, label, rules)
        if (dataset_config.get("scale_factor") or {}).get("mode") == "per_cell":
            add_sized_classification(rows, read, label, rules)
    add_regression(rows, read, dataset_config.get("targets") or ())
    if dataset_config.get("outlier"):
        add_outliers(rows, read, dataset_config["outlier"])
    rows_embeddings.add_compactness(
        rows, read, score_config["k_neighbours"], score_config["n_compactness"], seed, width
    )
    add_cost(rows, cost)
    rows.log_gaps()
    write_table(score_table(rows.scores), scores_out)
    write_table(rows.item_table(), items_out)
    write_table(rows.replicate_table(), replicates_out)
    write_table(rows.output_table(), outputs_out)


def _check_folds(folds: Sequence[Fold]) -> None:
    """Refuse folds of other cells, and cells that are test cells of two."""
    first, ids = folds[0], tested(folds)[0]
    for fold in folds:
        if not np.array_equal(fold.cells.ids, first.cells.ids):
            reason = f"has other cells than {first.tables['identity']}"
            raise InputError(f"{fold.tables['identity']} {reason}. Embed both again.")
    if len(set(ids)) < len(ids):
        raise InputError(f"{first.tables['manifest']}: a cell is a test cell of two folds. Sample again.")


def _read_cells(manifest: FilePath, identity: FilePath) -> EmbeddedCells:
    """Read the embeddings of all cells and their rows of the manifest, sorted by CellId."""
    cells = read_checked(manifest, ("CellId", "group", "split"))
    embedded = read_checked(identity, ("CellId",)).sort_values("CellId", ignore_index=True)
    if embedded["CellId"].duplicated().any():
        twice = embedded.loc[embedded["CellId"].duplicated(), "CellId"].iloc[0]
        raise InputError(f"{identity}: cell {twice} is there more than once. Embed again.")
    rows = describe_cells(embedded["CellId"], cells, identity)
    groups, split = rows["group"].astype(str).to_numpy(), rows["split"].to_numpy()
    test = np.flatnonzero(split == "test")
    return EmbeddedCells(embedding_matrix(embedded), rows, rows.index.to_numpy(), groups, split, test)
