"""Summaries of figures, for the first page of the report: numbers, versions, ages, what is missing."""

from __future__ import annotations

import html
import re

import numpy as np
import pandas as pd
import pytest
from fabricate import plot_tables
from fabricate.plot_tables import CONFIG
from PIL import Image

from morphobench.config import figures
from morphobench.files import write_table
from morphobench.plot.pages import summary

JOB = {"rule": "train", "version": "v0.1.0", "python": "3.11.7", "when": "2026-11-27 21:47:27 +0000"}
JOB |= {"host": "node1", "cores": "8", "packages": "numpy 1.26.4, torch 2.13.0"}


@pytest.fixture
def summarised(tmp_path):
    """Return the text of a summary that was made from these scores, jobs and reasons of empty panels."""

    def make(figure="fig2", *, scores=None, jobs=(JOB,), empty=None, drop=(), scale="paper"):
        found = plot_tables.inputs(figure)
        found = {name: found[name] for name in found if name.endswith("scores") and name not in drop}
        if scores is not None:
            found["scores"] = scores
        write_table(
            pd.DataFrame({"rule": ["train"], "warning": ["w"], "jobs": [3], "log": ["l"]}), tmp_path / "w.csv"
        )
        for letter, reason in (empty or {}).items():
            write_table(pd.DataFrame({"reason": [reason]}), tmp_path / f"tables/{letter}_missing.csv")
        Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(tmp_path / "f.png")
        outputs = {"png": tmp_path / "f.png", "tables": tmp_path / "tables", "warnings": tmp_path / "w.csv"}
        outputs["summary"] = tmp_path / "out.html"
        summary.run(
            plot_tables.write_inputs(found, tmp_path / "in"),
            outputs,
            name=figure,
            jobs=list(jobs),
            described=figures.describe(CONFIG, figure),
            scale=scale,
        )
        return (tmp_path / "out.html").read_text()

    return make


def rows_of(text):
    """The rows of the tables on a page, as lists of texts."""
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    return [[html.unescape(field) for field in re.findall(r"<t[dh]>(.*?)</t[dh]>", row)] for row in rows]


@pytest.mark.parametrize("figure", sorted(plot_tables.FIGURES))
def test_every_figure_has_a_summary_with_its_title_and_words_for_its_picture(figure, summarised):
    text = summarised(figure)
    alt = html.unescape(re.search(r'alt="([^"]*)"', text)[1])
    described = figures.describe(CONFIG, figure)
    assert f"<h2>Figure {figure[3:]}: {html.escape(described['title'])}</h2>" in text
    assert all(panel["caption"] in alt for panel in figures.list_panels(described["figure"]))


def test_three_numbers_are_those_of_the_best_model_with_interval_and_comparison(summarised):
    scores = plot_tables.scores(list(CONFIG["models"])[:3], ["rule"], targets=False, beside=True)
    models = list(CONFIG["datasets"]["cellpack"]["benchmark"])[:2]
    scores = scores.replace(
        {"model": dict(zip(scores["model"].unique(), [*models, "harmonic_power"], strict=True))}
    )
    (head, *rows) = rows_of(summarised(scores=scores))[:4]
    assert head[1] == "best trained model (95 % interval)"
    assert len(rows) == 3
    own = scores[(scores["metric"] == "reconstruction") & (scores["variant"] == "corrected")]
    own = own[own["model"].isin(models)].sort_values("value").iloc[0]
    bounds = f"{own['value']:.3f} ({own['ci_low']:.3f} to {own['ci_high']:.3f})"
    assert rows[1][:3] == ["Reconstruction error", bounds, CONFIG["models"][own["model"]]["label"]]
    assert rows[1][3].startswith("another cell: ")
    assert "without training: " in rows[0][3]


def test_a_value_without_an_interval_has_the_reason(summarised):
    scores = plot_tables.inputs("fig2")["scores"].assign(ci_low=np.nan, ci_high=np.nan, reason="one nucleus")
    assert "(one nucleus)" in rows_of(summarised(scores=scores))[1][1]


def test_where_when_and_with_what_it_was_run(summarised):
    later = {**JOB, "when": "2026-11-27 23:00:00 +0000", "rule": "score_model"}
    text = summarised(jobs=[later, JOB])
    said = dict(row for row in rows_of(text) if len(row) == 2)
    assert said["jobs"] == "2, from 2026-11-27 21:47 to 2026-11-27 23:00"
    assert said["on"] == "node1 (8 cores)"
    assert said["with"] == "morphobench v0.1.0, Python 3.11.7, numpy 1.26.4, torch 2.13.0"
    assert "different runs" not in text


@pytest.mark.parametrize("change", [{"version": "v0.2.0"}, {"when": "2026-12-04 09:00:00 +0000"}])
def test_parts_of_different_runs_are_warned_of_with_their_ages(change, summarised):
    days = [JOB, {**JOB, "when": "2026-11-28 01:00:00 +0000"}]
    text = summarised(jobs=[*days, {**JOB, "rule": "plot_figure", **change}])
    assert "Parts of this figure come from different runs" in text
    rows = [row for row in rows_of(text) if len(row) == 5][1:]
    assert {stage for row in rows for stage in row[2].split(", ")} == {"train", "plot"}
    assert rows[0][3] == "2026-11-27 21:47"


def test_what_is_missing_stands_there_with_the_reason(summarised):
    scores = plot_tables.inputs("fig2")["scores"]
    gone, kept = scores["model"].unique()[:2]
    scores = scores[scores["model"] != gone]
    scores.loc[scores["model"] == kept, ["value", "reason"]] = np.nan, "too <few> cells"
    text = html.unescape(summarised(scores=scores, empty={"c": "no model to decode"}, scale="demo"))
    assert "no model to decode" in text
    assert f"{CONFIG['models'][gone]['label']} has no scores." in text
    assert re.search(r"\d+ scores without a value \(.*reconstruction.*\): too <few> cells", text)
    assert "3 warnings of jobs" in text
    assert "Demo scale" in text


def test_a_figure_without_scores_says_so(summarised):
    assert "reads no scores of cellpack" in summarised(drop=("scores",))
