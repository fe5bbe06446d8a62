"""Whole figures from made-up tables: every panel, the same bytes, gaps with reasons, no overlaps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from fabricate import plot_tables
from fabricate.plot_tables import FIGURES
from harness.figures import NAMES, described, drawn, drawn_about, run, tables_of, text_of, words
from harness.page import pdf_text, summary

from morphobench.files import write_table
from morphobench.plot import figure, render, style

GOLDEN = Path(__file__).with_name("golden_tables.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return run("fig2", tmp_path_factory.mktemp("plot"), scale="demo")


@pytest.fixture(scope="module")
def read(tmp_path_factory) -> dict:
    """The panel tables of every figure, in one folder each."""
    folder = tmp_path_factory.mktemp("tables")
    return {name: tables_of(name, folder / name) for name in NAMES}


def test_there_are_eight_figures_and_every_kind_of_panel_is_in_one():
    assert [f"fig{number}" for number in range(2, 10)] == NAMES
    kinds = {panel["kind"] for one in FIGURES.values() for panel in figure.list_panels(one)}
    modules = {path.stem for path in Path(figure.__file__).with_name("panels").glob("*.py")} - {"__init__"}
    assert kinds == modules


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_of_every_panel_are_the_golden_ones(name, read):
    found = {stem: summary(table) for stem, table in read[name].items()}
    golden = json.loads(GOLDEN.read_text())[name]
    assert list(found) == sorted(golden)
    for stem, table in golden.items():
        assert found[stem]["columns"] == table["columns"], stem
        assert found[stem]["rows"] == table["rows"], stem
        assert found[stem]["sums"] == pytest.approx(table["sums"], rel=1e-3, abs=1e-3), stem


def legible(page):
    """Check the size of all texts, that they lie on the page and that none crosses another."""
    axes = [one for one in page.findobj(plt.Axes) if one.name != "polar"]
    ticks = [
        (axis, tick) for one in axes for axis in (one.xaxis, one.yaxis) for tick in axis.get_major_ticks()
    ]
    ticks += [
        (axis, tick) for one in axes for axis in (one.xaxis, one.yaxis) for tick in axis.get_minor_ticks()
    ]
    # Ticks beyond the limits keep a label that is never drawn.
    hidden = {tick.label2 for _, tick in ticks}
    for axis, tick in ticks:
        low, high = sorted(axis.get_view_interval())
        if not low - 1e-9 <= tick.get_loc() <= high + 1e-9 or not axis.axes.axison:
            hidden.add(tick.label1)
    texts = [text for text in page.findobj(plt.Text) if text.get_text().strip() and text not in hidden]
    texts = [text for text in texts if text.get_visible()]
    assert len(texts) > 30
    assert min(text.get_fontsize() for text in texts) >= style.SMALL
    boxes = [(text.get_text(), text.get_window_extent(), text.get_rotation()) for text in texts]
    for text, box, _ in boxes:
        assert page.bbox.x0 - 1 <= box.x0, text
        assert box.x1 <= page.bbox.x1 + 1, text
        assert page.bbox.y0 - 1 <= box.y0, text
    # A box is higher than the ink in it. Of slanted texts the boxes cross where the texts do not.
    upright = [
        (text, box.padded(-1, -0.2 * box.height)) for text, box, rotation in boxes if rotation % 90 == 0
    ]
    assert [
        (a, b) for i, (a, one) in enumerate(upright) for b, other in upright[i + 1 :] if one.overlaps(other)
    ] == []


# Every kind of panel is in the others.
EACH = [
    pytest.param(name, marks=pytest.mark.long) if name in ("fig2", "fig4", "fig6") else name for name in NAMES
]


@pytest.mark.parametrize("name", EACH)
def test_a_figure_is_one_journal_page_with_legible_labels(name, read, tmp_path):
    page = drawn(name, read[name])
    legible(page)
    style.save(page, tmp_path / "f.pdf")
    said = pdf_text(tmp_path / "f.pdf", FIGURES[name])
    assert "DEMO SCALE" in said
    assert "A title" in said


# The others differ in the number of strata that the panels of these have, too.
@pytest.mark.long
@pytest.mark.parametrize("name", ["fig5", "fig7", "fig8", "fig9"])
def test_labels_of_two_models_are_legible(name, tmp_path):
    legible(drawn(name, tables_of(name, tmp_path, n_models=2), n_models=2))


@pytest.mark.long
@pytest.mark.parametrize("name", ["fig3", "fig6"])
def test_labels_in_one_column_of_a_journal_are_legible(name, read):
    legible(drawn(name, read[name], width_mm=88))


@pytest.mark.long
@pytest.mark.parametrize("name", ["fig3", "fig4"])
def test_labels_of_many_strata_are_legible(name, monkeypatch, tmp_path):
    many = {f"class_{number:02d}": f"Structure {number}" for number in range(20)}
    monkeypatch.setitem(FIGURES[name], "strata", many)
    legible(drawn(name, tables_of(name, tmp_path)))


def test_the_same_tables_give_the_same_bytes(finished, tmp_path):
    again = run("fig2", tmp_path, scale="demo")
    for name in ("f.pdf", "f.png", *(f"tables/{path.name}" for path in (finished / "tables").iterdir())):
        assert (again / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.long
def test_the_csv_tables_alone_give_the_same_bytes(finished, tmp_path):
    shutil.copytree(finished / "tables", tmp_path / "tables")
    page = figure.draw(
        described("fig2"),
        figure.read_tables(tmp_path / "tables"),
        plot_tables.context("fig2"),
        title="Small cells",
        scale="demo",
        width_mm=180,
    )
    style.save(page, tmp_path / "f.pdf", tmp_path / "f.png")
    for name in ("f.pdf", "f.png"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_the_tables_of_figure_two_keep_their_names(finished):
    names = {path.name for path in (finished / "tables").glob("*.csv")}
    kept = ("a_examples", "b_scores", "b_scores_all", "b_items", "b_polar", "c_walks", "d_archetypes")
    assert {f"{name}.csv" for name in (*kept, "e_rotations")} <= names
    assert all(name[1] == "_" for name in names)
    assert (finished / "tables" / "scores.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.long
def test_paper_scale_has_no_warning(tmp_path):
    folder = run("fig2", tmp_path, scale="paper")
    said = text_of(folder / "f.pdf")
    assert "DEMO" not in said
    assert "Small cells" in said


@pytest.mark.parametrize("name", NAMES)
def test_without_any_table_every_panel_says_what_it_lacks(name, tmp_path):
    everything = tuple(plot_tables.inputs(name))
    tables = tables_of(name, tmp_path, drop=everything)
    letters = [panel["letter"] for panel in figure.list_panels(FIGURES[name])]
    assert sorted(tables) == [f"{letter}_missing" for letter in sorted(letters)]
    said = [text.get_text() for text in drawn(name, tables).findobj(plt.Text)]
    assert sum("no table of" in one for one in said) == len(letters)


def test_a_file_that_is_not_there_and_a_known_gap_leave_their_reasons(tmp_path, caplog):
    folder = run("fig2", tmp_path, drop=("walks", "rotations"), gaps={"walks": "no model to decode"})
    said = text_of(folder / "f.pdf")
    assert "no model to decode" in said
    assert "no table of rotations" in said
    assert set("abcde") <= set(said.split())
    assert figure.read_inputs({"walks": tmp_path / "nowhere.parquet"}) == {}


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("fig2", "walks", "no shapes to show"),
        ("fig2", "rotations", "no shapes to show"),
        ("fig2", "examples", "no shapes to show"),
        ("fig2", "archetypes", "no shapes to show"),
        ("fig2", "scores", "no scores of these models"),
        ("fig3", "volume_bins", "no volume bins"),
        ("fig3", "stratum_by_archetype", "no cells to show"),
        ("fig4", "map", "no cells to show"),
        ("fig5", "pieces", "no volume bin with enough cells"),
        ("fig5", "combined", "no scores of several resolutions"),
        ("fig6", "surfaces", "no shapes to show"),
        ("fig7", "retrieval", "no treatment to retrieve"),
        ("fig7", "lda_tests", "no treatment was tested"),
    ],
)
def test_an_empty_table_gives_a_labelled_empty_panel(name, table, said, tmp_path):
    empty = plot_tables.inputs(name)[table][:0]
    assert said in words(drawn_about(name, tmp_path, table, **{table: empty}))


def test_numbers_of_pieces_stay_names_through_a_csv(tmp_path):
    write_table(pd.DataFrame({"stratum": ["1", "2"], "x_um": [1.0, 2.0]}), tmp_path / "a_examples.csv")
    table = figure.read_tables(tmp_path)["a_examples"]
    assert table["stratum"].tolist() == ["1", "2"]
    assert plot_tables.context("fig5").name(table["stratum"][0]) == "1 piece"


def test_without_vtk_surfaces_are_drawn_as_triangles(monkeypatch, read, caplog):
    """A machine without EGL and OSMesa, where VTK ends its process."""
    monkeypatch.setattr(render, "_PROGRAM", ["-c", "import os; os.abort()"])
    with caplog.at_level("WARNING"):
        assert figure.render_surfaces(read["fig6"]) == {}
    assert "libegl1" in caplog.text
    page = drawn("fig6", read["fig6"], pictures={})
    drawn_faces = [
        collection
        for axes in page.findobj(plt.Axes)
        for collection in axes.collections
        if axes.get_aspect() == 1
    ]
    assert len(drawn_faces) > 20
