"""Titles, labels and names are text: in the report, in pages, in figures, and where Snakemake formats."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from harness.clone import make_clone, snakemake
from hypothesis import example, given
from hypothesis import strategies as st

from morphobench.config.figures import report_text
from morphobench.plot import curves, style
from morphobench.plot.pages import scores, shapes

HOSTILE = [
    "A </script><script>alert(1)</script> b",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "cost in $ and $x^{",
    r"$\frac{1}{$ \undefined_",
    "{wildcard} {} {0} { } {{x}} {x.y}",
    "\"quoted' & `ticked` ${plotly} $title $$",
]
ALL = " ".join(HOSTILE)


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.scripts and self.cdata_elem == "script":
            self.scripts[-1] += data


@given(st.text())
@example(ALL)
def test_a_text_of_the_report_looks_the_same_and_begins_nothing(text):
    shown = report_text(text)
    assert shown.replace("\u2060", "") == text.replace("\u2060", "")
    assert not re.search(r"<[/!a-zA-Z]|\{[\w,]", shown)


SNAKEFILE = """
from morphobench.config.figures import report_text
TITLES = {titles!r}
rule all:
    input: expand("out{{n}}.txt", n=range(len(TITLES)))
rule one:
    output:
        report(
            "out{{n}}.txt",
            category=lambda wildcards: report_text(TITLES[int(wildcards.n)]),
            caption="a.rst",
        )
    shell: "echo a > {{output}}"
"""


def report(folder, titles):
    folder.mkdir()
    (folder / "Snakefile").write_text(SNAKEFILE.format(titles=titles))
    (folder / "a.rst").write_text("a\n")
    snakemake(folder, "--cores", "1", "--quiet", "all")
    snakemake(folder, "--report", "report.html")
    return Page((folder / "report.html").read_text())


def test_a_title_does_not_run_in_the_report(tmp_path):
    page = report(tmp_path / "clone", HOSTILE)
    assert not [tag for tag, attributes in page.elements if "onerror" in attributes]
    running = [text for text in page.scripts if "alert(1)" in text]
    assert running
    assert all(text.strip().startswith("var ") for text in running)
    script = next(text for text in page.scripts if "var categories" in text)
    categories = json.loads(script.split("=", 1)[1].strip().removesuffix(";"))
    assert {name.replace("\u2060", "") for name in categories} >= set(HOSTILE)


def test_no_title_or_label_stops_a_command(tmp_path):
    clone = make_clone(tmp_path / "clone")
    figure = yaml.safe_load((clone / "config/figures/fig2.yaml").read_text())
    (clone / "config/figures/fig2.yaml").write_text(yaml.safe_dump(figure | {"title": ALL}))
    for path in [*(clone / "config/models").glob("*.yaml"), clone / "config/datasets/cellpack.yaml"]:
        key = "title" if "datasets" in str(path) else "label"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {key: ALL}))
    snakemake(
        clone, "-n", "--config", "scale=demo", "--", "figures/fig2.pdf", "results/plot/shapes/cellpack.html"
    )


@pytest.mark.parametrize(
    "title", [HOSTILE[0], *(pytest.param(one, marks=pytest.mark.long) for one in HOSTILE[1:])]
)
def test_a_sign_loses_no_figure(title, tmp_path):
    table = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.5, 0.05], "val_loss": [0.4, 0.07]})
    figure = curves.draw(table, title)
    figure.axes[0].legend([title])
    style.save(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    figure.canvas.draw()
    axes = figure.axes[0]
    assert axes.get_title() == title
    ticks = [label.get_text() for label in [*axes.get_yticklabels(), *axes.get_yticklabels(minor=True)]]
    assert any(ticks)
    assert not any("$" in text or "\\" in text for text in ticks)


def test_every_figure_takes_text_as_it_is():
    style.apply()
    figure = plt.figure()
    assert figure.text(0, 0, "$a$").get_parse_math() is False
    plt.close(figure)
    assert "text.parse_math" in style.SETTINGS


def test_pages_hold_no_element_of_a_name():
    def shapes_page(name):
        groups = [{"name": name, "walk": False, "steps": [{"name": name, "shape": 0}]}]
        return Page(shapes.page(groups, [{"points": np.ones((2, 3))}], title=name, unit="µm", note=name))

    def scores_page(name):
        table = pd.DataFrame(
            {"model": [name, "known"], "metric": name, "variant": name, "value": 1.0, "reason": name}
        )
        return Page(scores.page(table, {"known": {"label": name, "color": name}}, name))

    for page in (shapes_page, scores_page):
        plain, hostile = page("name"), page(ALL)
        assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
        assert hostile.elements == plain.elements
    data = next(text for text in shapes_page(ALL).scripts if text.startswith("{"))
    assert json.loads(data)["groups"][0]["name"] == ALL
