"""Configuration: what is shipped is valid, and every mistake is named with its remedy."""

from pathlib import Path

import pytest
import yaml

from morphobench import config
from morphobench.errors import InputError

ROOT = Path(__file__).parents[1]


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
    assert config.model_for(resolved, "pcna", "classical_image")["architecture"]["size"] == 129
    assert "size" not in config.model_for(resolved, "cellpack", "classical_pointcloud")["architecture"]


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
