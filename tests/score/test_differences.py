"""Differences between models, spread between trainings, tables of several datasets."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, false_discovery_control, ttest_rel

from morphobench.score.collect import (
    collect_dataset,
    combine_datasets,
    concatenate,
    spread_rows,
)
from morphobench.score.differences import difference_table, paired_differences
from morphobench.score.summary import Score, score_table

HOW = {"n_permutations": 499}


def compare(a, b, groups, seed=0, **how):
    return paired_differences(a, b, groups, **{**HOW, **how}, rng=np.random.default_rng(seed))


def test_all_signs_of_few_groups_are_tried():
    sums = np.array([3.0, 3.0, 4.0, 0.5, 2.0, 1.0])
    a, groups = np.array([[1.0], [2.0], *sums[1:, None]]), np.array(list("aabcdef"))
    (found,) = compare(a, np.zeros_like(a), groups)
    flips = [abs(np.dot(signs, sums)) for signs in product((1, -1), repeat=6)]
    assert found.p == np.mean(np.array(flips) >= sums.sum()) == found.smallest_p == 1 / 32
    assert found.difference == pytest.approx(a.mean())
    assert found.ci_low <= found.difference <= found.ci_high
    assert (found.n, found.n_units) == (7, 6)


@pytest.mark.parametrize(("sums", "flips"), [([1, 2, 3, 4, 5, 0], 3), ([1] * 7 + [-1], 11)])
def test_flips_that_only_tie_count_half(sums, flips):
    """The observed signs and their opposite count wholly, the two or fourteen others that tie half."""
    a = np.array(sums, float)[:, None]
    (found,) = compare(a, np.zeros_like(a), np.arange(len(sums)))
    assert found.p == flips / 2 ** len(sums)
    assert found.p >= found.smallest_p


@pytest.mark.parametrize("n_units", [2, 5])
def test_too_few_units_have_no_p_but_its_least_value(n_units):
    a = np.arange(1.0, 1 + n_units)[:, None]
    (found,) = compare(a, np.zeros_like(a), np.arange(n_units))
    assert np.isnan(found.p)
    assert found.smallest_p == 2 / 2**n_units > 0.05
    assert found.ci_low < found.difference < found.ci_high


@pytest.mark.parametrize(("n_differ", "has_p"), [(4, False), (5, True)])
def test_where_too_few_units_differ_there_is_no_p(n_differ, has_p):
    hits = (np.arange(6) < n_differ).astype(float)[:, None]
    (found,) = compare(hits, np.zeros_like(hits), np.arange(6))
    assert found.smallest_p == 1 / 2**n_differ + 1 / 2**6
    assert np.isfinite(found.p) == has_p == (found.smallest_p <= 0.05)
    assert found.n_differ == n_differ


def test_many_groups_agree_with_the_t_test():
    rng = np.random.default_rng(1)
    a = rng.normal(0.25, 1, size=(80, 1))
    (found,) = compare(a, np.zeros_like(a), np.arange(80), n_permutations=20_000)
    known = ttest_rel(a[:, 0], np.zeros(80))
    assert found.p == pytest.approx(known.pvalue, abs=0.01)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(known.confidence_interval()))


def test_hits_that_never_differ_may_differ_in_another_cell():
    hits = np.array([[1.0], [0.0], [1.0], [1.0]])
    (found,) = compare(hits, hits, np.arange(4))
    most = binomtest(0, 4).proportion_ci(method="exact").high
    assert (found.difference, found.ci_low, found.ci_high) == pytest.approx((0, -most, most))


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
    a, b, groups = rng.normal(size=(14, 2)), rng.normal(size=(14, 2)), np.arange(14) // 2
    forth, back = compare(a, b, groups), compare(b, a, groups)
    order = rng.permutation(14)
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
    assert (equal.difference, equal.n_differ, equal.smallest_p) == (0, 0, 1)
    assert np.isnan(equal.p)
    (nothing,) = compare(np.empty((0, 1)), np.empty((0, 1)), np.empty(0))
    assert nothing.n == 0
    assert np.isnan([nothing.difference, nothing.p]).all()


def tables(rng, shifts=(0.0, 0.0, 1.0), seeds=(1,), n=30):
    """Return scores, items, replicates and outputs of three models that are measured on the same cells."""
    scores, items, replicates, outputs = [], [], [], []
    base = rng.normal(size=n)
    units = [f"g{i // 2}" for i in range(n)]
    for model, shift in zip("abc", shifts, strict=True):
        for seed in seeds:
            values = base + shift + 0.2 * rng.normal(size=n)
            names = {"dataset": "d", "model": model, "seed": seed}
            counts = (np.nan, np.nan, n, n // 2, "")
            for metric, groups in (("error", units), ("time", [""] * n)):
                scores.append(
                    Score("d", model, seed, metric, "corrected", "um", "low", values.mean(), *counts)
                )
                rows = {"metric": metric, "variant": "corrected", "item": [f"i{i}" for i in range(n)]}
                items.append(pd.DataFrame({**names, **rows, "group": groups, "value": values}))
            scores.append(Score("d", model, seed, "share", "corrected", "", "high", values.mean(), *counts))
            rows = {"metric": "share", "cells": "x", "replicate": range(n // 2)}
            without = (values.sum() - values.reshape(-1, 2).sum(axis=1)) / (n - 2)
            replicates.append(pd.DataFrame({**names, **rows, "value": without}))
            rows = {"metric": "share", "item": [f"i{i}" for i in range(n)], "group": units, "label": ""}
            outputs.append(pd.DataFrame({**names, **rows, "positive": False, "value": values}))
    return score_table(scores), pd.concat(items), pd.concat(replicates), pd.concat(outputs)


def test_every_two_models_are_compared_and_each_metric_is_a_family():
    scores, *behind = tables(np.random.default_rng(5))
    table = difference_table(scores, *behind, models=["c", "b", "a"], seed=0, **HOW)
    assert list(zip(table["metric"], table["model_a"], table["model_b"], strict=True)) == [
        (metric, *pair) for metric in ("error", "share") for pair in (("c", "b"), ("c", "a"), ("b", "a"))
    ]
    for _, part in table.groupby("metric"):
        np.testing.assert_allclose(part["q"], false_discovery_control(part["p"]))
    found = table.set_index(["metric", "model_a", "model_b"])
    assert found.loc[("error", "c", "b"), "difference"] == pytest.approx(1, abs=0.2)
    assert found.loc[("error", "c", "b"), "q"] < 0.05 < found.loc[("error", "b", "a"), "q"]
    assert found.loc[("error", "c", "b"), ["n", "n_units"]].tolist() == [30, 15]
    again = difference_table(
        scores, behind[0].sample(frac=1, random_state=0), *behind[1:], models=["c", "b", "a"], seed=0, **HOW
    )
    pd.testing.assert_frame_equal(again, table)


def test_a_mean_is_compared_alike_as_a_mean_and_as_another_statistic():
    table = difference_table(*tables(np.random.default_rng(11)), models=["a", "b", "c"], seed=0, **HOW)
    parts = [part.reset_index(drop=True) for _, part in table.groupby("metric")]
    for column in ("difference", "ci_low", "ci_high"):
        np.testing.assert_allclose(parts[0][column], parts[1][column])
    np.testing.assert_allclose(parts[0]["p"], parts[1]["p"], atol=0.06)


def test_statistics_of_unlike_cells_are_not_compared():
    scores, items, replicates, outputs = tables(np.random.default_rng(6))
    replicates.loc[replicates["model"] == "a", "cells"] = "other"
    behind = items, replicates, outputs
    table = difference_table(scores, *behind, models=["a", "b", "c"], seed=0, **HOW)
    rows = table[table["metric"] == "share"].set_index(["model_a", "model_b"])
    assert rows.loc[("a", "b"), "reason"] == "scored on different cells"
    assert np.isnan(rows.loc[("a", "b"), "p"])
    assert np.isfinite(rows.loc[("b", "c"), "p"])


def test_one_model_and_no_items_give_an_empty_table():
    behind = tables(np.random.default_rng(7))
    one = difference_table(*behind, models=["a"], seed=0, **HOW)
    none = difference_table(*(table[:0] for table in behind), models=["a", "b"], seed=0, **HOW)
    for table in (one, none):
        assert table.empty
        assert table["q"].dtype == np.float64


def test_trainings_are_averaged_and_their_spread_is_a_row():
    scores, items, *behind = tables(np.random.default_rng(8), seeds=(1, 2, 3))
    scores.loc[(scores["model"] == "a") & (scores["seed"] < 3), "value"] = np.nan
    rows = spread_rows(scores).set_index(["model", "metric"])
    assert (rows["seed"] == -1).all()
    values = scores.loc[(scores["model"] == "b") & (scores["metric"] == "error"), "value"]
    assert rows.loc[("b", "error_spread"), "value"] == pytest.approx(values.std(ddof=1))
    assert rows.loc[("b", "error_spread"), "n"] == 3
    assert np.isnan(rows.loc[("a", "error_spread"), "value"])
    assert "fewer than two trainings" in rows.loc[("a", "error_spread"), "reason"]
    assert spread_rows(tables(np.random.default_rng(8))[0]).empty
    table = difference_table(scores, items, *behind, models=["b", "c"], seed=0, **HOW)
    means = items[items["metric"] == "error"].groupby("model")["value"].mean()
    assert table["difference"].iloc[0] == pytest.approx(means["b"] - means["c"])


@pytest.fixture
def written(tmp_path):
    parts = tables(np.random.default_rng(9), seeds=(1, 2))
    paths = {}
    for name, table in zip(("scores", "items", "replicates", "outputs"), parts, strict=True):
        paths[name] = []
        for model in "abc":
            paths[name].append(tmp_path / f"{name}_{model}.parquet")
            table[table["model"] == model].to_parquet(paths[name][-1], index=False)
    return paths


def test_collecting_writes_the_three_tables_of_a_dataset(written, tmp_path):
    outs = {f"{name}_out": tmp_path / f"{name}.parquet" for name in ("scores", "items", "differences")}
    collect_dataset(**written, **outs, models=["a", "b", "c"], seed=0, **HOW)
    scores, items, differences = (pd.read_parquet(path) for path in outs.values())
    assert list(scores) == [*Score._fields, "scaled"]
    assert scores["scaled"].isna().all()
    assert (scores["seed"] == -1).sum() == 9
    assert len(items) == 3 * 2 * 2 * 30
    assert len(differences) == 6


def test_datasets_are_joined_and_compared_with_the_best(written, tmp_path):
    scores = concatenate(written["scores"])
    for name, shift in (("low", 0.0), ("high", 2.0)):
        value = scores["value"] + shift
        moved = scores.assign(dataset=name, value=value, ci_low=value - 0.5, ci_high=value + 0.5)
        moved.to_parquet(tmp_path / f"{name}.parquet", index=False)
    paths = {name: tmp_path / f"{name}.parquet" for name in ("low", "high")}
    combine_datasets(paths, {"low": ["a", "b"], "high": ["a", "b"]}, tmp_path / "joined.parquet")
    joined = pd.read_parquet(tmp_path / "joined.parquet")
    assert list(joined) == [*Score._fields, "relative"]
    assert set(joined["model"]) == {f"{m}_{d}" for m in "abc" for d in ("low", "high")}
    assert joined.loc[joined["model"].str.startswith("c"), "relative"].isna().all()
    error = joined[joined["metric"] == "error"].groupby("model").agg({"value": "mean", "relative": "first"})
    compared = error.drop(index=["c_low", "c_high"])
    np.testing.assert_allclose(compared["relative"], 2 * (compared["value"].min() - compared["value"]))
    assert compared["relative"].max() == 0
    assert compared.loc["a_low", "relative"] > compared.loc["a_high", "relative"]
