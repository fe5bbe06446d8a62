"""Data sets that take trained weights, or are frozen: what they inherit, and what they are refused for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from paths import ROOT

from morphobench import config
from morphobench.config import figures, reuse
from morphobench.errors import InputError
from morphobench.files import frozen, weights, write_json

MODEL = "classical_image_sdf"
MODELS = {"models": [MODEL], "benchmark": [MODEL], "analysis_model": MODEL}
# A data set that says neither how its cells are preprocessed nor what they are.
MINE = {"title": "Mine", "start_from": "raw", "labels": []}


@pytest.fixture(scope="module")
def known():
    return config.resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)


@pytest.fixture
def root(known, tmp_path, monkeypatch):
    """Work in a folder with weights of adrenal glands."""
    monkeypatch.chdir(tmp_path)
    write_weights(known["datasets"]["adrenal"], Path("weights"))
    return tmp_path


def write_weights(adrenal, folder):
    """Write a file of weights with its record, and the manifest of a frozen data set."""
    path = folder / MODEL / "seed-42/model.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    record = {"format": weights.FORMAT, "sha256": weights.sha256(path), "dataset": "adrenal"}
    record |= {"model_config": {}, "measured": {}, "groups": {}, "sections": weights.sections(adrenal)}
    write_json(record | {"preprocessing": weights.preprocessing(adrenal, "sdf")}, weights.record_of(path))
    (folder / frozen.MANIFEST).touch()


def complete(known, mine):
    """Return the data sets with `mine`, which takes weights, once it is checked."""
    datasets = reuse.inherit(known["datasets"] | {"mine": mine}, "raw", 42)
    reuse.check("mine", datasets, known["models"], [42])
    return datasets


def test_what_is_left_out_is_that_of_the_data_set_that_trains(known):
    datasets = complete(known, MINE | {"weights_from": "adrenal"})
    mine, adrenal = datasets["mine"], datasets["adrenal"]
    for key in (*weights.SECTIONS, "models", "benchmark", "analysis_model"):
        assert mine.get(key) == adrenal.get(key), key
    assert mine["title"] == "Mine"
    assert mine["labels"] == []


def test_what_is_left_out_is_that_of_the_records_of_a_folder(known, root):
    datasets = complete(known, MINE | MODELS | {"weights_from": str(root / "weights")})
    assert weights.sections(datasets["mine"]) == weights.sections(datasets["adrenal"])
    assert datasets["mine"]["models"] == [MODEL]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights_from": "nothing"}, "no data set of that name, and no such folder"),
        ({"weights_from": "weights", "models": []}, "Name theirs under `models`"),
        ({"weights_from": "adrenal", "voxel_um": 0.5}, "voxel_um is 0.5, theirs 1.0. Take these keys out"),
        ({"weights_from": "weights", "voxel_um": 0.5}, "voxel_um is 0.5, theirs 1.0. Take these keys out"),
        ({"weights_from": "adrenal", "folds": 2}, "weights_from does not go with folds"),
        (
            {"weights_from": "adrenal", "models": ["classical_pointcloud"]},
            "it has no model classical_pointcloud",
        ),
        (
            {"weights_from": "weights", "models": [MODEL, "classical_image_seg"]},
            "classical_image_seg/seed-42/model.pt: no such file",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(known, root, changes, reason):
    with pytest.raises(InputError, match=reason) as raised:
        complete(known, MINE | MODELS | changes)
    assert "config/datasets/mine.yaml" in str(raised.value)


def test_meshes_take_the_weights_of_segmented_shapes(known, root):
    mine = MINE | MODELS | {"weights_from": "weights", "source": {"meshes": "mine.csv", "mesh": {}}}
    found = complete(known, mine | {"voxel_um": 0.3})["mine"]
    adrenal = known["datasets"]["adrenal"]
    assert found["mask"] == {"min_voxels": adrenal["mask"]["min_voxels"]}
    assert (found["voxel_um"], found["scale_factor"]) == (0.3, adrenal["scale_factor"])
    with pytest.raises(InputError, match='scale_factor.mode is "global", theirs "per_cell"'):
        complete(known, mine | {"scale_factor": {**adrenal["scale_factor"], "mode": "global"}})


@pytest.fixture
def frozen_mine(known, root):
    """Freeze adrenal glands as `mine`."""
    write_weights(known["datasets"]["adrenal"], frozen.folder("mine"))


@pytest.mark.usefixtures("frozen_mine")
def test_a_frozen_data_set_takes_what_was_frozen(known):
    datasets = complete(known, MINE | MODELS | {"freeze": True})
    assert datasets["mine"]["weights_from"] == str(frozen.folder("mine"))
    note = figures.weights_note(known | {"datasets": datasets}, "mine")
    assert note == "Models were trained before cells were added."


def test_where_nothing_is_frozen_the_command_is_named(root):
    paper = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    with pytest.raises(InputError, match="run `make freeze DATASET=adrenal`, set it again, then add cells"):
        config.resolve(paper | {"datasets": {"adrenal": {"freeze": True}}}, ROOT)


@pytest.mark.usefixtures("frozen_mine")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights_from": "adrenal"}, "freeze does not go with weights_from"),
        ({"folds": 2}, "freeze does not go with folds"),
        ({"voxel_um": 0.5}, "freeze results/frozen/mine: .* voxel_um is 0.5, theirs 1.0"),
    ],
)
def test_a_frozen_data_set_that_changed_is_refused_by_name(known, changes, reason):
    with pytest.raises(InputError, match=reason):
        complete(known, MINE | MODELS | {"freeze": True} | changes)
