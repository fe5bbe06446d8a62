"""Differences between models, spread between trainings, tables of several datasets."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, ttest_rel

from morphobench.metrics.relative import relative_scores
from morphobench.score.collect import collect_dataset, combine_datasets, concatenate, spread_rows
from morphobench.score.differences import difference_table, paired_differences, replicate_difference
from morphobench.score.summary import Score, score_table

HOW = {"n_resamples": 400, "n_permutations": 499}


def compare(a, b, groups, seed=0, **how):
    return paired_differences(a, b, groups, **{**HOW, **how}, rng=np.random.default_rng(seed))


def test_all_signs_of_few_groups_are_tried():
    a, groups = np.array([[1.0], [2.0], [3.0], [4.0], [0.5]]), np.array(list("aabcd"))
    (found,) = compare(a, np.zeros_like(a), groups)
    sums = np.array([3.0, 3.0, 4.0, 0.5])
    flips = [abs(np.dot(signs, sums)) for signs in product((1, -1), repeat=4)]
    assert found.p == np.mean(np.array(flips) >= sums.sum())
    assert found.difference == pytest.approx(2.1)
    assert found.ci_low <= found.difference <= found.ci_high
    assert found.n == 5


def test_many_groups_agree_with_the_t_test():
    rng = np.random.default_rng(1)
    a = rng.normal(0.25, 1, size=(80, 1))
    (found,) = compare(a, np.zeros_like(a), np.arange(80), n_permutations=20_000)
    assert found.p == pytest.approx(ttest_rel(a[:, 0], np.zeros(80)).pvalue, abs=0.01)
    half = 1.96 * a.std() / np.sqrt(80)
    assert (found.ci_low, found.ci_high) == pytest.approx((a.mean() - half, a.mean() + half), abs=0.05)


def test_p_values_are_honest_under_the_null_also_for_groups():
    rng = np.random.default_rng(2)
    groups, n_pairs = np.repeat(np.arange(20), 6), 400
    # Cells of a group go together: cell by cell, the differences would seem far from chance.
    apart = np.repeat(rng.normal(size=(20, n_pairs)), 6, axis=0) + 0.1 * rng.normal(size=(120, n_pairs))
    found = compare(apart, np.zeros_like(apart), groups)
    p = np.array([one.p for one in found])
    # Four standard errors of a share of 0.05 of 400.
    assert (p <= 0.05).mean() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / n_pairs)
    alone = np.array([one.p for one in compare(apart, np.zeros_like(apart), np.arange(120))])
    assert (alone <= 0.05).mean() > 0.3


def test_a_swap_changes_the_sign_and_order_does_not_matter():
    rng = np.random.default_rng(3)
    a, b, groups = rng.normal(size=(10, 2)), rng.normal(size=(10, 2)), np.arange(10) // 2
    forth, back = compare(a, b, groups), compare(b, a, groups)
    order = rng.permutation(10)
    shuffled = compare(a[order], b[order], groups[order])
    for one, other, again in zip(forth, back, shuffled, strict=True):
        assert other.difference == pytest.approx(-one.difference)
        assert other.p == one.p == again.p
        assert (other.ci_low, other.ci_high) == pytest.approx((-one.ci_high, -one.ci_low))
        assert (again.ci_low, again.ci_high) == pytest.approx((one.ci_low, one.ci_high))


def test_missing_items_are_left_out_of_their_pair_and_ignorance_is_admitted():
    a = np.array([[1.0, 1.0, np.nan], [2.0, np.nan, np.nan], [4.0, 4.0, 4.0]])
    whole, part, lonely = compare(a, np.zeros_like(a), np.arange(3))
    assert [one.n for one in (whole, part, lonely)] == [3, 2, 1]
    assert part.difference == 2.5
    assert np.isnan([lonely.ci_low, lonely.ci_high, lonely.p]).all()
    (equal,) = compare(np.ones((6, 1)), np.ones((6, 1)), np.arange(6))
    assert (equal.difference, equal.p) == (0, 1)
    (nothing,) = compare(np.empty((0, 1)), np.empty((0, 1)), np.empty(0))
    assert nothing.n == 0
    assert np.isnan([nothing.difference, nothing.p]).all()


def test_resampled_statistics_are_compared_by_their_resamples():
    rng = np.random.default_rng(4)
    shared = rng.normal(size=999)
    low, high, p = replicate_difference(shared + 1, shared + 0.01 * rng.normal(size=999))
    assert 0.97 < low < 1 < high < 1.03
    assert p == pytest.approx(2 / 1000)
    assert replicate_difference(shared, shared)[2] == 1
    assert np.isnan(replicate_difference(shared, np.full(999, np.nan))).all()


def tables(rng, shifts=(0.0, 0.0, 1.0), seeds=(1,), n=30):
    """Return scores, items and replicates of three models that are measured on the same cells."""
    scores, items, replicates = [], [], []
    base = rng.normal(size=n)
    for model, shift in zip("abc", shifts, strict=True):
        for seed in seeds:
            values = base + shift + 0.2 * rng.normal(size=n)
            names = {"dataset": "d", "model": model, "seed": seed}
            for metric, groups in (("error", [f"g{i // 2}" for i in range(n)]), ("time", [""] * n)):
                scores.append(Score("d", model, seed, metric, "corrected", "um", "low", values.mean(),
                                    np.nan, np.nan, n, ""))  # fmt: skip
                rows = {"metric": metric, "variant": "corrected", "item": [f"i{i}" for i in range(n)]}
                items.append(pd.DataFrame({**names, **rows, "group": groups, "value": values}))
            scores.append(Score("d", model, seed, "area", "corrected", "", "high", shift, 0, 1, n, ""))
            rows = {"metric": "area", "cells": "x", "replicate": range(50)}
            replicates.append(pd.DataFrame({**names, **rows, "value": shift + 0.1 * rng.normal(size=50)}))
    return score_table(scores), pd.concat(items), pd.concat(replicates)


def test_every_two_models_are_compared_and_corrected_together():
    scores, items, replicates = tables(np.random.default_rng(5))
    table = difference_table(scores, items, replicates, models=["c", "b", "a"], seed=0, **HOW)
    assert list(zip(table["metric"], table["model_a"], table["model_b"], strict=True)) == [
        (metric, *pair) for metric in ("error", "area") for pair in (("c", "b"), ("c", "a"), ("b", "a"))
    ]
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))
    found = table.set_index(["metric", "model_a", "model_b"])
    assert found.loc[("error", "c", "b"), "difference"] == pytest.approx(1, abs=0.2)
    assert found.loc[("error", "c", "b"), "q"] < 0.05 < found.loc[("error", "b", "a"), "q"]
    assert found["test"].unique().tolist() == ["sign flip", "bootstrap"]
    assert found.loc[("error", "c", "b"), "n"] == 30
    again = difference_table(
        scores, items.sample(frac=1, random_state=0), replicates, models=["c", "b", "a"], seed=0, **HOW
    )
    pd.testing.assert_frame_equal(again, table)


def test_statistics_of_unlike_cells_are_not_compared():
    scores, items, replicates = tables(np.random.default_rng(6))
    replicates.loc[replicates["model"] == "a", "cells"] = "other"
    table = difference_table(scores, items, replicates, models=["a", "b", "c"], seed=0, **HOW)
    rows = table[table["metric"] == "area"].set_index(["model_a", "model_b"])
    assert rows.loc[("a", "b"), "reason"] == "scored on different cells"
    assert np.isnan(rows.loc[("a", "b"), "p"])
    assert np.isfinite(rows.loc[("b", "c"), "p"])


def test_one_model_and_no_items_give_an_empty_table():
    scores, items, replicates = tables(np.random.default_rng(7))
    one = difference_table(scores, items, replicates, models=["a"], seed=0, **HOW)
    none = difference_table(scores[:0], items[:0], replicates[:0], models=["a", "b"], seed=0, **HOW)
    for table in (one, none):
        assert table.empty
        assert table["q"].dtype == np.float64


def test_trainings_are_averaged_and_their_spread_is_a_row():
    scores, items, replicates = tables(np.random.default_rng(8), seeds=(1, 2, 3))
    scores.loc[(scores["model"] == "a") & (scores["seed"] < 3), "value"] = np.nan
    rows = spread_rows(scores).set_index(["model", "metric"])
    assert (rows["seed"] == -1).all()
    values = scores.loc[(scores["model"] == "b") & (scores["metric"] == "error"), "value"]
    assert rows.loc[("b", "error_spread"), "value"] == pytest.approx(values.std(ddof=1))
    assert rows.loc[("b", "error_spread"), "n"] == 3
    assert np.isnan(rows.loc[("a", "error_spread"), "value"])
    assert "fewer than two trainings" in rows.loc[("a", "error_spread"), "reason"]
    assert spread_rows(tables(np.random.default_rng(8))[0]).empty
    table = difference_table(scores, items, replicates, models=["b", "c"], seed=0, **HOW)
    means = items[items["metric"] == "error"].groupby("model")["value"].mean()
    assert table["difference"].iloc[0] == pytest.approx(means["b"] - means["c"])


@pytest.fixture
def written(tmp_path):
    parts = tables(np.random.default_rng(9), seeds=(1, 2))
    paths = {}
    for name, table in zip(("scores", "items", "replicates"), parts, strict=True):
        paths[name] = []
        for model in "abc":
            paths[name].append(tmp_path / f"{name}_{model}.parquet")
            table[table["model"] == model].to_parquet(paths[name][-1], index=False)
    return paths


def test_collecting_writes_the_three_tables_of_a_dataset(written, tmp_path):
    outs = {f"{name}_out": tmp_path / f"{name}.parquet" for name in ("scores", "items", "differences")}
    collect_dataset(**written, **outs, models=["a", "b", "c"], seed=0, **HOW)
    scores, items, differences = (pd.read_parquet(path) for path in outs.values())
    assert list(scores) == list(Score._fields)
    assert (scores["seed"] == -1).sum() == 9
    assert len(items) == 3 * 2 * 2 * 30
    assert len(differences) == 6


def test_datasets_are_joined_and_standardised_together(written, tmp_path):
    scores = concatenate(written["scores"])
    for name, shift in (("low", 0.0), ("high", 2.0)):
        moved = scores.assign(dataset=name, value=scores["value"] + shift)
        moved.to_parquet(tmp_path / f"{name}.parquet", index=False)
    paths = {name: tmp_path / f"{name}.parquet" for name in ("low", "high")}
    combine_datasets(paths, {"low": ["a", "b"], "high": ["a", "b"]}, tmp_path / "joined.parquet")
    joined = pd.read_parquet(tmp_path / "joined.parquet")
    assert list(joined) == [*Score._fields, "relative"]
    assert set(joined["model"]) == {f"{m}_{d}" for m in "abc" for d in ("low", "high")}
    assert joined.loc[joined["model"].str.startswith("c"), "relative"].isna().all()
    error = joined[joined["metric"] == "error"].groupby("model").agg({"value": "mean", "relative": "first"})
    compared = error.drop(index=["c_low", "c_high"])
    expected = relative_scores(compared["value"], "low")
    np.testing.assert_allclose(compared["relative"], expected)
    assert compared.loc["a_low", "relative"] > 0 > compared.loc["a_high", "relative"]
