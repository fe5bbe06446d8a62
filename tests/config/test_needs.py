"""What data sets need of their sources, and the published facts that their configuration holds."""

import pytest
import yaml
from paths import ROOT

from morphobench import config
from morphobench.config.needs import source_needs, used_channels

PUBLISHED = ["cellpack", "pcna", "other_punctate", "npm1", "npm1_64_res", "other_polymorphic", "npm1_perturb"]


@pytest.fixture(scope="module")
def datasets():
    return config.resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)["datasets"]


def test_each_key_that_names_a_column_needs_it():
    described = {
        "stratum": "a",
        "labels": ["a", "b"],
        "targets": ["c"],
        "outlier": {"column": "d"},
        "split": "e",
        "analyse": {
            "keep": {"f": [1]},
            "volume_bins": {"column": "g"},
            "pieces": {"label": "h", "features": ["i"]},
            "drugs": {"condition": "j", "control": "x", "apart": None, "well": "k", "plate": "l"},
        },
    }
    needs = source_needs(described)["needs"]
    assert sorted(needs) == list("abcdefghijkl")
    assert needs["a"] == "stratum"
    assert needs["g"] == "analyse.volume_bins.column"


def test_every_role_of_a_mask_is_used(datasets):
    assert used_channels(datasets["other_punctate"]) == [
        "dna_segmentation",
        "membrane_segmentation",
        "structure",
    ]
    assert used_channels(datasets["npm1"]) == ["membrane_segmentation", "struct_segmentation_roof"]
    assert used_channels(datasets["cellpack"]) == []


def test_needs_are_part_of_each_resolved_data_set(datasets):
    for dataset in datasets.values():
        assert dataset["needs"][dataset["stratum"]] == "stratum"


@pytest.mark.parametrize("name", ["npm1", "other_polymorphic", "other_punctate"])
def test_raw_hipsc_sets_are_of_cells_that_are_no_outliers(name, datasets):
    assert datasets[name]["source"]["keep"] == {"outlier": ["No"]}
    assert "spacing_um_zyx" not in datasets[name]["source"]


def test_drugs_have_voxels_and_names_that_their_files_lack(datasets):
    source = datasets["npm1_perturb"]["source"]
    assert source["spacing_um_zyx"] == [0.29, 0.108, 0.108]
    assert source["channel_names"] == {"crop_seg": used_channels(datasets["npm1_perturb"])}


def test_all_published_checkpoints_are_listed(datasets):
    n_listed = [len(datasets[name]["published"]["checkpoints"]) for name in PUBLISHED]
    assert sum(n_listed) == 34 + 1
    likely = datasets["other_punctate"]["published"]["checkpoints"]
    assert "model_checkpoints/other_punctate/Rotation_invariant_pointcloud.ckpt" in likely.values()


def test_volumes_of_nuclei_are_in_micrometres(datasets):
    for name in ("npm1", "npm1_64_res"):
        assert datasets[name]["analyse"]["volume_bins"]["column"] == "nucleus_volume_um3"
