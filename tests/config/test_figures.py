"""What figures are drawn from: tables by name, reasons for those that a run cannot have, looks of models."""

import copy

import pytest
import yaml
from paths import ROOT

from morphobench import config as configuration
from morphobench.config import figures, schema


@pytest.fixture(scope="module")
def config():
    return configuration.resolve(schema.read_yaml(ROOT / "config/config.yaml"), ROOT)


def entered(config, name, entry):
    """The configuration with a dataset entered elsewhere."""
    changed = copy.deepcopy(config)
    changed["datasets"][name]["start_from"] = entry
    return changed


def test_every_table_of_every_panel_has_a_place_or_a_reason(config):
    for figure, described in config["figures"].items():
        panels = figures.list_panels(described)
        assert {name for panel in panels for name in panel["tables"]} <= set(figures.TABLES)
        names = {figures.input_name(panel, name) for panel in panels for name in panel["tables"]}
        inputs, missing = figures.inputs(config, figure), figures.missing(config, figure)
        assert names - set(missing) == set(inputs)
        assert not any("{" in path for path in inputs.values())


def test_the_schema_lists_the_tables():
    text = yaml.safe_load((ROOT / "config/schemas/figure.schema.yaml").read_text())
    panel = text["properties"]["rows"]["items"]["properties"]["panels"]["items"]["properties"]
    assert set(panel["tables"]["items"]["enum"]) == set(figures.TABLES)


def test_a_run_from_embeddings_has_nothing_decoded_and_no_surfaces(config):
    missing = figures.missing(entered(config, "cellpack", "embeddings"), "fig2")
    assert "no model to decode" in missing["walks"]
    assert "without the surfaces" in missing["meshes"]
    assert "scores" not in missing
    assert "walks" not in figures.missing(entered(config, "cellpack", "checkpoints"), "fig2")


def test_what_a_dataset_does_not_ask_for_says_so(config):
    reason = "not drawn: analyse.volume_bins of cellpack is not set"
    assert figures.missing(config, "fig2")["volume_bins"] == reason


def test_a_palette_colours_models_by_their_place(config):
    models = config["datasets"]["cellpack"]["benchmark"]
    own = [config["models"][name]["color"] for name in models]
    assert [look["color"] for look in figures.describe(config, "fig2")["models"].values()] == own
    with_palette = {**config, "plot": {**config["plot"], "palette": "paper"}}
    looks = figures.describe(with_palette, "fig2")["models"]
    assert [look["color"] for look in looks.values()] == config["plot"]["palettes"]["paper"][: len(models)]


def test_of_conditions_the_control_comes_first(config):
    drugs = config["datasets"]["npm1_perturb"]["analyse"]["drugs"]
    assert next(iter(figures.strata(config, "npm1_perturb"))) == drugs["control"]


def test_the_page_of_shapes_has_surfaces_where_cells_have_them(config):
    assert set(figures.shape_inputs(config, "npm1")) == {"surfaces", "meshes"}
    assert set(figures.shape_inputs(config, "cellpack")) == {"walks", "archetypes"}


def test_a_panel_of_another_data_set_is_drawn_from_its_tables_and_looks(config):
    inputs, described = figures.inputs(config, "fig8"), figures.describe(config, "fig8")
    assert inputs["scores"] == "results/score/red_blood_cells/scores.parquet"
    assert inputs["adrenal__scores"] == "results/score/adrenal/scores.parquet"
    assert "/red_blood_cells/" in inputs["meshes"]
    assert "/seed-42/fold-0/" in inputs["meshes"]
    assert (described["labels"], described["others"]["adrenal"]["labels"]) == (["cell_class"], ["shape"])
    assert {row["dataset"] for row in described["others"]["adrenal"]["published"]} == {"adrenal"}
    assert figures.datasets(config, "fig8") == ["red_blood_cells", "adrenal"]


def test_figures_say_that_models_were_trained_for_less_than_the_paper_did():
    config = schema.read_yaml(ROOT / "config/config.yaml")
    plain = configuration.resolve(config, ROOT)
    train = config["train"] | {"recipe": "larger_batches", "precision": "bf16-mixed"}
    cheaper = configuration.resolve(config | {"train": train}, ROOT)
    said = "Larger batches and learning rates than published. Trained in bf16 precision."
    assert [figures.describe(one, "fig3")["note"] for one in (plain, cheaper)] == ["", said]
    for name, model in cheaper["models"].items():
        before = plain["models"][name]["training"]
        times = model["training"]["batch_size"] / before["batch_size"]
        assert times in (4, 8)
        assert model["training"]["lr"] / before["lr"] == pytest.approx(times**0.5, rel=0.02)
