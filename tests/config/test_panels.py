"""The figure of any data set: panels by what it has, refined by a yaml of its name."""

import copy

import pytest
import yaml
from harness.clone import make_clone
from paths import ROOT

from morphobench import config as configuration
from morphobench.config import figures, panels, schema
from morphobench.errors import InputError

CONFIG = configuration.resolve(schema.read_yaml(ROOT / "config/config.yaml"), ROOT)
PANEL_NAMES = yaml.safe_load((ROOT / "config/schemas/figure.schema.yaml").read_text())["properties"]["rows"][
    "items"
]["properties"]["panels"]["items"]["properties"]["panel"]["enum"]


def kinds(figure):
    return [panel["kind"] for panel in figures.list_panels(figure)]


def changed(name, **keys):
    return {**copy.deepcopy(CONFIG["datasets"][name]), **keys}


def test_the_schema_lists_the_named_panels():
    assert set(PANEL_NAMES) == set(panels.PANELS)


@pytest.mark.parametrize("name", CONFIG["datasets"])
def test_every_data_set_has_a_figure_of_what_it_has(name):
    described = figures.figure_of(CONFIG, name)
    letters = [panel["letter"] for panel in figures.list_panels(described)]
    assert letters == sorted(set(letters))
    assert described["dataset"] == name
    gaps = figures.missing(CONFIG, name)
    drawn = {figures.input_name(one, t) for one in figures.list_panels(described) for t in one["tables"]}
    assert not drawn & set(gaps), "a panel that cannot be drawn"
    if name not in CONFIG["figures"]:
        assert sum(row["height_mm"] for row in described["rows"]) <= 233, "more than a page"
    assert all("{" not in path for path in figures.inputs(CONFIG, name).values())
    schema.validate(described, "figure", "figure", ROOT)


def test_panels_follow_from_kind_and_analyses():
    adrenal = panels.expanded(
        panels.default_figure("adrenal", CONFIG["datasets"]["adrenal"]), CONFIG["datasets"]
    )
    assert "drug_bars" not in kinds(adrenal)
    drugs = {"condition": "shape", "control": "normal"}
    treated = {"adrenal": changed("adrenal", analyse={"drugs": drugs})}
    with_drugs = panels.expanded(panels.default_figure("adrenal", treated["adrenal"]), treated)
    assert set(kinds(with_drugs)) - set(kinds(adrenal)) == {"drug_bars"}
    assert "pieces" in kinds(figures.figure_of(CONFIG, "npm1"))


def test_cells_are_coloured_by_stratum_labels_and_targets():
    dataset = changed("adrenal", stratum="a", labels=["b", "a"], targets=["c", "d"])
    assert panels.colors(dataset) == ["a", "b", "c"]
    assert panels.colors(changed("adrenal", stratum="a", labels=[], targets=None)) == ["a"]


def resolved_with(clone, figure):
    (clone / "config/figures/adrenal.yaml").write_text(yaml.safe_dump(figure))
    return configuration.resolve(schema.read_yaml(clone / "config/config.yaml"), clone)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("clone") / "morphobench")


def test_a_yaml_of_that_name_refines_it(clone):
    config = resolved_with(clone, {"title": "Glands", "strata": {"normal": "healthy"}})
    own, default = figures.figure_of(config, "adrenal"), figures.figure_of(CONFIG, "adrenal")
    assert own["rows"] == default["rows"]
    assert (own["title"], own["strata"]) == ("Glands", {"normal": "healthy"})


def test_keys_beside_a_named_panel_win_and_others_stay(clone):
    named = {"panel": "pca", "caption": "mine", "options": {"colors": ["volume_um3"]}}
    config = resolved_with(clone, {"rows": [{"panels": [named, {"panel": "archetypes", "width": 2}]}]})
    (row,) = figures.figure_of(config, "adrenal")["rows"]
    pca, archetypes = row["panels"]
    assert (pca["letter"], pca["caption"], pca["kind"]) == ("a", "mine", "scatter")
    assert pca["options"] == {"colors": ["volume_um3"]}
    assert archetypes["options"]["role"] == "archetype"
    assert (archetypes["letter"], archetypes["width"]) == ("b", 2)


@pytest.mark.parametrize(
    ("panel", "reason"),
    [
        ({"panel": "umap"}, "'umap' is not one of"),
        ({"kind": "scores"}, "missing at rows.0.panels.0: caption, tables"),
        ({"panel": "pca", "letters": "b"}, "unknown key 'letters'"),
    ],
)
def test_what_is_wrong_in_a_panel_is_named(clone, panel, reason):
    with pytest.raises(InputError, match=reason):
        resolved_with(clone, {"rows": [{"panels": [panel]}]})
