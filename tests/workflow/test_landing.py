"""The first page of the report, rendered as Snakemake does: contact sheets in words, ages, absent figures."""

from types import SimpleNamespace

import docutils.core
import jinja2
import pytest
from paths import ROOT
from snakemake.report import Category

DAY = 86400


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """Return the page of these parts: name, category, age in seconds."""
    monkeypatch.chdir(tmp_path)

    def render(*parts, scale="paper"):
        files = []
        for name, category, age_s in parts:
            path = tmp_path / name
            path.write_text(f"<p>Content of {name}</p>")
            # Ages are differences of these.
            times = SimpleNamespace(st_mtime=100 * DAY - age_s)
            place = type(
                "Place", (), {"stat": lambda self, t=times: t, "__str__": lambda self, p=path: str(p)}
            )()
            files.append(SimpleNamespace(path=place, target=name, category=Category(category)))
        config = {"version": "v0.1.0-3-gabc", "figure_names": ["fig2", "fig3"], "scale": scale}
        text = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(
            (ROOT / "workflow/report/workflow.rst").read_text()
        )
        rst = text.render(snakemake=SimpleNamespace(config=config), files=files, categories={})
        return docutils.core.publish_parts(rst, writer="html", settings_overrides={"halt_level": 2})[
            "html_body"
        ]

    return render


FIGURE = ("fig2_summary.html", "Figure 2: \"A\" & 'b'", 0)


def test_summaries_and_contact_sheets_follow_the_question_and_other_figures_are_named(landing):
    body = landing(("mine_sheet.html", "Preprocessing", 60), FIGURE)
    order = [
        "Which representation",
        "Content of fig2_summary",
        "Content of mine_sheet",
        "Parts of this report",
    ]
    assert [body.index(words) for words in order] == sorted(body.index(words) for words in order)
    assert "not asked for: fig3." in body
    assert "v0.1.0-3-gabc" in body
    assert "different runs" not in body
    assert "demo-scale" not in body


def test_parts_of_other_days_are_warned_of_with_their_ages(landing):
    body = landing(FIGURE, ("old.html", "Shapes in 3-D", 12 * DAY), scale="demo")
    assert "<b>Parts of this report come from different runs</b>" in body
    assert "12 days" in body
    assert "demo-scale run" in body
