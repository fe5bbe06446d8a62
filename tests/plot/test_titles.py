"""Titles, choice and z-scores of metrics."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate.score_tables import METRICS, MODELS, small_scores

from morphobench.plot import titles as metrics


def test_relative_scores_are_centred_and_outward_is_better():
    scores = metrics.headline(small_scores(), list(MODELS), metrics.metric_titles(["rule"]))
    table = metrics.relative(scores).set_index(["metric", "model"])["z"].unstack()
    np.testing.assert_allclose(table.sum(axis=1), 0, atol=1e-12)
    # "square" has the larger values everywhere: better for accuracy, worse for errors.
    better = table["square"] > table["round"]
    assert better.to_dict() == {metric: metric.startswith("class") for metric in METRICS}


@pytest.mark.parametrize("gap", ["no row", "nan"])
def test_relative_scores_leave_out_metrics_that_a_model_lacks(gap):
    rows = small_scores()
    lacks = (rows["metric"] == "evolution_energy") & (rows["model"] == "square")
    rows = rows[~lacks] if gap == "no row" else rows.assign(value=rows["value"].mask(lacks))
    scores = metrics.headline(rows, list(MODELS), metrics.metric_titles(["rule"]))
    assert set(metrics.relative(scores)["metric"]) == set(METRICS) - {"evolution_energy"}


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
    assert list(metrics.relative(scores)) == ["metric", "title", "model", "value", "z"]


def test_the_headline_is_the_corrected_variant_in_the_order_of_titles():
    titles = metrics.metric_titles(["rule"])
    table = metrics.headline(small_scores(METRICS[::-1]), ["square"], titles)
    assert list(table["metric"]) == METRICS
    assert set(table["variant"]) == {"corrected"}
    assert set(table["model"]) == {"square"}
