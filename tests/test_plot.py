"""The benchmark figure from small fabricated tables: the same bytes, honest panels, no crash on gaps."""

from __future__ import annotations

import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pypdf
import pytest
from matplotlib.colors import to_hex

from morphobench.files import read_table, write_table
from morphobench.plot import benchmark, panels, style

MODELS = {
    "round": {"label": "Round model", "color": "#112233"},
    "square": {"label": "Square model", "color": "#aabb22"},
}
STRATA = ["planar_gradient_0deg", "radial_gradient"]
METRICS = ["classification_rule_top_1", "reconstruction", "evolution_energy", "encode_time"]
LOOK = {"title": "Small cells", "models": MODELS, "labels": ["rule"], "width_mm": 180}


def clouds(rows: list[dict], n_points: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    parts = [
        pd.DataFrame(rng.normal(0, 3, (n_points, 3)), columns=["x_um", "y_um", "z_um"]).assign(**row)
        for row in rows
    ]
    return pd.concat(parts, ignore_index=True).astype({"x_um": "float32", "y_um": "float32"})


def score_rows(metrics=METRICS, models=("round", "square"), seeds=(42,)) -> pd.DataFrame:
    rows = [
        {
            "dataset": "small",
            "model": model,
            "seed": seed,
            "metric": metric,
            "variant": variant,
            "unit": {"reconstruction": "um", "encode_time": "s"}.get(metric, ""),
            "better": "high" if metric.startswith("class") else "low",
            "value": 0.3 + 0.1 * i + 0.05 * j,
            "ci_low": 0.2 + 0.1 * i,
            "ci_high": 0.5 + 0.1 * i,
            "n": 4,
            "reason": "",
        }
        for i, metric in enumerate(metrics)
        for j, model in enumerate(models)
        for seed in seeds
        for variant in ("corrected", "legacy")
    ]
    return pd.DataFrame(rows)


def fabricated() -> dict[str, pd.DataFrame]:
    scores = score_rows()
    items = scores[["dataset", "model", "seed", "metric", "variant"]].loc[scores.index.repeat(3)]
    return {
        "examples": clouds([{"CellId": f"{i}", "stratum": s} for i, s in enumerate(STRATA)]),
        "scores": scores,
        "item_values": items.assign(item="a", value=np.linspace(0, 1, len(items))),
        "walks": clouds([{"stratum": s, "component": 0, "sigma": x} for s in STRATA for x in (-2.0, 0.0)]),
        "archetypes": clouds([{"archetype": i, "explained_variance": 0.9} for i in range(4)]),
        "rotations": clouds(
            [
                {"stratum": s, "degrees": d, "kind": k}
                for s in STRATA
                for d in (0.0, 90.0)
                for k in ("input", "canonical", "reconstruction")
            ]
        ),
    }


def run(folder: Path, inputs: dict[str, pd.DataFrame], *, demo: bool = False) -> Path:
    paths = {name: folder / "in" / f"{name}.parquet" for name in inputs}
    for name, table in inputs.items():
        write_table(table, paths[name])
    out = {"pdf": folder / "f.pdf", "png": folder / "f.png", "tables_out": folder / "tables"}
    benchmark.run(paths, **out, demo=demo, **LOOK)
    return folder


def drawn(inputs: dict[str, pd.DataFrame]) -> plt.Figure:
    """Draw without files; every text really is laid out, as in a saved figure."""
    tables = benchmark.panel_tables(inputs, list(MODELS), LOOK["labels"])
    figure = benchmark.draw(tables, title="t", demo=False, models=MODELS, width_mm=180)
    figure.canvas.draw()
    return figure


def words(figure: plt.Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(plt.Text) if text.get_text()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("plot"), fabricated(), demo=True)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_the_same_tables_give_the_same_bytes(finished, tmp_path):
    again = run(tmp_path, fabricated(), demo=True)
    for name in ("f.pdf", "f.png"):
        assert (again / name).read_bytes() == (finished / name).read_bytes()


def test_the_csv_tables_alone_give_the_same_bytes(finished, tmp_path):
    shutil.copytree(finished / "tables", tmp_path / "tables")
    tables = {path.stem: read_table(path) for path in (tmp_path / "tables").iterdir()}
    look = {key: LOOK[key] for key in ("title", "models", "width_mm")}
    style.save(benchmark.draw(tables, demo=True, **look), tmp_path / "f.pdf", tmp_path / "f.png")
    for name in ("f.pdf", "f.png"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_every_panel_has_a_table_with_its_letter(finished):
    names = {path.name for path in (finished / "tables").iterdir()}
    assert {name[0] for name in names} == set("abcde")
    assert all(name[1] == "_" and name.endswith(".csv") for name in names)
    scores = read_table(finished / "tables" / "b_scores.csv")
    assert set(scores["metric"]) == set(METRICS)
    assert set(scores["variant"]) == {"corrected"}
    assert len(read_table(finished / "tables" / "b_scores_all.csv")) == len(fabricated()["scores"])


def test_pdf_is_one_journal_page_with_its_fonts(finished):
    pages = pypdf.PdfReader(finished / "f.pdf").pages
    assert len(pages) == 1
    width_mm, height_mm = (float(side) / 72 * 25.4 for side in pages[0].mediabox[2:])
    assert width_mm == pytest.approx(180, abs=0.1)
    assert height_mm <= 250
    fonts = [font.get_object() for font in pages[0]["/Resources"]["/Font"].values()]
    assert fonts
    for font in fonts:
        inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        assert "/FontFile2" in inner["/FontDescriptor"].get_object()


@pytest.mark.parametrize("demo", [True, False])
def test_the_warning_stands_on_demo_figures_only(demo, finished, tmp_path):
    folder = finished if demo else run(tmp_path, fabricated(), demo=False)
    text = pypdf.PdfReader(folder / "f.pdf").pages[0].extract_text()
    assert ("DEMO SCALE" in text) is demo
    assert set("abcde") <= set(text.split())
    assert "Small cells" in text
    assert "Round model" in text


def test_nothing_is_smaller_than_five_and_a_half_points():
    sizes = [t.get_fontsize() for t in drawn(fabricated()).findobj(plt.Text) if t.get_text().strip()]
    assert min(sizes) >= 5.5


def test_labels_do_not_cross_each_other_or_the_page():
    # The longest titles and every metric there is: the fullest figure.
    inputs = fabricated()
    inputs["scores"] = score_rows(list(benchmark.titles_of(["rule"])))
    figure = drawn(inputs)
    page = figure.bbox
    straight = [axes for axes in figure.findobj(plt.Axes) if axes.name != "polar"]
    # Ticks beyond the limits keep a label that is never drawn.
    ticks = {
        label
        for axes in straight
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
    }
    shown = [text for text in figure.findobj(plt.Text) if text.get_text().strip() and text not in ticks]
    assert len(shown) > 50
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown if text.get_visible()]
    for text, box in boxes:
        assert page.x0 - 1 <= box.x0, text
        assert box.x1 <= page.x1 + 1, text
    crossing = [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if one.padded(-1).overlaps(other.padded(-1))
    ]
    assert crossing == []


@pytest.mark.parametrize(
    ("emptied", "said"),
    [
        (["walks"], "no cells to show"),
        (["rotations"], "no cells to show"),
        (["examples"], "no cells to show"),
        (["archetypes"], "no shapes to show"),
        (["scores"], "no scores of these models"),
        (["scores", "item_values", "examples", "walks", "archetypes", "rotations"], "no cells to show"),
    ],
)
def test_an_empty_table_gives_a_labelled_empty_panel(emptied, said, tmp_path):
    inputs = fabricated()
    for name in emptied:
        inputs[name] = inputs[name][:0]
    assert (run(tmp_path, inputs) / "f.png").stat().st_size > 0
    text = " ".join(pypdf.PdfReader(tmp_path / "f.pdf").pages[0].extract_text().split())
    assert said in text
    assert set("abcde") <= set(text.split())


def test_a_model_without_scores_is_said_to_have_none():
    inputs = fabricated()
    inputs["scores"] = score_rows(models=["round"])
    figure = drawn(inputs)
    said = [text for text in figure.findobj(plt.Text) if text.get_text().strip() == "no value"]
    assert len(said) == len(METRICS)


@pytest.mark.parametrize(("reason", "said"), [("no meter; none at all", "no meter"), ("", "no value")])
def test_a_metric_without_any_value_says_why(reason, said, tmp_path):
    inputs = fabricated()
    missing = inputs["scores"]["metric"] == "encode_time"
    inputs["scores"].loc[missing, ["value", "ci_low", "ci_high"]] = np.nan
    inputs["scores"].loc[missing, "reason"] = reason
    run(tmp_path, inputs)
    text = pypdf.PdfReader(tmp_path / "f.pdf").pages[0].extract_text()
    assert said in text
    assert "nan" not in text
    assert "Encoding time" in text


def test_one_stratum_alone_is_drawn():
    inputs = fabricated()
    for name in ("examples", "walks", "rotations"):
        inputs[name] = inputs[name][inputs[name]["stratum"] == STRATA[0]]
    found = words(drawn(inputs))
    assert "planar 0°" in found
    assert "radial" not in found


def test_a_combination_without_cells_stays_blank():
    inputs = fabricated()
    turned = inputs["rotations"]
    gone = (turned["stratum"] == STRATA[-1]) & (turned["kind"] == "input")
    inputs["rotations"] = turned[~gone]
    assert {"input", "canonical", "reconstruction", "radial", "90°"} <= words(drawn(inputs))


@pytest.mark.parametrize("n_metrics", [1, 2, 3])
def test_a_polar_plot_needs_three_metrics(n_metrics):
    inputs = fabricated()
    inputs["scores"] = score_rows(METRICS[:n_metrics])
    said = "fewer than three metrics to compare" in words(drawn(inputs))
    assert said is (n_metrics < 3)


def test_relative_scores_are_centred_and_outward_is_better():
    scores = benchmark.score_tables(score_rows(), list(MODELS), benchmark.titles_of(["rule"]))
    table = benchmark.relative_table(scores).set_index(["metric", "model"])["z"].unstack()
    np.testing.assert_allclose(table.sum(axis=1), 0, atol=1e-12)
    # "square" has the larger values everywhere: better for accuracy, worse for errors.
    better = table["square"] > table["round"]
    assert better.to_dict() == {metric: metric.startswith("class") for metric in METRICS}


@pytest.mark.parametrize("gap", ["no row", "nan"])
def test_relative_scores_leave_out_metrics_that_a_model_lacks(gap):
    rows = score_rows()
    lacks = (rows["metric"] == "evolution_energy") & (rows["model"] == "square")
    rows = rows[~lacks] if gap == "no row" else rows.assign(value=rows["value"].mask(lacks))
    scores = benchmark.score_tables(rows, list(MODELS), benchmark.titles_of(["rule"]))
    assert set(benchmark.relative_table(scores)["metric"]) == set(METRICS) - {"evolution_energy"}


def test_relative_scores_of_nothing_keep_their_columns():
    scores = benchmark.score_tables(score_rows()[:0], list(MODELS), benchmark.titles_of([]))
    assert list(benchmark.relative_table(scores)) == ["metric", "title", "model", "value", "z"]


def test_seeds_are_averaged_into_one_bar():
    rows = score_rows(["reconstruction"], seeds=(1, 2))
    rows.loc[rows["seed"] == 1, "value"] += 1
    figure, axes = plt.subplots()
    table = rows[rows["variant"] == "corrected"].assign(title="x")
    panels.bars(axes, table, pd.DataFrame({"model": [], "value": []}), MODELS)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.8, 0.85])


def test_models_wear_the_colours_given():
    figure = drawn(fabricated())
    colors = {look["color"] for look in MODELS.values()}
    polar = next(axes for axes in figure.findobj(plt.Axes) if axes.name == "polar")
    assert {to_hex(line.get_color()) for line in polar.lines} == colors
    bars = [axes for axes in figure.findobj(plt.Axes) if axes.patches and axes.name != "polar"]
    assert len(bars) == len(METRICS)
    for axes in bars:
        assert [to_hex(bar.get_facecolor()) for bar in axes.patches] == [
            look["color"] for look in MODELS.values()
        ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("planar_gradient_45deg", "planar 45°"),
        ("radial_gradient", "radial"),
        ("cell_stage_fine", "cell stage fine"),
        ("random", "random"),
        (2.0, "2"),
        (3, "3"),
    ],
)
def test_names_become_words(name, words):
    assert panels.pretty(name) == words


def test_the_half_width_shows_nearly_all_points_and_ignores_depth():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(0, 4, (500, 3)), columns=["x_um", "y_um", "z_um"])
    half_um = panels.half_width(table)
    assert half_um == round(half_um)
    assert (table[["x_um", "y_um"]].abs() <= half_um).mean(axis=None) > 0.99
    assert panels.half_width(table.assign(z_um=1e3)) == half_um
    assert panels.half_width(table * 10) > 5 * half_um


def test_the_half_width_of_nothing_is_positive():
    assert panels.half_width(pd.DataFrame({"x_um": [], "y_um": [], "z_um": []})) > 0


@pytest.mark.parametrize("n_points", [0, 1, 2, 700])
def test_a_cloud_draws_all_its_points_up_to_the_limit(n_points):
    figure, axes = plt.subplots()
    points_um = np.random.default_rng(0).normal(size=(n_points, 3))
    panels.cloud(axes, points_um, half_um=3, size=1, max_points=100)
    count = sum(len(line.get_xdata()) for line in axes.lines)
    assert count == n_points if n_points <= 100 else 100 <= count <= 110


def test_nearer_points_are_drawn_last():
    figure, axes = plt.subplots()
    points_um = np.array([[1, 0, 5], [2, 0, -5], [3, 0, 0]], dtype=float)
    panels.cloud(axes, points_um, half_um=4, size=1, max_points=9)
    assert [line.get_xdata().tolist() for line in axes.lines] == [[2], [3], [1]]
    assert [line.get_color() for line in axes.lines] == list(style.DEPTH_COLORS)
