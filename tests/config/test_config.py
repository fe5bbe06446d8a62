"""Configuration: what is shipped is valid, and every mistake is named with its remedy."""

import shutil

import pytest
import yaml
from paths import ROOT

from morphobench import config
from morphobench.config import figures, schema
from morphobench.errors import InputError

HISTOGRAM = {
    "label": "mine",
    "color": "#123456",
    "kinds": ["packing"],
    "features": "radial_histogram",
    "options": {"n_points": 64, "n_bins": 8},
}
NORMED = ["rotation_invariant_pointcloud_structurenorm"]


@pytest.fixture
def paper():
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.fixture
def demo(paper):
    return schema.merge(paper, yaml.safe_load((ROOT / "config/demo.yaml").read_text()))


@pytest.fixture
def workstation(paper):
    return schema.merge(paper, yaml.safe_load((ROOT / "config/workstation.yaml").read_text()))


@pytest.mark.parametrize("scale", ["paper", "demo", "workstation"])
def test_shipped_configuration_is_valid(scale, request):
    resolved = config.resolve(request.getfixturevalue(scale), ROOT)
    assert {"cellpack", "pcna"} <= set(resolved["datasets"])
    assert len(resolved["datasets"]["cellpack"]["models"]) == 5


def test_a_baseline_is_scored_on_the_datasets_that_it_names_or_on_all_of_its_kinds(paper):
    mine = {**HISTOGRAM, "kinds": ["packing", "polymorphic"]}
    paper["baselines"] = {"all": mine, "one": mine | {"datasets": ["adrenal"]}}
    resolved = config.resolve(paper, ROOT)
    scored = {name: list(figures.baselines_of(resolved, name)) for name in ("cellpack", "adrenal", "pcna")}
    assert scored == {"cellpack": ["all"], "adrenal": ["all", "one"], "pcna": []}


def families(by_name):
    return {"datasets": {"npm1_perturb": {"analyse": {"drugs": {"families": by_name}}}}}


def derived(pattern):
    return {"datasets": {"npm1": {"source": {"derive": {"plate": {"from": "fov", "pattern": pattern}}}}}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sed": 1}, ["unknown key 'sed'", "did you mean 'seed'"]),
        ({"train": {"accelerater": "cpu"}}, ["'accelerater' at train", "'accelerator'"]),
        ({"datasets": {"celpack": {}}}, ["unknown dataset 'celpack'", "cellpack"]),
        ({"models": {"vit": {}}}, ["unknown model 'vit'", "config/models/vit.yaml"]),
        ({"models": {"classical_image": {"training": {"lr": -1}}}}, ["classical_image.yaml", "training.lr"]),
        ({"datasets": {"cellpack": {"models": ["vit"]}}}, ["cellpack.yaml", "unknown model 'vit'"]),
        ({"datasets": {"cellpack": {"analysis_model": "vit"}}}, ["analysis_model", "vit"]),
        ({"datasets": {"cellpack": {"rules": {"random": {"mode": "radial"}}}}}, ["rules.random", "decay"]),
        (
            {"datasets": {"cellpack": {"rules": {"random": {"mode": "spiral"}}}}},
            ["rules.random.mode", "'spiral'"],
        ),
        ({"sample": {"split": {"train": 0.9}}}, ["sample.split", "sum to 1"]),
        ({"max_failed_fraction": 2}, ["max_failed_fraction", "maximum"]),
        ({"max_cells": 0}, ["max_cells"]),
        ({"download": {"conections": 3}}, ["'conections' at download", "'connections'"]),
        (
            {"datasets": {"pcna": {"source": {"location": "ftp://a"}}}},
            ["pcna.yaml", "source.location", "s3://"],
        ),
        ({"datasets": {"pcna": {"source": {"cells": ""}}}}, ["pcna.yaml", "location needs", "source.cells"]),
        ({"datasets": {"pcna": {"source": {"fovs": "a.csv"}}}}, ["pcna.yaml", "location goes with cells"]),
        ({"scale": "huge"}, ["scale", "huge"]),
        ({"datasets": {"pcna": {"align": {"margin_voxel": 2}}}}, ["margin_voxel = 2", "dilation_voxel = 4"]),
        ({"datasets": {"hipsc_nuclei": {"mask": {"role": "cell_mask"}}}}, ["mask.role", "channels"]),
        (
            {"datasets": {"pcna": {"mask": {"clip": "structure"}}}},
            ["pcna.yaml: missing at mask: struct"],
        ),
        ({"datasets": {"pcna": {"mask": {"tolerance_um": 1}}}}, ["unknown key 'tolerance_um' at mask"]),
        ({"datasets": {"pcna": {"subsample": {"n_points": 30000}}}}, ["subsample.n_points = 30000"]),
        ({"datasets": {"pcna": {"mask": {"clip": "all"}}}}, ["mask.clip", "none", "quantile", "structure"]),
        ({"datasets": {"pcna": {"mask": {"dilation_voxel": -1}}}}, ["mask.dilation_voxel: -1", "0"]),
        ({"datasets": {"pcna": {"box": {"policy": "keep"}}}}, ["box.policy: 'keep'", "crop", "drop"]),
        ({"datasets": {"npm1": {"mask": {"fill_holes": "3d"}}}}, ["mask.fill_holes", "volume", "slice2d"]),
        ({"datasets": {"npm1": {"scale_factor": {"mode": "all"}}}}, ["scale_factor.mode", "per_cell"]),
        ({"datasets": {"npm1": {"sample": {"mode": "new"}}}}, ["sample.mode: 'new'", "reference"]),
        ({"datasets": {"pcna": {"sample": {"mode": "old"}}}}, ["sample.mode: 'old'", "corrected"]),
        ({"datasets": {"pcna": {"sample": {"variant": "dna"}}}}, ["pcna.yaml", "sample.variant", "nuclear"]),
        (
            {"datasets": {"pcna": {"models": NORMED, "benchmark": NORMED, "analysis_model": NORMED[0]}}},
            ["normalises by structure", "structure_norms"],
        ),
        ({"datasets": {"npm1_64_res": {"cells_from": ["npm2"]}}}, ["unknown dataset 'npm2'"]),
        ({"datasets": {"npm1_64_res": {"cells_from": ["pcna"]}}}, ["pcna must be of kind polymorphic"]),
        ({"datasets": {"npm1_64_res": {"cells_from": []}}}, ["there is no cell"]),
        ({"datasets": {"npm1_64_res": {"sample": {"mode": "reference"}}}}, ["mask must be as in npm1"]),
        ({"datasets": {"npm1_64_res": {"voxel_um": 0.2}}}, ["voxel_um must be as in npm1"]),
        (
            {"datasets": {"npm1": {"scale_factor": {"mode": "file"}}}},
            ["missing at scale_factor: file"],
        ),
        ({"datasets": {"npm1": {"subsample": {"n_queries": 99999}}}}, ["subsample.n_queries = 99999"]),
        ({"models": {"classical_image": {"training": {"rotation": "so3"}}}}, ["classical_image", "lattice"]),
        (
            {"models": {"classical_pointcloud": {"training": {"rotation": "lattice"}}}},
            ["training.rotation", "'z', 'so3'"],
        ),
        ({"models": {"classical_pointcloud": {"training": {"loss": "l1"}}}}, ["loss l1"]),
        ({"models": {"classical_pointcloud": {"intensity": {"input_scale": 1}}}}, ["architecture.intensity"]),
        ({"score": {"combined": {"both": ["npm1", "npm2"]}}}, ["combined.both", "unknown dataset 'npm2'"]),
        ({"baselines": {"classical_image": HISTOGRAM}}, ["classical_image has the name of a model"]),
        ({"baselines": {"mine": {**HISTOGRAM, "features": "magic"}}}, ["baselines.mine"]),
        (
            {"baselines": {"mine": {**HISTOGRAM, "datasets": ["nowhere"]}}},
            ["baselines.mine.datasets", "nowhere"],
        ),
        ({"baselines": {"mine": {**HISTOGRAM, "features": "harmonic_shells"}}}, ["baselines.mine"]),
        ({"baselines": {"mine": {**HISTOGRAM, "features": "known"}}}, ["baselines.mine"]),
        ({"datasets": {"cellpack": {"outlier": {"column": "flag"}}}}, ["cellpack.yaml", "outlier"]),
        ({"datasets": {"adrenal": {"folds": 5}}}, ["adrenal.yaml", "folds does not go with split"]),
        ({"datasets": {"npm1": {"folds": 5}}}, ["npm1.yaml", "folds does not go with pieces"]),
        ({"datasets": {"red_blood_cells": {"folds": 1}}}, ["red_blood_cells", "folds"]),
        (
            {"datasets": {"adrenal": {"max_epochs": {"classical_pointcloud": 3}}}},
            ["adrenal.yaml: max_epochs names classical_pointcloud, which `models` does not list"],
        ),
        (families({"a": ["BIX 1uM", "x"], "b": ["y", "BIX 1uM"]}), ["npm1_perturb.yaml", "in two families"]),
        (families({"a": ["BIX 1uM", "DMSO (control)"]}), ["'DMSO (control)' is the control"]),
        (families({"a": ["BIX 1uM"]}), ["analyse.drugs.families.a"]),
        (derived("(a"), ["npm1.yaml", "source.derive.plate.pattern '(a'", "no regular expression"]),
        (derived("a"), ["has 0 groups", "in parentheses"]),
        (derived("(a)(b)"), ["has 2 groups"]),
        ({"datasets": {"npm1": {"source": {"derive": {"plate": {"from": "a"}}}}}}, ["derive", "pattern"]),
    ],
)
def test_a_mistake_is_named_with_its_place(paper, change, words):
    with pytest.raises(InputError) as caught:
        config.resolve(schema.merge(paper, change), ROOT)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targets": {"figures": None}}, ["config/config.yaml: `targets` is now `outputs`; rename it."]),
        (
            {"models": {"classical_pointcloud": {"intensity": {"scale": 1}}}},
            ["is now `intensity.input_scale`"],
        ),
        ({"datasets": {"pcna": {"draw": {}}}}, ["pcna.yaml: `draw` is now `subsample`"]),
        ({"datasets": {"npm1": {"scale": {}}}}, ["npm1.yaml: `scale` is now `scale_factor`; rename it."]),
        (
            {"datasets": {"pcna": {"source": {"stages": {}}, "published": {"stages": {}, "settings": {}}}}},
            ["`source.stages` is now `source.keep`", "`published.keep`", "`published.overrides`"],
        ),
    ],
)
def test_a_key_of_an_earlier_version_is_named_with_the_present_one(paper, change, words):
    with pytest.raises(InputError) as caught:
        config.resolve(schema.merge(paper, change), ROOT)
    for word in words:
        assert word in str(caught.value)


# Entries


def entered(paper, change):
    return config.resolve(schema.merge(paper, change), ROOT)["datasets"]


PUBLISHED = ["cellpack", "npm1", "npm1_64_res", "npm1_perturb", "other_polymorphic", "other_punctate", "pcna"]


@pytest.mark.parametrize("entry", ["preprocessed", "checkpoints", "embeddings"])
def test_every_published_dataset_can_be_entered_where_its_files_are(paper, entry):
    datasets = entered(paper, {"start_from": entry})
    # Of the cells on grids of 64 voxels no embeddings are listed: they start from what comes before.
    other = {("npm1_64_res", "embeddings"): "checkpoints"}
    assert {name: datasets[name]["start_from"] for name in PUBLISHED} == {
        name: other.get((name, entry), entry) for name in PUBLISHED
    }
    assert {datasets[name]["start_from"] for name in set(datasets) - set(PUBLISHED)} == {"raw"}


def test_one_dataset_can_be_entered_elsewhere(paper):
    datasets = entered(paper, {"datasets": {"pcna": {"start_from": "checkpoints"}}})
    assert {name for name in datasets if datasets[name]["start_from"] != "raw"} == {"pcna"}
    back = {"start_from": "embeddings", "datasets": {"pcna": {"start_from": "raw"}}}
    assert entered(paper, back)["pcna"]["start_from"] == "raw"


@pytest.mark.parametrize(
    ("dataset", "splits"), [("cellpack", 1524), ("pcna", 2420), ("npm1", 11814), ("other_punctate", 71673)]
)
def test_expected_cells_of_the_splits_add_up(paper, dataset, splits):
    described = entered(paper, {"datasets": {dataset: {"start_from": "preprocessed"}}})[dataset]
    assert sum(described["published"]["n_cells"].values()) == splits == described["n_cells"]


def test_published_files_change_settings_where_they_are_used_alone(paper):
    cube = {"size": 118, "side_um": 25.488}
    raw = entered(paper, {})
    assert raw["pcna"]["sample"]["cube"]["size"] == 129
    cells, weights = (entered(paper, {"start_from": entry}) for entry in ("preprocessed", "checkpoints"))
    assert cells["pcna"]["sample"]["cube"].items() >= cube.items()
    assert (cells["pcna"]["subsample"]["weight"], weights["pcna"]["subsample"]["weight"]) == (
        "uniform",
        "intensity",
    )
    assert (cells["npm1"]["sample"]["mode"], weights["npm1"]["sample"]["mode"]) == ("corrected", "reference")
    assert cells["cellpack"]["source"]["shape_axes"] == "depth_first"


def test_published_cubes_are_read_as_they_are_unless_they_hold_counts(paper):
    def settings(**change):
        resolved = config.resolve(schema.merge(paper, {"datasets": {"pcna": change}}), ROOT)
        return config.model_for(resolved, "pcna", "classical_image")

    assert settings(start_from="preprocessed")["z_score"] is False
    assert settings(start_from="preprocessed")["input_scale"] == 1.0
    counts = settings(start_from="preprocessed", published={"image_units": "counts"})
    assert "z_score" not in counts
    assert counts["input_scale"] == settings()["input_scale"] == 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start_from": "row"}, ["start_from", "'row'"]),
        (
            {"datasets": {"adrenal": {"start_from": "checkpoints"}}},
            ["adrenal.yaml", "start_from is checkpoints", "published is not given"],
        ),
        (
            {"datasets": {"pcna": {"start_from": "embeddings", "published": {"embeddings": None}}}},
            ["pcna.yaml", "published.embeddings is not given", "start from raw"],
        ),
        (
            {
                "datasets": {
                    "pcna": {
                        "start_from": "checkpoints",
                        "published": {"checkpoints": {"classical_image": None}},
                    }
                }
            },
            ["published.checkpoints.classical_image is not given", "take the model out"],
        ),
        (
            {"datasets": {"pcna": {"published": {"checkpoints": {"vit": "vit.ckpt"}}}}},
            ["pcna.yaml: published.checkpoints: unknown model 'vit'"],
        ),
        (
            {"datasets": {"pcna": {"published": {"preprocesed": "a.csv"}}}},
            ["unknown key 'preprocesed' at published", "'preprocessed'"],
        ),
        (
            {
                "start_from": "preprocessed",
                "datasets": {"pcna": {"published": {"overrides": {"preprocessed": {"smple": {}}}}}},
            },
            ["pcna.yaml with published.overrides", "unknown key 'smple'"],
        ),
        (
            {"datasets": {"cellpack": {"sample": {"mode": "reference"}}}},
            ["cellpack.yaml", "published weights"],
        ),
        (
            {"start_from": "checkpoints", "train": {"seeds": [1, 2]}},
            ["train.seeds lists 2 seeds", "trained once"],
        ),
    ],
)
def test_a_wrong_entry_is_named_with_its_place(paper, change, words):
    with pytest.raises(InputError) as caught:
        config.resolve(schema.merge(paper, change), ROOT)
    for word in words:
        assert word in str(caught.value)


def test_broken_yaml_names_the_file_and_line(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1, 2\nb: 3\n")
    with pytest.raises(InputError, match=r"broken\.yaml is not valid YAML.*line 2"):
        schema.read_yaml(path)


def test_missing_file_names_the_remedy(tmp_path):
    with pytest.raises(InputError, match="git checkout"):
        schema.read_yaml(tmp_path / "gone.yaml")


def test_merge_keeps_what_the_overlay_does_not_name_and_changes_no_argument():
    base, overlay = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}}
    assert schema.merge(base, overlay) == {"a": {"b": 1, "c": [2]}, "d": 2}
    assert base == {"a": {"b": 1, "c": [1]}, "d": 2}


def test_cube_models_take_their_size_from_the_dataset(demo):
    resolved = config.resolve(demo, ROOT)
    assert config.model_for(resolved, "cellpack", "classical_image")["architecture"]["size"] == 17
    assert config.model_for(resolved, "pcna", "classical_image")["architecture"]["size"] == 17
    assert "size" not in config.model_for(resolved, "cellpack", "classical_pointcloud")["architecture"]


def test_models_of_grids_are_never_smaller_than_the_grids(paper):
    resolved = config.resolve(paper, ROOT)
    sizes = {
        name: config.model_for(resolved, name, "classical_image_sdf")["architecture"]["size"]
        for name in ("npm1", "npm1_64_res")
    }
    assert sizes == {"npm1": 33, "npm1_64_res": 65}
    assert resolved["models"]["classical_image_sdf"]["architecture"]["size"] == 33


def test_models_get_draws_and_ranges_of_the_dataset(paper):
    resolved = config.resolve(paper, ROOT)
    found = config.model_for(resolved, "other_punctate", "rotation_invariant_pointcloud_structurenorm")
    assert found["subsample"] == {"n_points": 2048, "weight": "uniform"}
    assert found["intensity"] == {
        "input_scale": 10.0,
        "structure_norms": resolved["datasets"]["other_punctate"]["structure_norms"],
    }
    assert "subsample" not in config.model_for(resolved, "cellpack", "classical_pointcloud")
    assert "subsample" not in config.model_for(resolved, "pcna", "classical_image")


def test_published_factors_of_intensities_are_for_published_cells(paper):
    def scale(**changed):
        overlay = schema.merge(paper, {"datasets": {"pcna": changed}})
        resolved = config.resolve(overlay, ROOT)
        found = config.model_for(resolved, "pcna", "rotation_invariant_pointcloud_intensity")["intensity"]
        assert ("quantile" in found) == (found["input_scale"] is None)
        return found["input_scale"]

    assert scale() is None
    assert scale(sample={"mode": "reference"}) == 0.01
    assert {scale(start_from=entry) for entry in ("preprocessed", "checkpoints")} == {0.01}


def test_a_slice_is_taken_of_every_dataset_but_where_one_names_its_own(demo):
    whole = config.resolve(demo, ROOT)["datasets"]
    assert whole["cellpack"]["source"]["max_cells"] is None
    some = config.resolve(demo | {"max_cells": 100}, ROOT)["datasets"]
    assert some["pcna"]["source"]["max_cells"] == some["cellpack"]["source"]["max_cells"] == 100
    assert some["adrenal"]["source"]["max_cells"] == whole["adrenal"]["source"]["max_cells"] == 120


def test_one_key_chooses_the_published_preprocessing(paper):
    change = {"datasets": {"pcna": {"sample": {"mode": "reference"}}}}
    published = config.resolve(schema.merge(paper, change), ROOT)["datasets"]["pcna"]
    assert published["box"] == {"quantile": 0.95, "policy": "crop"}
    assert published["mask"]["reference"] is True
    assert published["align"]["interpolation"] == "nearest"
    assert "reference" not in config.resolve(paper, ROOT)["datasets"]["pcna"]["mask"]


def test_every_key_that_the_published_preprocessing_sets_is_in_the_schema(paper, monkeypatch):
    change = {"datasets": {"adrenal": {"sample": {"mode": "reference"}}}}
    reference = config.resolve(schema.merge(paper, change), ROOT)["datasets"]["adrenal"]
    assert reference["mask"]["fill_holes"] == "slice2d"
    assert reference["scale_factor"] == {"mode": "per_cell", "margin_voxel": 2, "reference": True}
    monkeypatch.setitem(config.REFERENCE, "polymorphic", {"mask": {"fill_hols": "slice2d"}})
    with pytest.raises(InputError, match=r"adrenal.yaml with sample\.mode.*unknown key 'fill_hols'"):
        config.resolve(schema.merge(paper, change), ROOT)


def test_scale_asked_for_beats_results_at_hand_beats_paper(tmp_path):
    marker = tmp_path / ".scale"
    assert config.scale_of({}, marker) == "paper"
    marker.write_text("demo\n")
    assert config.scale_of({}, marker) == "demo"
    assert config.scale_of({"scale": "paper"}, marker) == "paper"
    with pytest.raises(InputError, match="demo, workstation, paper"):
        config.scale_of({"scale": "big"}, marker)


def test_every_model_has_its_own_colour(paper):
    models = config.resolve(paper, ROOT)["models"]
    colors = [model["color"].lower() for model in models.values()]
    assert len(set(colors)) == len(colors)


@pytest.mark.parametrize(
    ("overlay", "change", "file"),
    [
        ({"train": {"precision": 7}}, {}, "config/demo.yaml: train.precision"),
        (
            {},
            {"train": {"precision": 7}},
            "config/config.yaml, as changed by --config or --configfile",
        ),
        ({"models": {"classical_image": {"input_scale": "x"}}}, {}, "config/demo.yaml: input_scale"),
        ({"sample": {"split": {"test": 0.5}}}, {}, "config/demo.yaml: sample.split must sum to 1"),
        ({"extra": 1}, {}, "config/demo.yaml: unknown key 'extra'"),
    ],
)
def test_a_message_names_the_file_where_the_value_in_force_stands(tmp_path, overlay, change, file):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config/demo.yaml").write_text(yaml.safe_dump(overlay))
    merged = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for part in (overlay, change):
        merged = schema.merge(merged, part)
    with pytest.raises(InputError) as error:
        config.resolve(merged, tmp_path)
    assert file in str(error.value)


@pytest.mark.parametrize(("key", "value"), [("max_epochs", 7), ("lr", 0.5)])
def test_a_data_set_may_have_its_own_values_of_trainings(paper, key, value):
    change = {"datasets": {"adrenal": {key: {"classical_image_sdf": value}}}}
    resolved = config.resolve(schema.merge(paper, change), ROOT)

    def found(dataset, model):
        return config.model_for(resolved, dataset, model)["training"][key]

    assert found("adrenal", "classical_image_sdf") == value
    own = resolved["models"]["classical_image_sdf"]["training"][key]
    assert found("npm1", "classical_image_sdf") == own
    assert found("adrenal", "classical_image_seg") == own
