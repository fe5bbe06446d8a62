"""Every published data set with its configuration as it is, from places that look as the published ones do.

Crops at true voxel size, a package with files that lie elsewhere in the bucket, and the preprocessed folder
are served by an S3 server on loopback. Of the configuration only `max_cells` and `n_shards` are set.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from fabricate import morphology_folder
from fabricate.buckets import DRUGS, HIPSC, PCNA, TRUE_UM, write_true_bucket
from harness import quilt
from harness.s3_server import SETTINGS, FaultyProxy, open_away, s3_server
from harness.stages import folder, run_entry, run_stages
from paths import ROOT

from morphobench import config, files
from morphobench.config import schema
from morphobench.errors import InputError
from morphobench.files.image_library import library
from morphobench.jobs import check_data

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("quilt3") is None, reason="quilt3 is not installed"),
]
CLASSES = {
    PCNA: ["G1", "midS", "bad_foci", "M1M2", "unclear"],
    HIPSC: [
        *("HIST1H2BJ", "NUP153", "SMC1A", "SON", "CETN2", "RAB5A", "SLC25A17"),
        *("NPM1_2", "NPM1_abnormal", "FBL", "LAMP1", "ST6GAL1"),
    ],
    DRUGS: ["DMSO", "actinomycin"],
}
# What is set, and how many cells that gives: of a shape all packings; NPM1 has one cell that is not abnormal.
CELLS = {"cellpack": 2, "pcna": 2, "other_punctate": 3, "npm1": 4, "other_polymorphic": 2, "npm1_perturb": 2}
FOUND = {**CELLS, "cellpack": 6, "npm1": 1, "npm1_64_res": 1, "other_polymorphic": 3}
# Where paths started when the table of the drugs was uploaded.
ABSOLUTE = f"/allen/aics/modeling/somebody/{DRUGS}/"
# Where this bucket is unlike the one that the demo reads: both are possible.
UNLIKE = {
    PCNA: {
        "crops": {
            "crop_raw": {
                "folder": "crop_raw",
                "ending": "_raw.ome.tif",
                "hex_digits": 64,
                "channels": ["noise", "dna", "structure", "membrane", "noise"],
            },
            "crop_seg": {
                "folder": "crop_seg",
                "ending": "_segmentation.ome.tif",
                "hex_digits": 64,
                "channels": ["nucleus_mask", "cell_mask"],
            },
        },
        "name_dict": {
            "crop_raw": ["bright_field", "dna", "PCNA", "membrane", "other"],
            "crop_seg": ["dna_segmentation", "membrane_segmentation"],
        },
    },
    DRUGS: {"path_prefix": ABSOLUTE},
}
ENTRIES = ("preprocessed", "checkpoints", "embeddings")
# Clouds of packings fold points that no checkpoint contains, and that have to be given.
NEED_GRID = {"classical_pointcloud", "rotation_invariant_pointcloud", "rotation_invariant_pointcloud_jitter"}


def configuration(start_from: str = "raw") -> dict:
    """The resolved configuration at paper scale, with few cells in one shard."""
    paper = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    few = {name: {"n_shards": 1, "source": {"max_cells": n}} for name, n in CELLS.items()}
    few["npm1_64_res"] = {"source": {"max_cells": 1}}
    download = paper["download"] | SETTINGS | {"timeout_s": 20}
    return config.resolve(
        schema.merge(paper, {"start_from": start_from, "datasets": few, "download": download}), ROOT
    )


class Places(NamedTuple):
    """The folders that the places were made from, and the proxy that notes what is asked of them."""

    root: Path
    proxy: FaultyProxy


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Iterator[Places]:
    root = tmp_path_factory.mktemp("places")
    for name, labels in CLASSES.items():
        write_true_bucket(root, name, labels, **UNLIKE.get(name, {}))
    published = morphology_folder.write(root / "morphology", configuration())
    with s3_server(max_keys=1000) as port, open_away(port) as away, pytest.MonkeyPatch.context() as patch:
        quilt.push_elsewhere(away, root / PCNA, f"aics/{PCNA}", "aics/data_handoff_4dn/pcna", root / "home")
        for name in (HIPSC, DRUGS):
            away.put_folder(root / name, f"aics/{name}")
        away.put_folder(published, "aics/morphology_appropriate_representation_learning")
        # Shapes of packings lie in the clone.
        patch.chdir(ROOT)
        yield Places(root, away.proxy)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def structure_um3(root: Path, name: str, cell: str) -> float:
    """The volume of the structure in the file of a cell."""
    table = pd.read_csv(next((root / name).glob("*.csv")), dtype={"CellId": str}).set_index("CellId")
    image = library().Image(root / name / table.loc[cell, "crop_seg"].removeprefix(ABSOLUTE))
    return (image.data[0, -1] > 0).sum() * np.prod(TRUE_UM[name])


# In an order in which cells that others share come first.
@pytest.mark.parametrize("name", list(FOUND))
def test_raw_cells_are_sampled(name, places, out):
    described = configuration()
    dataset, cells = described["datasets"][name], run_stages(described, name, out)
    assert cells["success"].all(), cells["error"].tolist()
    assert len(cells) == FOUND[name]
    assert cells[[dataset["stratum"], *dataset["labels"]]].notna().all().all()
    points_um = files.read_array(folder(out, "sample", name, 0), "points_um")
    assert np.isfinite(points_um).all()
    # Of small cells: a voxel taken for a micrometre would be ten times as large.
    assert 1 < np.abs(points_um).max() < 15
    for cell in cells.index if dataset["kind"] == "polymorphic" else ():
        bucket = DRUGS if name == "npm1_perturb" else HIPSC
        expected = structure_um3(places.root, bucket, cell)
        np.testing.assert_allclose(cells.loc[cell, "volume_um3"], expected, rtol=0.05)


def test_files_that_no_stage_reads_stay_away(places, out):
    run_stages(configuration(), "npm1_perturb", out / "again")
    asked = [one.path for one in places.proxy.gets(DRUGS)]
    assert any("/crop_seg/" in path for path in asked)
    assert not any("/crop_raw/" in path for path in asked)


def test_a_check_by_headers_agrees_with_the_runs(places, out):
    described = configuration()
    described["download"]["cache"] = str(out / "check")
    before = len(places.proxy.asked)
    for name in described["datasets"]:
        report = check_data.check(name, described, SETTINGS)
        text = report.text()
        assert report.stops == [], text
        if name in FOUND:
            assert "checkpoints: 5 of 5 there" in text or "checkpoints: 4 of 4 there" in text
    crops = [one for one in places.proxy.asked[before:] if "/crop_" in one.path and one.method == "GET"]
    assert crops
    assert all(one.range for one in crops)


@pytest.mark.parametrize("start_from", ENTRIES)
@pytest.mark.parametrize("name", [*FOUND])
def test_later_entries_are_read(name, start_from, places, out):
    described = configuration(start_from)
    dataset = described["datasets"][name]
    # Embeddings of one data set were not published.
    assert dataset["start_from"] == ("checkpoints" if name == "npm1_64_res" else start_from) or (
        start_from == "preprocessed"
    )
    cells, read = run_entry(described, name, out / start_from)
    assert cells["success"].all(), cells["error"].tolist()
    assert len(cells) == dataset["source"]["max_cells"]
    assert set(read) == (set(dataset["models"]) if start_from != "preprocessed" else set())
    failed = {model: str(error) for model, error in read.items() if isinstance(error, InputError)}
    needs_grid = name == "cellpack" and start_from == "checkpoints"
    assert set(failed) == (NEED_GRID if needs_grid else set()), failed
    assert all("grid_file" in error for error in failed.values())
    assert all(path.is_file() for model, path in read.items() if model not in failed)
