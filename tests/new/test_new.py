"""`make new`: what lies in a folder or table becomes a data set that runs as it is; bad input is named."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from fabricate import own_files
from harness.stages import run_stages
from paths import ROOT

from morphobench import config
from morphobench.errors import InputError
from morphobench.jobs import check_names
from morphobench.new import pairs, write
from morphobench.new.__main__ import main


@pytest.fixture
def root(tmp_path):
    """Return a folder with the configuration of a clone."""
    shutil.copytree(ROOT / "config", tmp_path / "clone/config")
    return tmp_path / "clone"


def made(root, place, name="mine", answers=()):
    """Return the message, the yaml after answers, and the resolved configuration of a new data set."""
    message = write.run(name, place, root)
    path = root / f"config/datasets/{name}.yaml"
    text = path.read_text()
    for question, answer in dict(answers).items():
        assert text.count(question) == 1
        text = text.replace(question, answer)
    path.write_text(text)
    settings = yaml.safe_load((root / "config/config.yaml").read_text())
    return message, text, config.resolve(settings, root)


def sampled(root, place, monkeypatch, answers=(), **small):
    """Return the manifest of a new data set, run from download to sample."""
    monkeypatch.chdir(root)
    message, _, resolved = made(root, place, answers=answers)
    dataset = resolved["datasets"]["mine"]
    check_names.check(dataset)
    dataset["sample"] |= small
    return message, dataset, run_stages(resolved, "mine", root / "results")


SMALL = {"resolution": 16, "n_surface": 64, "n_queries": 64, "n_points": 64}


def test_a_folder_of_meshes_in_two_classes(root, tmp_path, monkeypatch):
    own_files.write_meshes(tmp_path / "shapes", ending="off")
    message, dataset, table = sampled(root, tmp_path / "shapes", monkeypatch, **SMALL)
    assert "FILL" not in message
    assert "results/plot/cells/mine.png" in message
    assert dataset["stratum"] == "class"
    assert table["success"].all()
    assert table["class"].value_counts().to_dict() == {"round": 3, "square": 3}
    # The measures are those of the mesh, not of voxels.
    sides = [8.0, 9.0, 6.0]
    assert np.isclose(table.loc["square0", "volume_um3"], np.prod(sides), rtol=1e-5)
    assert np.allclose(
        table.loc["square0", ["extent_x_um", "extent_y_um", "extent_z_um"]].astype(float), sides
    )
    assert (table["n_pieces"] == 1).all()


@pytest.mark.parametrize(("unit_um", "answer"), [(1000.0, "1000"), (1e-4, None)])
def test_meshes_in_another_unit_are_asked_for_with_the_likely_one(root, tmp_path, unit_um, answer):
    own_files.write_meshes(tmp_path / "shapes", unit_um=unit_um, ending="stl")
    write.run("mine", tmp_path / "shapes", root)
    text = (root / "config/datasets/mine.yaml").read_text()
    (line,) = [line for line in text.splitlines() if "FILL" in line]
    assert line.strip().startswith("unit_um: FILL")
    assert f"likely {answer or '0.001'}," in line
    with pytest.raises(InputError, match=r"mine\.yaml: still FILL at source\.mesh\.unit_um"):
        config.resolve(yaml.safe_load((root / "config/config.yaml").read_text()), root)


def test_points_of_thunderstorm_have_as_many_points_in_every_cell(root, tmp_path, monkeypatch):
    own_files.write_thunderstorm(tmp_path / "points", counts=[150, 300, 200, 170])
    message, dataset, table = sampled(root, tmp_path / "points", monkeypatch)
    assert "FILL" not in message
    assert dataset["source"]["points"]["unit"] == "nm"
    assert dataset["source"]["points"]["columns"]["weight"] == "intensity [photon]"
    assert dataset["sample"]["points"]["n_points"] == 128
    assert table["success"].all()
    assert table["n_points"].tolist() == [150, 300, 200, 170]
    points_um = np.load(root / "results/sample/mine/shard-0/points_um.npy")
    assert points_um.shape == (4, 128, 3)
    # Nanometres became micrometres: the long axis has a standard deviation of 0.9.
    assert points_um[..., 0].std() == pytest.approx(0.9, abs=0.15)
    assert np.abs(points_um[..., 2]).max() < 1e-3


def test_points_of_picasso_are_in_pixels_of_the_yaml_beside_them(root, tmp_path):
    own_files.write_picasso(tmp_path / "a", counts=[100, 90])
    _, _, resolved = made(root, tmp_path / "a")
    points = resolved["datasets"]["mine"]["source"]["points"]
    assert (points["unit"], points["pixel_um"], points["z_unit"]) == ("pixel", 0.13, "nm")
    own_files.write_picasso(tmp_path / "b", counts=[100, 90], pixel_nm=None)
    _, text, _ = made(root, tmp_path / "b", name="asked", answers={"pixel_um: FILL": "pixel_um: 0.1"})
    assert "pixel_um: 0.1 " in text


def test_one_table_of_the_points_of_many_cells(root, tmp_path, monkeypatch):
    rows = [pd.DataFrame(own_files.cloud(i, 70 + i), columns=list("xyz")).assign(cell=i) for i in range(4)]
    pd.concat(rows).to_csv(tmp_path / "all.csv", index=False)
    message, _, table = sampled(root, tmp_path / "all.csv", monkeypatch, {"unit: FILL": "unit: nm"})
    assert "likely nm" in message
    assert table["success"].all()
    assert table["n_points"].sort_index().tolist() == [70, 71, 72, 73]


def test_trees_become_points_along_them(root, tmp_path, monkeypatch):
    own_files.write_trees(tmp_path / "trees")
    _, dataset, table = sampled(root, tmp_path / "trees", monkeypatch)
    assert dataset["source"]["points"]["unit"] == "um"
    assert table["success"].all()


FIELD_NAMES = ["{}_cp_masks.tif", "{}_label.tif", "{}-seg.tif", "masks/{}.tif"]


@pytest.mark.parametrize("label_name", FIELD_NAMES)
def test_images_and_label_images_are_paired_by_name(tmp_path, label_name):
    own_files.write_fields(tmp_path, label_name)
    paired = pairs.pairs_of(sorted(tmp_path.rglob("*.tif")), tmp_path)
    assert [pair.image.name for pair in paired] == ["f0.tif", "f1.tif"]
    assert [list(pair.labels) for pair in paired] == [["labels"]] * 2
    files = [str(file.relative_to(tmp_path)) for pair in paired for file in pair.labels.values()]
    assert files == [label_name.format("f0"), label_name.format("f1")]


def test_fields_of_view_run_as_they_were_found(root, tmp_path, monkeypatch):
    own_files.write_fields(tmp_path / "fields")
    message, dataset, table = sampled(root, tmp_path / "fields", monkeypatch)
    assert "FILL" not in message
    assert "16 labels in 2 of them, 2 touch the border" in message
    assert dataset["source"]["fov"]["spacing_um_zyx"] == [0.5, 0.25, 0.25]
    assert dataset["voxel_um"] == 0.25
    assert table["success"].sum() == 14
    assert set(table.loc[~table["success"], "excluded"]) == {True}


@pytest.mark.parametrize("is_one_file", [True, pytest.param(False, marks=pytest.mark.long)])
def test_fields_of_view_in_hdf5_run_as_they_were_found(root, tmp_path, monkeypatch, is_one_file):
    own_files.write_hdf5_fields(tmp_path / "ovules")
    place = tmp_path / "ovules" / ("f0.h5" if is_one_file else "")
    message, dataset, table = sampled(root, place, monkeypatch)
    assert "FILL" not in message
    assert dataset["source"]["fov"]["spacing_um_zyx"] == [0.5, 0.25, 0.25]
    assert set(table["FOVId"]) == ({"f0"} if is_one_file else {"f0", "f1"})
    assert table["success"].sum() == (7 if is_one_file else 14)


def test_a_table_names_arrays_of_hdf5(root, tmp_path, monkeypatch):
    own_files.write_hdf5_fields(tmp_path / "ovules")
    rows = {"plant": ["p", "q"], "raw": ["f0.h5/raw", "f1.h5/raw"], "cells": ["f0.h5/label", "f1.h5/label"]}
    pd.DataFrame(rows).to_csv(tmp_path / "ovules/fovs.csv", index=False)
    _, _, table = sampled(root, tmp_path / "ovules/fovs.csv", monkeypatch)
    assert table["success"].sum() == 14
    assert set(table["plant"]) == {"p", "q"}


@pytest.mark.parametrize(
    "ids",
    [
        ["FOVId"],
        pytest.param(["FOVId", "CellId"], marks=pytest.mark.long),
        pytest.param(["CellId"], marks=pytest.mark.long),
    ],
)
def test_cells_of_few_fields_are_their_own_units_however_a_table_calls_the_fields(
    root, tmp_path, monkeypatch, ids
):
    own_files.write_fields(tmp_path / "fields")
    rows = {name: ["first", "second"] for name in ids}
    rows |= {"picture": ["f0.tif", "f1.tif"], "outline": ["f0_cp_masks.tif", "f1_cp_masks.tif"]}
    pd.DataFrame(rows).to_csv(tmp_path / "fields/fovs.csv", index=False)
    _, _, table = sampled(root, tmp_path / "fields", monkeypatch)
    assert (table["group"] == table.index).all()
    assert set(table["FOVId"]) == {"first", "second"}


def test_an_unknown_voxel_is_the_only_question(root, tmp_path, monkeypatch):
    own_files.write_fields(tmp_path / "fields", n=1, imagej=False, resolution=None, metadata=None)
    answer = {"spacing_um_zyx: FILL": "spacing_um_zyx: [0.5, 0.25, 0.25]"}
    message, dataset, table = sampled(root, tmp_path / "fields", monkeypatch, answer)
    assert message.count("FILL") == 1
    assert dataset["voxel_um"] == 0.25
    assert table["success"].sum() == 7


def test_label_images_alone_are_shapes(root, tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "plants.tif", own_files.field()[1])
    answer = {"spacing_um_zyx: FILL": "spacing_um_zyx: [0.5, 0.25, 0.25]"}
    place = tmp_path / "labels"
    place.mkdir()
    # A link to a file elsewhere.
    os.symlink(tmp_path / "plants.tif", place / "plants.tif")
    _, dataset, table = sampled(root, place, monkeypatch, answer, **SMALL)
    assert dataset["kind"] == "polymorphic"
    assert table["success"].sum() == 7


def test_a_table_says_what_the_files_are_and_its_columns_stay(root, tmp_path):
    own_files.write_fields(tmp_path / "fields", n=4)
    rows = {"picture": [f"f{i}.tif" for i in range(4)], "outline": [f"f{i}_cp_masks.tif" for i in range(4)]}
    rows |= {"treatment": ["none", "none", "drug", "drug"], "well": ["A1", "A2", "B1", "B2"], "nr": range(4)}
    pd.DataFrame(rows).to_csv(tmp_path / "fields/table.tsv", sep="\t", index=False)
    _, text, resolved = made(root, tmp_path / "fields")
    dataset = resolved["datasets"]["mine"]
    assert dataset["stratum"] == "treatment"
    assert dataset["labels"] == ["treatment"]
    assert "set source.group to [well]" in text
    written = pd.read_csv(root / "config/datasets/mine.csv")
    assert written["well"].tolist() == rows["well"]
    assert all(os.path.isabs(path) for path in written["image"])


def test_a_table_of_images_alone_takes_the_label_images_beside_them(root, tmp_path):
    own_files.write_fields(tmp_path / "fields", n=4)
    rows = {"picture": [f"f{i}.tif" for i in (2, 0)], "treatment": ["none", "drug"]}
    pd.DataFrame(rows).to_csv(tmp_path / "fields/table.csv", index=False)
    made(root, tmp_path / "fields")
    written = pd.read_csv(root / "config/datasets/mine.csv")
    assert [os.path.basename(path) for path in written["image"]] == rows["picture"]
    assert [os.path.basename(path) for path in written["labels"]] == ["f2_cp_masks.tif", "f0_cp_masks.tif"]
    assert written["treatment"].tolist() == rows["treatment"]


def test_one_array_of_volumes(root, tmp_path, monkeypatch):
    volumes = np.zeros((6, 12, 12, 12), np.uint8)
    for number in range(6):
        volumes[number, 3:9, 3:9, 2 : 7 + number // 2] = 1
    np.save(tmp_path / "all.npy", volumes)
    classes = {"CellId": [f"c{i}" for i in range(6)], "kind_of": ["a", "b"] * 3}
    pd.DataFrame(classes).to_csv(tmp_path / "all.csv", index=False)
    answer = {"spacing_um_zyx: FILL": "spacing_um_zyx: [1, 1, 1]"}
    _, dataset, table = sampled(root, tmp_path / "all.npy", monkeypatch, answer, **SMALL)
    assert dataset["stratum"] == "kind_of"
    assert table["success"].all()


def test_new_cells_take_the_weights_of_a_data_set_of_their_kind(root, tmp_path):
    own_files.write_meshes(tmp_path / "shapes")
    own_files.write_thunderstorm(tmp_path / "points", counts=[150, 300, 200])
    write.run("mine", tmp_path / "shapes", root)
    write.run("more", tmp_path / "shapes", root, weights="mine")
    settings = yaml.safe_load((root / "config/config.yaml").read_text())
    datasets = config.resolve(settings, root)["datasets"]
    own = yaml.safe_load((root / "config/datasets/more.yaml").read_text())
    assert own["weights_from"] == "mine"
    assert not set(own) & {"voxel_um", "sample", "models"}
    for key in ("voxel_um", "scale_factor", "sample", "models"):
        assert datasets["more"][key] == datasets["mine"][key]
    for weights, reason in (
        ("mine", "of kind polymorphic.*these cells are punctate"),
        ("none", "no data set"),
    ):
        with pytest.raises(InputError, match=reason):
            write.run("other", tmp_path / "points", root, weights=weights)
    assert not (root / "config/datasets/other.yaml").exists()


def empty(folder):
    folder.mkdir()


def unsegmented(folder):
    own_files.write_fields(folder)
    for path in folder.glob("*_cp_masks.tif"):
        path.unlink()


def of_another_shape(folder):
    own_files.write_fields(folder)
    tifffile.imwrite(folder / "f0_cp_masks.tif", own_files.field()[1][:, :, 1:])


def files_elsewhere(folder):
    folder.mkdir()
    pd.DataFrame({"image": ["gone/a.tif"], "labels": ["gone/b.tif"]}).to_csv(folder / "t.csv", index=False)


def of_one_point(folder):
    own_files.write_thunderstorm(folder, counts=[1, 1, 1])


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (empty, "empty. It needs images"),
        (unsegmented, "2 images, and no label image or mask.*Segment"),
        (of_another_shape, r"f0_cp_masks\.tif: labels of shape .*f0\.tif has .*Export both"),
        (of_one_point, r"cell0\.csv: has one point or none.*needs several"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(root, tmp_path, fill, words, capsys, monkeypatch):
    fill(tmp_path / "data")
    before = sorted((root / "config/datasets").iterdir())
    with pytest.raises(InputError, match=f"(?s)data.*{words}"):
        write.run("mine", tmp_path / "data", root)
    assert sorted((root / "config/datasets").iterdir()) == before
    monkeypatch.chdir(root)
    assert main(["mine", str(tmp_path / "data")]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_table_whose_files_are_elsewhere_is_named(root, tmp_path):
    files_elsewhere(tmp_path / "data")
    with pytest.raises(InputError, match=r"t\.csv.*column image is there, first .*gone/a\.tif.*Paths start"):
        write.run("mine", tmp_path / "data/t.csv", root)


def test_two_data_sets_of_one_name_and_names_that_are_none(root, tmp_path):
    own_files.write_meshes(tmp_path / "shapes")
    write.run("mine", tmp_path / "shapes", root)
    text = (root / "config/datasets/mine.yaml").read_bytes()
    with pytest.raises(InputError, match=r"mine\.yaml: exists already.*another NAME"):
        write.run("mine", tmp_path / "shapes", root)
    assert (root / "config/datasets/mine.yaml").read_bytes() == text
    for name in ("Mine", "a b", "../a", ""):
        with pytest.raises(InputError, match="NAME is"):
            write.run(name, tmp_path / "shapes", root)
    with pytest.raises(InputError, match="no such file or folder"):
        write.run("other", tmp_path / "nowhere", root)
