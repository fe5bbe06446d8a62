"""Configuration: what is shipped is valid, and every mistake is named with its remedy."""

from pathlib import Path

import pytest
import yaml

from morphobench import config
from morphobench.errors import InputError

ROOT = Path(__file__).parents[1]
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
    return config.merge(paper, yaml.safe_load((ROOT / "config/demo.yaml").read_text()))


@pytest.mark.parametrize("scale", ["paper", "demo"])
def test_shipped_configuration_is_valid(scale, request):
    resolved = config.resolve(request.getfixturevalue(scale), ROOT)
    assert {"cellpack", "pcna"} <= set(resolved["datasets"])
    assert len(resolved["datasets"]["cellpack"]["models"]) == 5


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
        ({"sample": {"split": {"train": 0.9}}}, ["sample.split", "sum to 1"]),
        ({"max_failed_fraction": 2}, ["max_failed_fraction", "maximum"]),
        ({"scale": "huge"}, ["scale", "huge"]),
        ({"datasets": {"pcna": {"align": {"margin_voxel": 2}}}}, ["margin_voxel = 2", "dilation_voxel = 4"]),
        ({"datasets": {"hipsc_nuclei": {"mask": {"role": "cell_mask"}}}}, ["mask.role", "channels"]),
        ({"datasets": {"pcna": {"mask": {"clip": "structure"}}}}, ["structure_clips is empty"]),
        ({"datasets": {"pcna": {"mask": {"tolerance_um": 1}}}}, ["unknown key 'tolerance_um' at mask"]),
        ({"datasets": {"pcna": {"draw": {"n_points": 30000}}}}, ["draw.n_points = 30000"]),
        ({"datasets": {"pcna": {"sample": {"variant": "nucleus"}}}}, ["pcna.yaml", "sample.variant"]),
        (
            {"datasets": {"pcna": {"models": NORMED, "benchmark": NORMED, "analysis_model": NORMED[0]}}},
            ["normalises by structure", "structure_norms"],
        ),
        ({"datasets": {"npm1_64_res": {"cells_from": ["npm2"]}}}, ["unknown dataset 'npm2'"]),
        ({"datasets": {"npm1_64_res": {"cells_from": ["pcna"]}}}, ["pcna must be of kind polymorphic"]),
        ({"datasets": {"npm1_64_res": {"cells_from": []}}}, ["there is no cell"]),
        ({"datasets": {"npm1_64_res": {"sample": {"mode": "reference"}}}}, ["mask must be as in npm1"]),
        ({"datasets": {"npm1_64_res": {"voxel_um": 0.2}}}, ["voxel_um must be as in npm1"]),
        ({"datasets": {"npm1": {"scale": {"mode": "file"}}}}, ["scale.file names none"]),
        ({"datasets": {"npm1": {"draw": {"n_queries": 99999}}}}, ["draw.n_queries = 99999"]),
        ({"models": {"classical_image": {"training": {"rotation": "so3"}}}}, ["classical_image", "lattice"]),
        ({"models": {"classical_pointcloud": {"training": {"rotation": "lattice"}}}}, ["z or so3"]),
        ({"models": {"classical_pointcloud": {"training": {"loss": "l1"}}}}, ["loss l1"]),
        ({"models": {"classical_pointcloud": {"intensity": {"scale": 1}}}}, ["architecture.intensity"]),
        ({"score": {"combined": {"both": ["npm1", "npm2"]}}}, ["combined.both", "unknown dataset 'npm2'"]),
        ({"baselines": {"classical_image": HISTOGRAM}}, ["classical_image has the name of a model"]),
        ({"baselines": {"mine": {**HISTOGRAM, "features": "magic"}}}, ["baselines.mine"]),
        ({"datasets": {"cellpack": {"outlier": {"column": "flag"}}}}, ["cellpack.yaml", "outlier"]),
    ],
)
def test_a_mistake_is_named_with_its_place(paper, change, words):
    with pytest.raises(InputError) as caught:
        config.resolve(config.merge(paper, change), ROOT)
    for word in words:
        assert word in str(caught.value)


def test_broken_yaml_names_the_file_and_line(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1, 2\nb: 3\n")
    with pytest.raises(InputError, match=r"broken\.yaml is not valid YAML.*line 2"):
        config.read_yaml(path)


def test_missing_file_names_the_remedy(tmp_path):
    with pytest.raises(InputError, match="git checkout"):
        config.read_yaml(tmp_path / "gone.yaml")


def test_merge_keeps_what_the_overlay_does_not_name_and_changes_no_argument():
    base, overlay = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}}
    assert config.merge(base, overlay) == {"a": {"b": 1, "c": [2]}, "d": 2}
    assert base == {"a": {"b": 1, "c": [1]}, "d": 2}


def test_cube_models_take_their_size_from_the_dataset(demo):
    resolved = config.resolve(demo, ROOT)
    assert config.model_for(resolved, "cellpack", "classical_image")["architecture"]["size"] == 25
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
    assert found["draw"] == {"n_points": 2048, "weight": "uniform"}
    assert found["intensity"] == {
        "scale": 10.0,
        "structure_norms": resolved["datasets"]["other_punctate"]["structure_norms"],
    }
    assert "draw" not in config.model_for(resolved, "cellpack", "classical_pointcloud")
    assert "draw" not in config.model_for(resolved, "pcna", "classical_image")


def test_one_key_chooses_the_published_preprocessing(paper):
    change = {"datasets": {"pcna": {"sample": {"mode": "reference"}}}}
    published = config.resolve(config.merge(paper, change), ROOT)["datasets"]["pcna"]
    assert published["box"] == {"quantile": 0.95, "policy": "crop"}
    assert published["mask"]["reference"] is True
    assert published["align"]["interpolation"] == "nearest"
    assert "reference" not in config.resolve(paper, ROOT)["datasets"]["pcna"]["mask"]


def test_scale_asked_for_beats_results_at_hand_beats_paper(tmp_path):
    marker = tmp_path / ".scale"
    assert config.scale_of({}, marker) == "paper"
    marker.write_text("demo\n")
    assert config.scale_of({}, marker) == "demo"
    assert config.scale_of({"scale": "paper"}, marker) == "paper"
    with pytest.raises(InputError, match="demo or paper"):
        config.scale_of({"scale": "big"}, marker)


def test_every_model_has_its_own_colour(paper):
    models = config.resolve(paper, ROOT)["models"]
    colors = [model["color"].lower() for model in models.values()]
    assert len(set(colors)) == len(colors)
