"""Pages for a browser, opened in a real one: no error, pictures are there, shapes turn, columns sort."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from fabricate import plot_tables
from harness.browser import opened
from harness.clone import make_clone, snakemake

from morphobench.plot.pages import scores, shapes


@pytest.fixture(scope="module")
def shapes_html(tmp_path_factory):
    """Pages of decoded clouds and of surfaces."""
    folder = tmp_path_factory.mktemp("shapes")
    made = {}
    for figure, names in (("fig2", ("walks", "archetypes")), ("fig6", ("surfaces", "meshes"))):
        found = plot_tables.inputs(figure)
        paths = plot_tables.write_inputs({name: found[name] for name in names}, folder / figure)
        made[figure] = folder / f"{figure}.html"
        shapes.run(
            paths, made[figure], title="Shapes <1>", unit="voxels", strata=plot_tables.strata_of(figure)
        )
    return made


@pytest.fixture(scope="module")
def scores_html(tmp_path_factory):
    table = plot_tables.inputs("fig2")["scores"]
    path = tmp_path_factory.mktemp("scores") / "scores.html"
    path.write_text(scores.page(table, plot_tables.context("fig2").looks(), "Scores & more"))
    return path, table


def test_pages_name_no_other_file(shapes_html, scores_html):
    for path in (*shapes_html.values(), scores_html[0]):
        text = re.sub(r"<script>.*?</script>", "", path.read_text(), flags=re.DOTALL)
        assert not re.search(r"""(src|href)\s*=|@import|url\(""", text), path.name


@pytest.mark.parametrize("figure", [pytest.param("fig2", marks=pytest.mark.long), "fig6"])
def test_shapes_are_drawn_and_steps_change_them(shapes_html, figure):
    with opened(shapes_html[figure]) as page:
        page.wait("document.querySelector('#view canvas')")
        page.wait("document.querySelector('#view')._fullLayout?.scene?._scene?.glplot")
        canvas = page.run("(({x, y, width, height}) => [x, y, width, height])"
                          "(document.querySelector('#view canvas').getBoundingClientRect())")  # fmt: skip
        x, y, width, height = map(int, canvas)
        assert width > 500
        first = _settled(page)[y : y + height, x : x + width]
        middle = first[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
        # Axes and labels alone are thin: a shape fills some of the middle with colour.
        assert ((middle.max(axis=2).astype(int) - middle.min(axis=2)) > 40).mean() > 0.005
        names = page.run("[...document.querySelectorAll('#group option')].map(one => one.textContent)")
        assert page.run("layout.scene.xaxis.title.text") == "x, voxels"
        assert names[0] == "archetypes"
        assert any(name.startswith("walk: ") for name in names)
        page.run(
            "const s = document.querySelector('#step'); s.value = 1; s.dispatchEvent(new Event('input'))"
        )
        assert page.run("document.querySelector('#step-name').textContent") == "archetype 2"
        second = _settled(page)[y : y + height, x : x + width]
        assert (first != second).any(axis=2).mean() > 0.002
        page.run(
            "const g = document.querySelector('#group'); g.value = 1; g.dispatchEvent(new Event('change'))"
        )
        assert page.run("document.querySelector('#step-name').textContent") == "mean"
        assert page.errors == []


def _settled(page) -> np.ndarray:
    """Return the picture once two in a row are the same."""
    before = page.picture()
    for _ in range(50):
        after = page.picture()
        if (before == after).all():
            return after
        before = after
    raise AssertionError("the picture never came to rest")


def _column(page, number: int) -> list[str]:
    rows = "[...document.querySelectorAll('#scores tbody tr')].filter(row => !row.hidden)"
    return page.run(f"{rows}.map(row => row.cells[{number}].dataset.key ?? row.cells[{number}].textContent)")


def test_the_score_table_sorts_and_filters(scores_html):
    path, table = scores_html
    with opened(path) as page:
        heads = page.run("[...document.querySelectorAll('#scores th')].map(one => one.textContent)")
        value, metric = heads.index("value"), heads.index("metric")
        assert len(_column(page, value)) == len(table)
        click = f"document.querySelectorAll('#scores th')[{value}].click()"
        for ascending in (True, False):
            page.run(click)
            shown = _column(page, value)
            known = [float(text) for text in shown if text]
            assert known == sorted(table["value"].dropna(), reverse=not ascending)
            assert set(shown[len(known) :]) == {""}
        page.run(f"document.querySelectorAll('#scores th')[{metric}].click()")
        assert _column(page, metric) == sorted(table["metric"])
        page.run("const f = document.querySelector('#filter'); f.value = 'rotation_invariance_error legacy'")
        page.run("f.dispatchEvent(new Event('input'))")
        wanted = table["metric"].str.startswith("rotation_invariance_error") & (table["variant"] == "legacy")
        assert 0 < len(_column(page, value)) == wanted.sum()
        for scheme, is_light in (("light", True), ("dark", False)):
            page.prefer(scheme)
            picture = page.picture()
            assert picture.std() > 10
            assert (np.median(picture) > 128) == is_light
        assert page.errors == []


@pytest.mark.long
def test_names_cannot_break_out_of_the_pages(tmp_path):
    evil = "</script><script>document.title = 'broken'</script>"
    labels = pd.DataFrame(
        {"stratum": evil, "component": 0, "sigma": [-2.0, 0.0], "shape": [0, 0], "archetype": np.nan}
    )
    groups = shapes.group_steps(labels, {})
    path = tmp_path / "evil.html"
    path.write_text(shapes.page(groups, [{"points": np.eye(3)}], title=evil, unit="µm", note=evil))
    table = plot_tables.inputs("fig2")["scores"].assign(reason=evil, model=evil)
    other = tmp_path / "scores.html"
    other.write_text(scores.page(table, {}, evil))
    for one in (path, other):
        with opened(one) as page:
            assert page.run("document.title") == evil
            assert page.errors == []


@pytest.fixture(scope="module")
def report_html(tmp_path_factory):
    """The report of two figures and a page of shapes, drawn by the workflow from made-up tables."""
    folder = make_clone(tmp_path_factory.mktemp("report") / "morphobench")
    targets = []
    for figure in ("fig2", "fig6"):
        place_inputs(folder, figure)
        dataset = plot_tables.FIGURES[figure]["dataset"]
        targets += [f"figures/{figure}.pdf", f"results/plot/shapes/{dataset}.html"]
    # What the stages before would make is there already; of them nothing else is.
    chosen = ["--config", "scale=paper", "--allowed-rules", "plot_figure", "plot_shapes", "--"]
    snakemake(folder, "--cores", "1", "--report", "report.html", "--report-after-run", *chosen, *targets)
    return folder / "report.html"


def place_inputs(folder, figure) -> None:
    """Write a figure's tables where the stages before would."""
    described = plot_tables.FIGURES[figure]
    dataset = plot_tables.CONFIG["datasets"][described["dataset"]]
    analysed = folder / "results/analyse" / described["dataset"] / dataset["analysis_model"] / "seed-42"
    scored = folder / "results/score" / described["dataset"]
    places = {
        "examples": analysed.parents[1] / "examples.parquet",
        "scores": scored / "scores.parquet",
        "item_values": scored / "items.parquet",
        "meshes": analysed / "surfaces.npz",
    }
    paths = plot_tables.write_inputs(plot_tables.inputs(figure), folder / "made_up" / figure)
    for name, path in paths.items():
        place = places.get(name, analysed / f"{name}.parquet")
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)


@pytest.mark.end_to_end
@pytest.mark.long
def test_the_report_opens_with_figures_by_their_datasets(report_html):
    with opened(report_html) as page:
        page.wait("document.querySelector('#root, body').textContent.includes('Figure 2')")
        said = page.run("document.body.textContent")
        for heading in (
            "Figure 2: cellPACK synthetic data",
            "Figure 6: Polymorphic structures",
            "Shapes in 3-D",
        ):
            assert heading in said
        assert page.picture().std() > 10
        # The pictures of both figures are within the page, whole.
        names = page.run("Object.values(results).map(one => one.name)")
        assert {"fig2.png", "fig2.pdf", "fig6.png", "cellpack.html", "scores.html"} <= {
            name.split("/")[-1] for name in names
        }
        size = page.run(
            """new Promise(done => {
                const found = Object.values(results).find(one => one.name.endsWith("fig6.png"));
                const picture = new Image();
                picture.onload = () => done([picture.naturalWidth, picture.naturalHeight]);
                picture.onerror = () => done(null);
                picture.src = found.data_uri;
            })"""
        )
        assert size is not None
        assert min(size) > 1000
        assert page.errors == []


@pytest.mark.end_to_end
@pytest.mark.long
@pytest.mark.parametrize("width", [1280, 600])
def test_the_report_begins_with_the_question_numbers_and_the_figure(report_html, width):
    with opened(report_html) as page:
        page.resize(width, 900)
        page.wait("document.querySelector('#rulegraph canvas, #rulegraph svg')")
        said = page.run("document.querySelector('.landing').parentElement.innerText")
        order = ["Which representation", "Figure 2: ", "95 % interval", "What was run", "What is missing"]
        assert [said.index(words) for words in order] == sorted(said.index(words) for words in order)
        assert "Parts of this report" in said
        assert "different runs" not in said
        # The question is seen without scrolling, every picture has words, nothing is wider than its room.
        assert page.run("document.querySelector('.landing h1').getBoundingClientRect().y") in range(200)
        assert page.run(
            "[...document.querySelectorAll('.summary img')].every(one => one.naturalWidth && one.alt)"
        )
        room = "document.querySelector('.landing').closest('.overflow-auto')"
        assert page.run(f"{room}.scrollWidth - {room}.clientWidth") <= 0
        # What a part stands under opens in the menu.
        page.run(
            "[...document.querySelectorAll('.landing a')].find(one => one.text === 'Shapes in 3-D').click()"
        )
        page.wait("document.querySelector('nav').textContent.includes('cellpack')")
        assert page.errors == []
