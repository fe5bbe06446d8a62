"""The panel of scores: bars, polar plot, baselines, missing values."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fabricate import plot_tables
from fabricate.score_tables import MODELS, small_scores
from harness.figures import described, drawn, drawn_about, tables_of, words
from matplotlib.colors import to_hex

from morphobench.plot import figure
from morphobench.plot.panels import scores as scores_panel


def test_a_model_without_scores_has_no_value(tmp_path):
    scores = plot_tables.inputs("fig2")["scores"]
    tables = tables_of(
        "fig2", tmp_path, about=("scores",), scores=scores[scores["model"] != "classical_image"]
    )
    said = [text.get_text().strip() for text in drawn("fig2", tables, about=("scores",)).findobj(plt.Text)]
    n_metrics = tables["b_scores"].dropna(subset=["value"])["metric"].nunique()
    assert said.count("no value") == n_metrics


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("2 of 2 values are missing; no meter", "no meter"),
        (
            "no estimate for k = 5, 10 with 4 embeddings (needs 3 <= k < embeddings)",
            "no estimate for k = 5, 10 with\n4 embeddings",
        ),
        ("", "no value"),
    ],
)
def test_a_metric_without_any_value_says_why(reason, said, tmp_path):
    scores = plot_tables.inputs("fig2")["scores"]
    missing = scores["metric"] == "encode_time"
    scores.loc[missing, ["value", "ci_low", "ci_high"]] = np.nan
    scores.loc[missing, "reason"] = reason
    found = words(drawn_about("fig2", tmp_path, "scores", scores=scores))
    assert said in found
    assert "Encoding time \u2193" in found


def test_a_dataset_without_labels_has_scores_all_the_same(tmp_path):
    context = plot_tables.context("fig2")._replace(labels=[])
    figure.write_tables(described("fig2"), plot_tables.inputs("fig2"), context, tmp_path)
    table = figure.read_tables(tmp_path)["b_scores"]
    assert len(table)
    assert not table["metric"].str.startswith("classification").any()


@pytest.mark.parametrize("n_metrics", [1, 2, 3])
def test_a_polar_plot_needs_three_metrics(n_metrics, tmp_path):
    scores = plot_tables.inputs("fig2")["scores"]
    names = ["reconstruction", "evolution_energy", "interpolation_distance"]
    kept = scores["metric"].isin([*names[:n_metrics], "parameters"])
    page = drawn_about("fig2", tmp_path, "scores", scores=scores[kept])
    assert ("fewer than three models or metrics to compare" in words(page)) is (n_metrics < 3)


def test_seeds_are_averaged_into_one_bar():
    rows = small_scores(["reconstruction"], seeds=(1, 2))
    rows.loc[rows["seed"] == 1, "value"] += 1
    _, axes = plt.subplots()
    table = rows[rows["variant"] == "corrected"].assign(title="x")
    scores_panel.draw_bars(axes, table, pd.DataFrame({"model": [], "value": []}), MODELS)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.8, 0.85])


def test_what_a_mean_leaves_out_is_counted_beside_it():
    _, axes = plt.subplots()
    rows = small_scores(["reconstruction"])
    items = pd.DataFrame(
        {"model": ["round"] * 4 + ["square"] * 4, "value": [0.3, np.nan, np.nan, 0.3, *[0.4] * 4]}
    )
    scores_panel.draw_bars(axes, rows[rows["variant"] == "corrected"].assign(title="x"), items, MODELS)
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["2 of 4 missing"]


def test_an_interval_of_few_units_does_not_hide_the_bars():
    _, axes = plt.subplots()
    rows = small_scores(["reconstruction"]).assign(ci_low=0.0, ci_high=50.0)
    table = rows[rows["variant"] == "corrected"].assign(title="x")
    scores_panel.draw_bars(axes, table, pd.DataFrame({"model": [], "value": []}), MODELS)
    assert axes.get_xlim()[1] < 1


def test_a_metric_without_a_better_direction_has_no_arrow():
    _, axes = plt.subplots()
    rows = small_scores(["reconstruction"]).assign(better="none")
    scores_panel.draw_bars(
        axes, rows.assign(title="Dimension"), pd.DataFrame({"model": [], "value": []}), MODELS
    )
    assert axes.get_title(loc="left") == "Dimension"


def test_baselines_are_lines_where_they_have_a_value():
    _, axes = plt.subplots()
    rows = small_scores(["reconstruction"], models=("plain", "none"))
    rows.loc[rows["model"] == "none", "value"] = np.nan
    looks = {"plain": {"label": "Plain", "color": "#777777"}, "none": {"label": "None", "color": "#777777"}}
    scores_panel.draw_references(axes, rows[rows["variant"] == "corrected"], looks)
    assert [line.get_xdata()[0] for line in axes.lines] == [0.3]


def test_a_long_reason_stays_within_its_chart():
    _, axes = plt.subplots(figsize=(1.4, 0.4))
    rows = small_scores(["reconstruction"]).assign(
        value=np.nan, reason="11 of 11 values are missing or not finite"
    )
    scores_panel.draw_bars(axes, rows.assign(title="x"), pd.DataFrame({"model": [], "value": []}), MODELS)
    (said,) = [text for text in axes.texts if "missing" in text.get_text()]
    assert max(map(len, said.get_text().split("\n"))) <= 30


def test_models_have_their_colours(tmp_path):
    tables = tables_of("fig2", tmp_path, about=("scores",))
    page = drawn("fig2", tables, about=("scores",))
    colors = [look["color"].lower() for look in plot_tables.context("fig2").models.values()]
    polar = next(axes for axes in page.findobj(plt.Axes) if axes.name == "polar")
    assert {to_hex(line.get_color()) for line in polar.lines} == set(colors)
    bars = [axes for axes in page.findobj(plt.Axes) if axes.patches and axes.name != "polar"]
    assert len(bars) == tables["b_scores"].dropna(subset=["value"])["metric"].nunique()
    for axes in bars:
        assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == colors


def with_references(scores):
    """Add what errors are read against: the same for all models but the sampling distance."""
    base = scores[(scores["metric"] == "reconstruction") & (scores["variant"] == "corrected")]
    own = base.assign(metric="reconstruction_sampling_distance", value=0.1 * np.arange(1, len(base) + 1))
    other = base.assign(metric="reconstruction_other_cell", value=4.0)
    rotated = base.assign(metric="rotation_invariance_error_uniform_floor", value=0.05)
    return pd.concat([scores, own, other, rotated], ignore_index=True)


def test_each_bar_has_the_lines_that_it_is_read_against():
    scores = with_references(small_scores(["reconstruction"]))
    _, axes = plt.subplots()
    scores_panel.draw_read_against(axes, scores, "reconstruction", MODELS)
    drawn_at = sorted((line.get_ydata().mean(), line.get_xdata()[0]) for line in axes.lines)
    expected = [(place, x) for place in range(len(MODELS)) for x in (0.1 * (place + 1), 4.0)]
    np.testing.assert_allclose(drawn_at, expected, atol=1e-9)
    _, axes = plt.subplots()
    scores_panel.draw_read_against(axes, scores, "compactness", MODELS)
    assert not axes.lines


def test_lines_are_named_only_where_there_are_any(tmp_path):
    scores = plot_tables.inputs("fig2")["scores"]
    names = {"sampled again", "another cell", "resampling alone", "mean shape"}
    plain = words(drawn_about("fig2", tmp_path, "scores", scores=scores))
    assert not any(name in plain for name in names)
    tables = tables_of("fig2", tmp_path, about=("scores",), scores=with_references(scores))
    found = words(drawn("fig2", tables, about=("scores",)))
    assert {name for name in names if name in found} == names - {"mean shape"}


def test_models_that_have_not_learnt_are_marked(tmp_path):
    scores = plot_tables.inputs("fig4")["scores"]
    errors = scores[(scores["metric"] == "reconstruction") & (scores["variant"] == "corrected")]

    def said(value):
        other = errors.assign(metric="reconstruction_other_cell", value=value)
        table = pd.concat([scores, other], ignore_index=True)
        return " ".join(words(drawn_about("fig4", tmp_path, "scores", scores=table)))

    assert "has not learnt" in said(errors["value"].min())
    assert "has not learnt" not in said(2 * errors["value"].max())
