"""Folds: every cell is a test cell once, labels in all of them, and cells that are added move no other."""

from __future__ import annotations

import logging

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench.sample import folds

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
PLACE = {"dataset": "tiny", "seed": 1}


def made_up(sizes, n_per_group=2, first=0):
    """Cells of labels a, b, ... with so many groups each."""
    rows = [
        (f"{label}{first + number}_{cell}", f"{label}{first + number}", label)
        for label, size in zip("abcdef", sizes, strict=False)
        for number in range(size)
        for cell in range(n_per_group)
    ]
    return pd.DataFrame(rows, columns=["CellId", "group", "kind"]).assign(success=True)


def with_folds(cells, n_folds=4):
    return cells.assign(fold=folds.folds_of(cells, n_folds, "kind", **PLACE))


@given(st.lists(st.integers(5, 30), min_size=1, max_size=4), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_every_fold_has_every_label_and_groups_stay_whole(sizes, n_folds):
    cells = with_folds(made_up(sizes), n_folds)
    assert cells.groupby("kind")["fold"].nunique().eq(n_folds).all()
    assert cells.groupby("group")["fold"].nunique().eq(1).all()


@given(st.lists(st.integers(5, 30), min_size=1, max_size=4), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_every_cell_is_a_test_cell_once_and_else_trained_on(sizes, n_folds):
    cells = with_folds(made_up(sizes), n_folds)
    splits = pd.DataFrame(
        {fold: folds.fold_split(cells, fold, SHARES, label="kind", **PLACE) for fold in range(n_folds)}
    )
    assert ((splits == "test").sum(axis=1) == 1).all()
    assert splits.isin(["train", "val", "test"]).all(axis=None)
    for fold in splits:
        counts = pd.crosstab(cells["kind"], splits[fold])
        # Of every label, each fold knows some cells and tests others.
        assert counts["test"].gt(0).all()
        assert counts.drop(columns="test").sum(axis=1).gt(0).all()


@given(st.integers(6, 40), st.integers(2, 5), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_group_that_is_added_moves_at_most_one_across_each_limit(n, n_folds, number):
    before = with_folds(made_up([n, 8]), n_folds)
    more = with_folds(pd.concat([made_up([1], first=100 + number), made_up([n, 8])]), n_folds)
    both = before.merge(more, on="CellId", suffixes=("", "_after"))
    moved = both[both["fold"] != both["fold_after"]]
    assert (moved["kind"] == "a").all()
    assert moved["group"].nunique() < n_folds
    assert (both["fold"] - both["fold_after"]).abs().max() <= 1


@given(st.lists(st.integers(5, 30), min_size=1, max_size=4), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_labels_are_spread_evenly_whatever_the_order_of_cells(sizes, n_folds):
    cells = made_up(sizes)
    folded = with_folds(cells, n_folds).set_index("CellId")["fold"]
    counts = pd.crosstab(cells["kind"], folded.to_numpy())
    assert (counts.max(axis=1) - counts.min(axis=1) <= 2).all()
    shuffled = with_folds(cells.sample(frac=1, random_state=0), n_folds).set_index("CellId")["fold"]
    assert shuffled.reindex(folded.index).equals(folded)


def test_a_label_of_fewer_groups_than_folds_is_named(caplog):
    with caplog.at_level(logging.WARNING, "morphobench"):
        cells = with_folds(made_up([20, 2]), 5)
    assert "kind b of tiny has 2 groups of cells" in caplog.text
    assert "folds have none of it to test" in caplog.text
    assert "kind a" not in caplog.text
    assert cells["fold"].between(0, 4).all()


def test_failed_cells_have_a_fold_too_and_fill_none():
    cells = made_up([12])
    failed = made_up([8], first=50).assign(success=False)
    both = with_folds(pd.concat([cells, failed], ignore_index=True))
    assert both["fold"].notna().all()
    assert both.loc[both["success"], "fold"].tolist() == with_folds(cells)["fold"].tolist()


def test_the_manifest_of_a_fold_differs_in_the_split_alone(tmp_path):
    cells = with_folds(made_up([12, 12])).assign(split="test")
    cells.to_parquet(tmp_path / "manifest.parquet")
    options = {"split": SHARES, "label": "kind", "dataset_name": "tiny", "seed": 1}
    folds.run(tmp_path / "manifest.parquet", tmp_path / "fold.parquet", fold=2, **options)
    written = pd.read_parquet(tmp_path / "fold.parquet")
    pd.testing.assert_frame_equal(written.drop(columns="split"), cells.drop(columns="split"))
    assert ((written["split"] == "test") == (written["fold"] == 2)).all()
