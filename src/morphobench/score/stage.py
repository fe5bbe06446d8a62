"""The score stage: read what the stages before wrote, write one row per metric and the values behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from morphobench.errors import InputError
from morphobench.files import write_table
from morphobench.files.tables import describe_cells, embedding_matrix, read_checked
from morphobench.score.costs import add_cost
from morphobench.score.rows import Codes, Sheet
from morphobench.score.rows_codes import (
    add_compactness,
    add_evolution,
    add_interpolation,
    add_reconstruction,
    published_pairs,
)
from morphobench.score.rows_labels import add_classification, add_outliers, add_regression
from morphobench.score.rows_rotation import add_poses
from morphobench.score.summary import score_table


def run(
    *,
    manifest: str | Path,
    embeddings: Mapping[str, str | Path | None],
    reconstruction: str | Path | None,
    pairs: str | Path | None,
    evolution: str | Path | None,
    cost: str | Path | None,
    dataset: str,
    model: str,
    model_seed: int,
    described: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    scores_out: str | Path,
    items_out: str | Path,
    replicates_out: str | Path,
) -> None:
    """Score one trained model, or a baseline without training; what is absent gives null with the reason.

    Parameters
    ----------
    manifest
        Table of all cells: CellId, group, split and the columns that `described` names.
    embeddings
        Rotations -> embedding table. "identity" holds every cell once; "lattice" and "uniform", which may be
        absent, hold the test cells once per rotation.
    reconstruction
        Table of reconstruction errors; may be None.
    pairs
        CSV of pairs of test cells, pair, start and end, between which codes are interpolated; may be None.
    evolution
        Table of decoded interpolants: pair, fraction, energy, energy_input, energy_legacy and, optionally,
        reason; may be None.
    cost
        JSON, see `costs.add_cost`; may be None.
    dataset, model, model_seed
        Names for the rows; `model_seed` is the seed of the training.
    described
        Of the dataset: kind, labels (columns to classify), targets (columns to regress on) and outlier (a
        rule, see `outlier_labels`); the last two may be None.
    settings
        n_bootstrap (resamples), k_neighbours (list of k of the intrinsic dimension), n_fractions (interior
        points of an interpolation) and legacy_width, the width of the narrowest model compared, which bounds
        the components that published definitions use.
    seed
        Seed of the bootstrap and of what is drawn; the same for every model.
    scores_out, items_out, replicates_out
        Tables to write: the fields of `Score`; `Sheet.item_table`; `Sheet.replicate_table`.

    Raises
    ------
    InputError
        When a table lacks a column that every row needs, or tables do not belong together.
    """
    sheet = Sheet(dataset, model, model_seed, settings["n_bootstrap"], seed)
    codes = _read_codes(manifest, embeddings["identity"])
    width, n_published = settings["legacy_width"], published_pairs(described["kind"])
    labels: Sequence[str] = described["labels"]
    add_poses(sheet, codes, embeddings, labels, width, seed)
    add_reconstruction(sheet, codes, reconstruction)
    add_evolution(sheet, evolution, n_published)
    add_interpolation(sheet, codes, pairs, settings["n_fractions"], n_published, width)
    for label in labels:
        add_classification(sheet, codes, label)
    add_regression(sheet, codes, described.get("targets") or ())
    if described.get("outlier"):
        add_outliers(sheet, codes, described["outlier"])
    add_compactness(sheet, codes, settings["k_neighbours"], width)
    add_cost(sheet, cost)
    write_table(score_table(sheet.scores), scores_out)
    write_table(sheet.item_table(), items_out)
    write_table(sheet.replicate_table(), replicates_out)


def _read_codes(manifest: str | Path, identity: str | Path) -> Codes:
    """Return the embeddings of all cells, sorted by CellId."""
    cells = read_checked(manifest, ("CellId", "group", "split"))
    embedded = read_checked(identity, ("CellId",)).sort_values("CellId", ignore_index=True)
    if embedded["CellId"].duplicated().any():
        twice = embedded.loc[embedded["CellId"].duplicated(), "CellId"].iloc[0]
        raise InputError(f"{identity}: cell {twice} is there more than once. Embed again.")
    known = describe_cells(embedded["CellId"], cells, identity)
    return Codes(embedding_matrix(embedded), known)
