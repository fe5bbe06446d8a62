"""Captions of the report: every figure has one, a user's own too, and all are valid reStructuredText."""

from types import SimpleNamespace

import docutils.core
import jinja2
import pytest
import yaml
from paths import ROOT

from morphobench import config
from morphobench.config import figures

RESOLVED = config.resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)
OWN = {
    "dataset": "pcna",
    "title": "My own <figure>: *a* | 5 % $x_",
    "rows": [
        {
            "panels": [
                {"letter": "a", "kind": "scores", "caption": "scores; `of` mine*", "tables": ["scores"]}
            ]
        },
        {"panels": [{"letter": "b", "kind": "scatter", "caption": "map |of| all_", "tables": ["map"]}]},
    ],
}


def caption(name, *, scale="paper"):
    known = {**RESOLVED, "figures": {**RESOLVED["figures"], "mine": OWN}}
    params = SimpleNamespace(described=figures.describe(known, name), scale=scale)
    job = SimpleNamespace(wildcards=SimpleNamespace(figure=name), params=params)
    text = jinja2.Template((ROOT / "workflow/report/figure.rst").read_text()).render(snakemake=job)
    return docutils.core.publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]


@pytest.mark.parametrize("name", [*RESOLVED["figures"], "mine"])
def test_every_figure_has_a_caption_that_names_its_panels(name):
    body = caption(name)
    described = OWN if name == "mine" else RESOLVED["figures"][name]
    for row in described["rows"]:
        for panel in row["panels"]:
            assert f"<strong>{panel['letter']}</strong>" in body
    assert "Lengths are in micrometres" in body


def test_the_caption_of_an_own_figure_is_its_yaml_word_for_word():
    body = caption("mine")
    for words in ("My own &lt;figure&gt;: *a* | 5 % $x_", "scores; `of` mine*", "map |of| all_"):
        assert words in body


@pytest.mark.parametrize("scale", ["demo", "workstation"])
def test_a_scale_that_is_not_the_papers_is_said(scale):
    assert f"{scale.capitalize()} scale" in caption("mine", scale=scale)
