"""Titles, choice of metrics, and how models stand to each other."""

from __future__ import annotations

import pytest
from fabricate.score_tables import METRICS, MODELS, small_scores

from morphobench.plot import titles as metrics

THREE = ("round", "square", "third")


def headline_of(rows):
    return metrics.headline(rows, list(THREE), metrics.metric_titles(["rule"]))


def test_the_best_model_is_outermost_by_the_size_of_differences_and_costs_are_left_out():
    table = metrics.relative(headline_of(small_scores(models=THREE))).set_index(["metric", "model"])
    behind = table["relative"].unstack()
    assert set(behind.index) == set(METRICS) - {"encode_time"}
    # "third" has the largest values everywhere: better for accuracy, worse for errors.
    for metric, row in behind.iterrows():
        order = ["round", "square", "third"] if metric.startswith("class") else ["third", "square", "round"]
        assert row[order].tolist() == pytest.approx([-2 / 3, -1 / 3, 0])


def test_two_models_are_not_drawn_beside_each_other():
    assert metrics.relative(headline_of(small_scores())).empty


@pytest.mark.parametrize("gap", ["no row", "nan"])
def test_relative_scores_leave_out_metrics_that_a_model_lacks(gap):
    rows = small_scores(models=THREE)
    lacks = (rows["metric"] == "evolution_energy") & (rows["model"] == "square")
    rows = rows[~lacks] if gap == "no row" else rows.assign(value=rows["value"].mask(lacks))
    assert set(metrics.relative(headline_of(rows))["metric"]) == set(METRICS) - {
        "evolution_energy",
        "encode_time",
    }


def test_one_model_alone_is_relative_to_nothing():
    scores = metrics.headline(small_scores(models=("round",)), ["round"], metrics.metric_titles(["rule"]))
    assert len(scores)
    assert metrics.relative(scores).empty


def test_the_top_guesses_count_for_the_labels_that_ask_for_it():
    titles = metrics.metric_titles(["stage", "flag"], {"stage": 2})
    assert titles["classification_stage_top_2"] == "Top-2 accuracy, stage"
    assert titles["classification_flag_top_1"] == "Classification of flag"


def test_relative_scores_of_nothing_keep_their_columns():
    scores = metrics.headline(small_scores()[:0], list(MODELS), metrics.metric_titles([]))
    assert list(metrics.relative(scores)) == ["metric", "title", "model", "value", "relative"]


def test_the_headline_is_the_corrected_variant_in_the_order_of_titles():
    titles = metrics.metric_titles(["rule"])
    table = metrics.headline(small_scores(METRICS[::-1]), ["square"], titles)
    assert list(table["metric"]) == METRICS
    assert set(table["variant"]) == {"corrected"}
    assert set(table["model"]) == {"square"}
