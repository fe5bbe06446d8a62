"""Every method beside each other: which rows and marks there are, and what others printed."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from morphobench.plot import style
from morphobench.plot.context import Context, EmptyPanel
from morphobench.plot.panels import methods

LOOK = {"label": "A model", "color": "#112233"}
PRINTED = {
    "metric": "classification_kind_auroc",
    "method": "A network",
    "value": 0.8,
    "source": "Somebody et al. 2020 (doi 10.1)",
}


def context(**more):
    options = {"columns": ["balanced_accuracy", "auroc", "reconstruction"]}
    baselines = {"volume": {"label": "Volume", "color": "#445566"}}
    return Context({"model": LOOK}, baselines, ["kind"], {}, options=options, **more)


def scores(models=("model", "volume"), seeds=(1, 2), endings=("", "_rotated", "_sized")):
    rows = [
        {
            "model": model,
            "seed": seed,
            "metric": f"classification_kind_{name}{ending}",
            "value": 0.5 + 0.1 * seed,
        }
        for model in models
        for seed in seeds
        for name in ("balanced_accuracy", "auroc")
        for ending in endings
    ]
    rows += [
        {"model": "model", "seed": seed, "metric": name, "value": 0.3, "unit": "um", "better": "low"}
        for seed in seeds
        for name in ("reconstruction", "reconstruction_noise_floor")
    ]
    table = pd.DataFrame(rows).fillna({"unit": "", "better": "high"})
    return table.assign(variant="corrected", ci_low=table["value"] - 0.1, ci_high=table["value"] + 0.1)


def drawn(table, **more):
    style.apply()
    page = plt.figure(figsize=(7, 3))
    part = page.subfigures(1, 1)
    methods.draw(part, methods.tables({"scores": table}, context(**more)), context(**more))
    page.canvas.draw()
    return page


def words(page):
    return {text.get_text() for text in page.findobj(plt.Text) if text.get_text()}


def test_every_score_of_the_columns_is_in_the_table_and_sizes_of_models_alone():
    table = methods.tables({"scores": scores()}, context())["scores"]
    assert set(table["column"]) == {"balanced_accuracy", "auroc", "reconstruction"}
    assert set(table.loc[table["ending"] == "_sized", "model"]) == {"model"}
    assert set(table.loc[table["ending"] == "_rotated", "model"]) == {"model", "volume"}
    spread = scores().assign(seed=-1)
    both = pd.concat([scores(), spread, scores().assign(variant="legacy")])
    assert len(methods.tables({"scores": both}, context())["scores"]) == len(table)


def test_methods_and_marks_are_named_and_only_those_with_a_value():
    said = words(drawn(scores()))
    assert {"A model", "Volume", "upright", "rotated at random", "floor of the grid", "µm"} <= said
    assert "mean shape" not in said
    assert "Volume" not in words(drawn(scores(models=("model",))))


def test_the_spread_over_trainings_is_displayed_or_said_to_be_unknown():
    assert "single trainings" in words(drawn(scores()))
    assert any("spread over trainings unknown" in text for text in words(drawn(scores(seeds=(1,)))))


def test_what_others_printed_is_a_line_with_its_source():
    page = drawn(scores(), published=[PRINTED])
    assert "A network (Somebody et al. 2020)" in words(page)
    lines = [line for axes in page.axes for line in axes.get_lines() if set(line.get_xdata()) == {0.8}]
    assert any(line.get_linestyle() == "--" for line in lines)
    assert not any(text.startswith("A network") for text in words(drawn(scores())))


def test_without_a_score_the_panel_says_so():
    with pytest.raises(EmptyPanel, match="no scores of these models"):
        methods.tables({"scores": scores().assign(metric="other")}, context())
