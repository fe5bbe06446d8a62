"""Panels of models x metrics and of invariances: what stands in their fields, and on the page that sorts."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from morphobench.plot import heatmap, style
from morphobench.plot.context import Context, EmptyPanel
from morphobench.plot.panels import invariances, models_by_metrics, stratum_by_archetype

LOOKS = {
    name: {"label": name.capitalize(), "color": "#112233"} for name in ("model", "powers", "noise", "answers")
}
CONTEXT = Context(
    {"model": LOOKS["model"]},
    {"powers": LOOKS["powers"]},
    ["rule"],
    {},
    controls={name: LOOKS[name] for name in ("noise", "answers")},
)


def rows(metric, better="low", **values):
    table = pd.DataFrame(
        [(name, *pair) for name, pair in values.items()], columns=["model", "value", "scaled"]
    )
    bounds = {"ci_low": table["value"] - 0.01, "ci_high": table["value"] + 0.01}
    return table.assign(metric=metric, better=better, variant="corrected", seed=42, unit="", **bounds)


@pytest.fixture
def scores():
    auroc = {"model": (0.81, 0.6), "powers": (0.7, 0.4), "noise": (0.5, 0.0), "answers": (1.0, 1.0)}
    return pd.concat(
        [
            rows("classification_rule_auroc", "high", **auroc),
            rows("reconstruction", model=(1.17, 0.9)),
            rows("rotation_distance_uniform", model=(0.02, 0.98), powers=(0.0, 1.0)),
            rows("rotation_distance_uniform_floor", model=(0.01, np.nan), powers=(0.0, np.nan)),
            rows("invariance_reflection", "none", model=(0.4, np.nan), powers=(0.0, np.nan)),
            rows("not_for_figures", model=(7.0, 0.5)),
        ],
        ignore_index=True,
    )


def drawn(panel, tables):
    style.apply()
    part = plt.figure(figsize=(7, 3)).subfigures(1, 1)
    panel.draw(part, tables, CONTEXT)
    part.figure.canvas.draw()
    return part


def test_every_model_baseline_and_control_has_a_field_for_every_metric(scores):
    tables = models_by_metrics.tables({"scores": scores}, CONTEXT)
    part = drawn(models_by_metrics, tables)
    (axes,) = part.axes
    words = [text.get_text() for text in axes.texts]
    assert [word for word in words if word in ("Model", "Powers", "Noise", "Answers")] == [
        *("Model", "Powers", "Noise", "Answers")
    ]
    n_columns = 3
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "Rule: AUROC ↑",
        "Reconstruction error ↓",
        "Rotated, any angle ↓",
    ]
    fields = axes.patches
    assert len(fields) == 4 * n_columns
    assert to_hex(fields[0].get_facecolor()) == heatmap.color(0.6)
    assert to_hex(fields[-2].get_facecolor()) == heatmap.EMPTY
    assert words[:3] == ["0.81", "1.17", "0.02"]


def test_trainings_are_averaged(scores):
    again = scores.assign(seed=43, value=scores["value"] + 0.2)
    tables = models_by_metrics.tables({"scores": pd.concat([scores, again])}, CONTEXT)
    table = tables["models_by_metrics"].set_index(["model", "metric"])
    assert table.loc[("model", "reconstruction"), "value"] == pytest.approx(1.27)
    assert table.loc[("model", "reconstruction"), "n_trainings"] == 2


def test_the_page_has_a_row_for_each_model_and_sorts_by_value(scores):
    tables = models_by_metrics.tables({"scores": scores}, CONTEXT)
    page = models_by_metrics.pages(tables, CONTEXT, "A <title>")["models_by_metrics"]
    assert page.count("<tr>") == 1 + 4
    assert 'data-key="0.81"' in page
    assert "0.8 to 0.82" in page
    assert "A &lt;title&gt;" in page


def test_a_change_has_a_field_and_its_floor_stands_in_the_table(scores):
    tables = invariances.tables({"scores": scores}, CONTEXT)
    (axes,) = drawn(invariances, tables).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Rotated, any angle", "Mirrored"]
    assert [text.get_text() for text in axes.texts][:2] == ["0.02", "0.40"]
    assert tables["invariances"]["floor"].iloc[0] == pytest.approx(0.01)
    with pytest.raises(EmptyPanel):
        invariances.tables({"scores": scores[scores["metric"] == "reconstruction"]}, CONTEXT)


@pytest.mark.parametrize("largest", [0.004, 0.04, 0.3, 0.34, 0.36, 1.0])
def test_the_scale_of_weights_has_its_two_ends(largest):
    weights = {"archetype": [0, 1, 0, 1], "mean_weight": [largest, largest / 2, 0.0, largest / 4]}
    table = pd.DataFrame({"stratum": ["a", "a", "b", "b"], **weights, "q": 0.5})
    bar = drawn(stratum_by_archetype, {"stratum_by_archetype": table}).axes[1]
    low, high = (float(label.get_text()) for label in bar.get_yticklabels())
    assert (low, high) == bar.get_ylim()
    assert low == 0 <= largest <= high < largest + 0.1
