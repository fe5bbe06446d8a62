"""Figures from made-up tables: every panel, the same bytes, honest gaps, nothing cut off or written over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pypdf
import pytest
from fabricate import plot_tables as plot_case
from fabricate.plot_tables import CONFIG, FIGURES
from harness import page as page_case
from matplotlib.colors import to_hex, to_rgb

from morphobench.files import write_table
from morphobench.plot import clouds, figure, gallery, layout, render, style
from morphobench.plot import titles as metrics
from morphobench.plot.context import Missing, need
from morphobench.plot.panels import scores as scores_panel

GOLDEN = Path(__file__).with_name("golden_tables.json")
NAMES = sorted(FIGURES)
MODELS = {
    "round": {"label": "Round model", "color": "#112233"},
    "square": {"label": "Square model", "color": "#aabb22"},
}
METRICS = ["classification_rule_top_1", "reconstruction", "evolution_energy", "encode_time"]


def described(name: str, about: tuple[str, ...] = ()) -> dict:
    """A figure's description: whole, or the panels alone that read one of these tables."""
    rows = [
        {
            **row,
            "panels": [panel for panel in row["panels"] if not about or set(about) & set(panel["tables"])],
        }
        for row in FIGURES[name]["rows"]
    ]
    rows = [row for row in rows if row["panels"]]
    return {**FIGURES[name], "rows": rows, "strata": plot_case.strata_of(name)}


def tables_of(name: str, folder: Path, *, n_models: int = 6, drop: tuple[str, ...] = (), **changed) -> dict:
    """The panel tables of a figure, through their CSV files."""
    found = {key: table for key, table in plot_case.inputs(name, n_models).items() if key not in drop}
    folder.mkdir(exist_ok=True, parents=True)
    figure.write_tables(described(name), {**found, **changed}, plot_case.context(name, n_models), folder)
    return figure.read_tables(folder)


def blank(tables: dict) -> dict[str, list[np.ndarray]]:
    """Stand in for rendered surfaces where the words of a figure are looked at."""
    stems = [stem.removesuffix("_faces") for stem in tables if stem.endswith("_faces")]
    return {stem: [np.full((2, 2, 3), 200, np.uint8)] * len(tables[stem]) for stem in stems}


def drawn(
    name: str,
    tables: dict,
    *,
    n_models: int = 6,
    pictures: dict | None = None,
    about: tuple[str, ...] = (),
) -> plt.Figure:
    """Draw without files and without VTK; every text really is laid out, as in a saved figure."""
    context = plot_case.context(name, n_models)
    pictures = blank(tables) if pictures is None else pictures
    look = {"title": "A title", "demo": True, "width_mm": 180, "pictures": pictures}
    page = figure.draw(described(name, about), tables, context, **look)
    page.canvas.draw()
    return page


def run(name: str, folder: Path, *, demo: bool = False, drop: tuple[str, ...] = (), **more) -> Path:
    """Draw a figure as the workflow does."""
    found = {key: table for key, table in plot_case.inputs(name).items() if key not in drop}
    context = plot_case.context(name)
    out = {"pdf": folder / "f.pdf", "png": folder / "f.png", "tables_out": folder / "tables"}
    look = {key: getattr(context, key) for key in ("models", "baselines", "labels", "analysis_model")}
    paths = plot_case.written(found, folder / "in")
    figure.run(
        paths, **out, **look, figure=described(name), title="Small cells", demo=demo, width_mm=180, **more
    )
    return folder


def text_of(pdf: Path) -> str:
    return " ".join(pypdf.PdfReader(pdf).pages[0].extract_text().split())


def words(page: plt.Figure) -> set[str]:
    return {text.get_text() for text in page.findobj(plt.Text) if text.get_text()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return run("fig2", tmp_path_factory.mktemp("plot"), demo=True)


@pytest.fixture(scope="module")
def read(tmp_path_factory) -> dict:
    """The panel tables of every figure, in one folder each."""
    folder = tmp_path_factory.mktemp("tables")
    return {name: tables_of(name, folder / name) for name in NAMES}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# Whole figures


def test_there_are_six_figures_and_every_kind_of_panel_is_in_one():
    assert [f"fig{number}" for number in range(2, 8)] == NAMES
    kinds = {panel["kind"] for one in FIGURES.values() for panel in figure.panels_of(one)}
    modules = {path.stem for path in Path(figure.__file__).with_name("panels").glob("*.py")} - {"__init__"}
    assert kinds == modules


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_one_journal_page_with_its_fonts_and_letters(name, read, tmp_path):
    page = drawn(name, read[name])
    style.save(page, tmp_path / "f.pdf", None)
    said = page_case.text_of(tmp_path / "f.pdf", FIGURES[name])
    assert "DEMO SCALE" in said
    assert "A title" in said


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_of_every_panel_are_the_golden_ones(name, read):
    found = {stem: page_case.summary(table) for stem, table in read[name].items()}
    golden = json.loads(GOLDEN.read_text())[name]
    assert list(found) == sorted(golden)
    for stem, table in golden.items():
        assert found[stem]["columns"] == table["columns"], stem
        assert found[stem]["rows"] == table["rows"], stem
        assert found[stem]["sums"] == pytest.approx(table["sums"], rel=1e-3, abs=1e-3), stem


@pytest.mark.parametrize("n_models", [2, 6])
@pytest.mark.parametrize("name", NAMES)
def test_labels_do_not_cross_each_other_or_the_page(name, n_models, tmp_path):
    page = drawn(name, tables_of(name, tmp_path, n_models=n_models), n_models=n_models)
    straight = [axes for axes in page.findobj(plt.Axes) if axes.name != "polar"]
    # Ticks beyond the limits keep a label that is never drawn.
    ticks = {
        label
        for axes in straight
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks() + axis.get_minor_ticks()
        for label in (tick.label1, tick.label2)
    }
    shown = [text for text in page.findobj(plt.Text) if text.get_text().strip() and text not in ticks]
    shown = [text for text in shown if text.get_visible()]
    assert len(shown) > 30
    assert min(text.get_fontsize() for text in shown) >= 5.5
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    for text, box in boxes:
        assert page.bbox.x0 - 1 <= box.x0, text
        assert box.x1 <= page.bbox.x1 + 1, text
        assert page.bbox.y0 - 1 <= box.y0, text
    crossing = [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if one.padded(-1).overlaps(other.padded(-1))
    ]
    assert crossing == []


def test_the_same_tables_give_the_same_bytes(finished, tmp_path):
    again = run("fig2", tmp_path, demo=True)
    for name in ("f.pdf", "f.png", *(f"tables/{path.name}" for path in (finished / "tables").iterdir())):
        assert (again / name).read_bytes() == (finished / name).read_bytes()


def test_the_csv_tables_alone_give_the_same_bytes(finished, tmp_path):
    shutil.copytree(finished / "tables", tmp_path / "tables")
    page = figure.draw(
        described("fig2"),
        figure.read_tables(tmp_path / "tables"),
        plot_case.context("fig2"),
        title="Small cells",
        demo=True,
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


def test_paper_scale_has_no_warning(tmp_path):
    folder = run("fig2", tmp_path, demo=False)
    said = text_of(folder / "f.pdf")
    assert "DEMO" not in said
    assert "Small cells" in said


# Gaps


@pytest.mark.parametrize("name", NAMES)
def test_without_any_table_every_panel_says_what_it_lacks(name, tmp_path):
    everything = tuple(plot_case.names_of(name))
    tables = tables_of(name, tmp_path, drop=everything)
    letters = [panel["letter"] for panel in figure.panels_of(FIGURES[name])]
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
        ("fig2", "walks", "no cells to show"),
        ("fig2", "rotations", "no cells to show"),
        ("fig2", "examples", "no cells to show"),
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
    empty = plot_case.inputs(name)[table][:0]
    assert said in words(drawn(name, tables_of(name, tmp_path, **{table: empty}), about=(table,)))


def test_a_table_without_the_stratum_column_says_so(tmp_path):
    bare = plot_case.inputs("fig2")["examples"].drop(columns="stratum")
    tables = tables_of("fig2", tmp_path, examples=bare)
    assert "has no column stratum" in " ".join(words(drawn("fig2", tables, about=("examples",))))


def test_a_table_that_gives_its_reason_is_believed():
    table = pd.DataFrame({"value": [np.nan], "reason": ["two cells are too few"]})
    with pytest.raises(Missing, match="too few"):
        need({"one": table}, "one", ["value"])
    assert len(need({"one": table.assign(value=1.0)}, "one", ["value"])) == 1


@pytest.mark.parametrize("n_kept", [1, 2])
def test_one_or_two_strata_alone_are_drawn(n_kept, tmp_path):
    kept = list(plot_case.strata_of("fig3"))[:n_kept]
    found = {
        key: table[table["stratum"].isin(kept)] if "stratum" in table else table
        for key, table in plot_case.inputs("fig3").items()
    }
    said = words(drawn("fig3", tables_of("fig3", tmp_path, **found)))
    assert "G1" in said
    assert "G2" not in said


def test_a_stratum_of_one_cell_has_one_step(tmp_path):
    walks = plot_case.inputs("fig2")["walks"]
    alone = walks["stratum"] == "random"
    tables = tables_of("fig2", tmp_path, walks=walks[~alone | (walks["sigma"] == 0)])
    assert {"random", "mean", "+2 sd"} <= words(drawn("fig2", tables, about=("walks",)))


def test_strata_that_the_figure_does_not_know_follow_by_their_own_name(tmp_path):
    examples = plot_case.inputs("fig3")["examples"]
    renamed = examples.assign(stratum=examples["stratum"].replace("G1", "M1M2"))
    table = tables_of("fig3", tmp_path, examples=renamed)["a_examples"]
    assert table["stratum"].iloc[0] == "earlyS"
    assert table["stratum"].iloc[-1] == "M1M2"


def test_a_dataset_without_labels_has_scores_all_the_same(tmp_path):
    context = plot_case.context("fig2")._replace(labels=[])
    figure.write_tables(described("fig2"), plot_case.inputs("fig2"), context, tmp_path)
    table = figure.read_tables(tmp_path)["b_scores"]
    assert len(table)
    assert not table["metric"].str.startswith("classification").any()


@pytest.mark.parametrize("q", [1e-6, 1.0])
def test_all_hits_and_no_hit_are_drawn(q, tmp_path):
    found = plot_case.inputs("fig7")
    tests = found["lda_tests"].assign(q=q)
    tables = tables_of("fig7", tmp_path, retrieval=found["retrieval"].assign(q=q), lda_tests=tests)
    page = drawn("fig7", tables, about=("retrieval", "lda_tests"))
    assert {"q = 0.05", "q < 0.05", "q \u2265 0.05"} <= words(page)


def test_treatments_without_a_q_say_so(tmp_path):
    retrieval = plot_case.inputs("fig7")["retrieval"].assign(q=np.nan)
    said = words(drawn("fig7", tables_of("fig7", tmp_path, retrieval=retrieval), about=("retrieval",)))
    assert "no treatment has a q: too few cells" in said


def test_a_map_of_too_few_cells_says_so(tmp_path):
    cells = plot_case.inputs("fig4")["map"].assign(dim_0=np.nan, dim_1=np.nan)
    said = " ".join(words(drawn("fig4", tables_of("fig4", tmp_path, map=cells), about=("map",))))
    assert "too few cells for a map" in said


def test_archetypes_of_a_collapsed_model_are_drawn(tmp_path):
    found = plot_case.inputs("fig3")
    archetypes = found["archetypes"][found["archetypes"]["archetype"] == 0].assign(explained_variance=np.nan)
    weights = found["stratum_by_archetype"]
    weights = weights[weights["archetype"] == 0].assign(mean_weight=1.0, p=np.nan, assigned=False)
    tables = tables_of("fig3", tmp_path, archetypes=archetypes, stratum_by_archetype=weights)
    said = words(drawn("fig3", tables, about=("archetypes", "stratum_by_archetype")))
    assert "archetype 1" in said
    assert "archetype 2" not in said


def test_a_model_without_scores_is_said_to_have_none(tmp_path):
    scores = plot_case.inputs("fig2")["scores"]
    tables = tables_of("fig2", tmp_path, scores=scores[scores["model"] != "classical_image"])
    said = [text.get_text().strip() for text in drawn("fig2", tables, about=("scores",)).findobj(plt.Text)]
    n_metrics = tables["b_scores"].dropna(subset=["value"])["metric"].nunique()
    assert said.count("no value") == n_metrics


@pytest.mark.parametrize(
    ("reason", "said"), [("2 of 2 values are missing; no meter", "no meter"), ("", "no value")]
)
def test_a_metric_without_any_value_says_why(reason, said, tmp_path):
    scores = plot_case.inputs("fig2")["scores"]
    missing = scores["metric"] == "encode_time"
    scores.loc[missing, ["value", "ci_low", "ci_high"]] = np.nan
    scores.loc[missing, "reason"] = reason
    found = words(drawn("fig2", tables_of("fig2", tmp_path, scores=scores), about=("scores",)))
    assert said in found
    assert "Encoding time \u2193" in found


# Scores


def small_scores(names=METRICS, models=("round", "square"), seeds=(42,)) -> pd.DataFrame:
    rows = [
        {
            "model": model,
            "seed": seed,
            "metric": metric,
            "variant": variant,
            "unit": {"reconstruction": "um", "encode_time": "s"}.get(metric, ""),
            "better": "high" if metric.startswith("class") else "low",
            "value": 0.3 + 0.1 * i + 0.05 * j,
            "ci_low": 0.2 + 0.1 * i,
            "ci_high": 0.5 + 0.1 * i,
            "reason": "",
        }
        for i, metric in enumerate(names)
        for j, model in enumerate(models)
        for seed in seeds
        for variant in ("corrected", "legacy")
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("n_metrics", [1, 2, 3])
def test_a_polar_plot_needs_three_metrics(n_metrics, tmp_path):
    scores = plot_case.inputs("fig2")["scores"]
    kept = scores["metric"].isin(["reconstruction", "compactness", "parameters"][:n_metrics])
    page = drawn("fig2", tables_of("fig2", tmp_path, scores=scores[kept]), about=("scores",))
    assert ("fewer than two models or three metrics to compare" in words(page)) is (n_metrics < 3)


def test_relative_scores_are_centred_and_outward_is_better():
    scores = metrics.headline(small_scores(), list(MODELS), metrics.titles_of(["rule"]))
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
    scores = metrics.headline(rows, list(MODELS), metrics.titles_of(["rule"]))
    assert set(metrics.relative(scores)["metric"]) == set(METRICS) - {"evolution_energy"}


def test_one_model_alone_is_relative_to_nothing():
    scores = metrics.headline(small_scores(models=("round",)), ["round"], metrics.titles_of(["rule"]))
    assert len(scores)
    assert metrics.relative(scores).empty


def test_the_top_guesses_count_for_the_labels_that_ask_for_it():
    titles = metrics.titles_of(["stage", "flag"], {"stage": 2})
    assert titles["classification_stage_top_2"] == "Top-2 accuracy, stage"
    assert titles["classification_flag_top_1"] == "Classification of flag"


def test_relative_scores_of_nothing_keep_their_columns():
    scores = metrics.headline(small_scores()[:0], list(MODELS), metrics.titles_of([]))
    assert list(metrics.relative(scores)) == ["metric", "title", "model", "value", "z"]


def test_the_headline_is_the_corrected_variant_in_the_order_of_titles():
    titles = metrics.titles_of(["rule"])
    table = metrics.headline(small_scores(METRICS[::-1]), ["square"], titles)
    assert list(table["metric"]) == METRICS
    assert set(table["variant"]) == {"corrected"}
    assert set(table["model"]) == {"square"}


def test_seeds_are_averaged_into_one_bar():
    rows = small_scores(["reconstruction"], seeds=(1, 2))
    rows.loc[rows["seed"] == 1, "value"] += 1
    _, axes = plt.subplots()
    table = rows[rows["variant"] == "corrected"].assign(title="x")
    scores_panel.bars(axes, table, pd.DataFrame({"model": [], "value": []}), MODELS)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.8, 0.85])


def test_baselines_are_lines_where_they_have_a_value():
    _, axes = plt.subplots()
    rows = small_scores(["reconstruction"], models=("plain", "none"))
    rows.loc[rows["model"] == "none", "value"] = np.nan
    looks = {"plain": {"label": "Plain", "color": "#777777"}, "none": {"label": "None", "color": "#777777"}}
    scores_panel.references(axes, rows[rows["variant"] == "corrected"], looks)
    assert [line.get_xdata()[0] for line in axes.lines] == [0.3]


# Colours


def test_models_wear_the_colours_given(read):
    page = drawn("fig2", read["fig2"])
    colors = [look["color"].lower() for look in plot_case.context("fig2").models.values()]
    polar = next(axes for axes in page.findobj(plt.Axes) if axes.name == "polar")
    assert {to_hex(line.get_color()) for line in polar.lines} == set(colors)
    bars = [axes for axes in page.findobj(plt.Axes) if axes.patches and axes.name != "polar"]
    assert len(bars) == read["fig2"]["b_scores"].dropna(subset=["value"])["metric"].nunique()
    for axes in bars:
        assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == colors


CLASSES = [style.CONTROL, style.TREATED]
# Machado et al. 2009, severity 1, on linear RGB.
BLINDNESS = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def lab(color: str, matrix: list) -> np.ndarray:
    """A colour as somebody sees it, in CIE Lab."""
    from skimage.color import rgb2lab

    srgb = np.array(to_rgb(color))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    back = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return rgb2lab(back[None, None])[0, 0]


@pytest.mark.parametrize("sight", ["normal", *BLINDNESS])
def test_colours_of_a_figure_are_told_apart_by_colour_blind_readers(sight):
    matrix = BLINDNESS.get(sight, np.eye(3))
    sets = [[look["color"] for look in plot_case.context(name).models.values()] for name in NAMES]
    # The published colours of five models come closer (8) than we let our own.
    for colors, limit in [(one, 8) for one in sets] + [(list(style.CATEGORIES), 15), (CLASSES, 15)]:
        seen = [lab(color, matrix) for color in colors]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[i + 1 :]]
        assert min(apart) > limit, colors


# Parts


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("planar_gradient_45deg", "planar 45°"),
        ("radial_gradient", "radial"),
        ("cell_stage_fine", "cell stage fine"),
        ("random", "random"),
        (2.0, "2"),
        ("2.0", "2"),
        (3, "3"),
    ],
)
def test_names_become_words(name, said):
    assert layout.pretty(name) == said


def test_the_half_width_shows_nearly_all_points_and_ignores_depth():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(0, 4, (500, 3)), columns=["x_um", "y_um", "z_um"])
    half_um = layout.half_width(table)
    assert half_um == round(half_um)
    assert (table[["x_um", "y_um"]].abs() <= half_um).mean(axis=None) > 0.99
    assert layout.half_width(table.assign(z_um=1e3)) == half_um
    assert layout.half_width(table * 10) > 5 * half_um


def test_the_half_width_of_nothing_is_positive():
    assert layout.half_width(pd.DataFrame({"x_um": [], "y_um": [], "z_um": []})) > 0


@pytest.mark.parametrize("n_points", [0, 1, 2, 700])
def test_a_cloud_draws_all_its_points_up_to_the_limit(n_points):
    _, axes = plt.subplots()
    points_um = np.random.default_rng(0).normal(size=(n_points, 3))
    layout.cloud(axes, points_um, half_um=3, size=1, max_points=100)
    count = sum(len(line.get_xdata()) for line in axes.lines)
    assert count == n_points if n_points <= 100 else 100 <= count <= 110


def test_nearer_points_are_drawn_last():
    _, axes = plt.subplots()
    points_um = np.array([[1, 0, 5], [2, 0, -5], [3, 0, 0]], dtype=float)
    layout.cloud(axes, points_um, half_um=4, size=1, max_points=9)
    assert [line.get_xdata().tolist() for line in axes.lines] == [[2], [3], [1]]
    assert [line.get_color() for line in axes.lines] == list(style.DEPTH_COLORS)


def test_the_central_slab_is_that_of_each_cloud():
    table = pd.DataFrame({"stratum": list("aaabbbcc"), "z_um": [-10, 1, 10, 101, 102.1, 103, -1, 1]})
    kept = clouds.central_slab(table, ["stratum"], 0.3)
    # A cloud of two planes has nothing in its middle, and is shown whole.
    assert kept["z_um"].tolist() == [1, 102.1, -1, 1]
    assert clouds.central_slab(table, ["stratum"], None) is table


def test_clouds_are_shown_about_their_centroid():
    table = pd.DataFrame({"stratum": list("aabb"), "x_um": [0, 2, 7, 7], "y_um": [1, 1, 0, 4], "z_um": 0.0})
    moved = clouds.centred_clouds(table, ["stratum"])
    assert moved["x_um"].tolist() == [-1, 1, 0, 0]
    assert moved["y_um"].tolist() == [0, 0, -2, 2]


@pytest.mark.parametrize(("factor", "half_um"), [(10, 11), (0.01, 0.02), (0, 1)])
def test_small_shapes_fill_their_pictures(factor, half_um):
    table = pd.DataFrame({"x_um": [1.0, -1], "y_um": [0.0, 0], "z_um": [0.0, 0]}) * factor
    assert layout.half_width(table) == pytest.approx(half_um)


def test_a_long_reason_stays_within_its_chart():
    _, axes = plt.subplots(figsize=(1.4, 0.4))
    rows = small_scores(["reconstruction"]).assign(
        value=np.nan, reason="11 of 11 values are missing or not finite"
    )
    scores_panel.bars(axes, rows.assign(title="x"), pd.DataFrame({"model": [], "value": []}), MODELS)
    (said,) = [text for text in axes.texts if "missing" in text.get_text()]
    assert max(map(len, said.get_text().split("\n"))) <= 30


def test_numbers_of_pieces_stay_names_through_a_csv(tmp_path):
    write_table(pd.DataFrame({"stratum": ["1", "2"], "x_um": [1.0, 2.0]}), tmp_path / "a_examples.csv")
    table = figure.read_tables(tmp_path)["a_examples"]
    assert table["stratum"].tolist() == ["1", "2"]
    assert plot_case.context("fig5").name(table["stratum"][0]) == "1 piece"


def test_a_combination_without_cells_stays_blank():
    turned = plot_case.inputs("fig2")["rotations"]
    gone = (turned["stratum"] == "radial_gradient") & (turned["kind"] == "input")
    page = plt.figure(figsize=(7, 3))
    shapes = gallery.clouds(turned[~gone], ["stratum", "degrees", "kind"], size=1, max_points=9)
    margins = {"left": 0.1, "right": 0.9, "top": 0.8, "bottom": 0.1}
    gallery.grid(page.subfigures(), margins, shapes, "stratum", ["kind", "degrees"])
    assert {"input", "canonical", "radial", "90"} <= words(page)


# Surfaces


def cube() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = plot_case.blob(3)
    return vertices, faces


def test_the_view_is_a_rotation_that_shows_height():
    page = render.seen(np.eye(3), "side")
    np.testing.assert_allclose(page @ page.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(page) == pytest.approx(1)
    up = render.seen(np.array([[0, 0, 1.0]]), "side")[0]
    assert up[1] > 0.5
    np.testing.assert_array_equal(render.seen(np.eye(3), "above"), np.eye(3))


def test_made_up_surfaces_face_outwards():
    vertices, faces = cube()
    a, b, c = vertices[faces].transpose(1, 0, 2)
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0


def test_a_face_turned_to_the_light_is_brighter():
    towards = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]]], dtype=float)
    away = towards[:, ::-1]
    assert render.shades(towards).sum() > render.shades(away).sum()


def test_surfaces_are_rendered_at_their_scale_or_drawn_by_hand(caplog):
    pictures = render.render([cube(), cube()], 60, half_um=[6, 12], view="side")
    if pictures is None:
        pytest.skip("VTK finds neither EGL nor OSMesa here: apt-get install libegl1 libegl-mesa0")
    large, small = ((picture < 250).any(axis=2).mean() for picture in pictures)
    assert large == pytest.approx(4 * small, rel=0.25)
    assert 0.02 < large < 0.9


def test_without_vtk_surfaces_are_drawn_as_triangles(monkeypatch, read, caplog):
    """A machine without EGL and OSMesa, where VTK ends its process."""
    monkeypatch.setattr(render, "_PROGRAM", ["-c", "import os; os.abort()"])
    with caplog.at_level("WARNING"):
        assert figure.pictures_of(read["fig6"]) == {}
    assert "libegl1" in caplog.text
    page = drawn("fig6", read["fig6"], pictures={})
    drawn_faces = [
        collection
        for axes in page.findobj(plt.Axes)
        for collection in axes.collections
        if axes.get_aspect() == 1
    ]
    assert len(drawn_faces) > 20


def test_the_paper_palette_is_that_of_the_paper():
    assert CONFIG["plot"]["palettes"]["paper"] == ["#9CA2D6", "#6277D1", "#CF8D84", "#CE553B", "#2ED9FF"]
