"""Scores of one trained model, from the tables of the stages before."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files import FilePath, write_table
from morphobench.files.tables import describe_cells, embedding_matrix, read_checked
from morphobench.score import rows_embeddings
from morphobench.score.rows import EmbeddedCells, ScoreRows
from morphobench.score.rows_cost import add_cost
from morphobench.score.rows_labels import add_classification, add_outliers, add_regression
from morphobench.score.rows_rotation import add_lattice, add_uniform
from morphobench.score.summary import score_table

# As published: all pairs of neighbours in the test split of packings; elsewhere 20 pairs of 40 cells drawn.
_N_PAIRS_LEGACY = 20


def run(
    *,
    manifest: FilePath,
    embeddings: Mapping[str, FilePath | None],
    reconstruction: FilePath | None,
    pairs: FilePath | None,
    evolution: FilePath | None,
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
    manifest
        Table of all cells: CellId, group, split and the columns that `dataset_config` names.
    embeddings
        Rotations -> embedding table. "identity" holds every cell once; "lattice" and "uniform", which may be
        absent, hold the test cells once per rotation.
    reconstruction, pairs, evolution, cost
        Tables of reconstruction errors, of pairs of test cells (CSV) and of their decoded interpolants, and
        JSON of `cost.run`; None where there is none.
    dataset, model, model_seed
        Names for the rows; `model_seed` is the seed of the training.
    dataset_config
        kind, labels (columns to classify), targets (columns to regress on) and outlier (a rule, see
        `outlier_labels`); the last two may be None.
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
    cells = _read_cells(manifest, embeddings["identity"])
    rows.lacking = "" if len(cells.test) else "there is no test cell"
    width, classes = score_config["legacy_width"], dataset_config.get("classes") or {}
    labels = {label: classes.get(label, {}) for label in dataset_config["labels"]}
    n_legacy = np.inf if dataset_config["kind"] == "packing" else _N_PAIRS_LEGACY
    add_lattice(rows, cells, embeddings.get("lattice"), labels, width, seed)
    add_uniform(rows, cells, embeddings.get("uniform"), labels)
    rows_embeddings.add_reconstruction(rows, cells, reconstruction)
    rows_embeddings.add_evolution(rows, evolution, n_legacy)
    rows_embeddings.add_interpolation(rows, cells, pairs, score_config["n_fractions"], n_legacy, width)
    for label, rules in labels.items():
        add_classification(rows, cells, label, rules)
    add_regression(rows, cells, dataset_config.get("targets") or ())
    if dataset_config.get("outlier"):
        add_outliers(rows, cells, dataset_config["outlier"])
    rows_embeddings.add_compactness(
        rows, cells, score_config["k_neighbours"], score_config["n_compactness"], seed, width
    )
    add_cost(rows, cost)
    rows.log_gaps()
    write_table(score_table(rows.scores), scores_out)
    write_table(rows.item_table(), items_out)
    write_table(rows.replicate_table(), replicates_out)
    write_table(rows.output_table(), outputs_out)


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
