"""Published manifests: identifiers, paths and splits, and every mistake named with its remedy."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from fabricate.published_folders import ROWS, VOXEL_UM, read_manifest
from paths import ROOT

from morphobench.errors import InputError
from morphobench.published import manifest


def changed(**columns):
    return {**ROWS, **columns}


def without(column):
    return {name: values for name, values in ROWS.items() if name != column}


def test_a_manifest_becomes_a_table_of_cells(tmp_path):
    table = read_manifest(tmp_path)
    assert table["CellId"].tolist() == ["a", "b", "c"]
    assert table["split"].tolist() == ["val", "test", "train"]
    assert table["pointcloud_path"].tolist() == ["pc/a.ply", "pc/b.ply", "pc/c.ply"]
    assert table["group"].tolist() == ["a", "b", "c"]
    assert table["success"].all()
    assert not [column for column in table if column.startswith("Unnamed")]


def test_kept_values_choose_cells_before_max_cells_does(tmp_path):
    def used(**more):
        table = read_manifest(tmp_path, keep={"stage": ["G1", "S"]}, **more)
        assert len(table) == 3
        return set(table.loc[table["used"], "CellId"])

    assert used() == {"a", "c"}
    assert used(max_cells=1) < {"a", "c"}


def test_shapes_of_packings_keep_their_cells_together(tmp_path):
    rows = {"CellId": ["9c-1_0", "9c-1_5", "77_2"], "rule": ["a", "b", "c"]}
    table = read_manifest(tmp_path, rows, kind="packing", split=None)
    assert table["group"].tolist() == ["77", "9c-1", "9c-1"]


def test_columns_are_derived_and_units_are_made_of_them(tmp_path, caplog):
    field = {"from": "fov", "pattern": "^([^_]+)_"}
    source = {"derive": {"plate": field}, "group": ["plate", "stage"]}
    rows = changed(fov=["p1_a", "p1_b", "p2_c"], stage=["S", "S", "M"])
    table = read_manifest(tmp_path, rows, source=source).set_index("CellId")
    assert table["plate"].to_dict() == {"a": "p1", "b": "p2", "c": "p1"}
    assert table["group"].to_dict() == {"a": "p1/S", "b": "p2/M", "c": "p1/S"}
    # What was not published is told: nothing is derived, and cells stand for units.
    table = read_manifest(tmp_path, source=source)
    assert "plate" not in table
    assert table["group"].tolist() == ["a", "b", "c"]
    assert "nothing to derive plate from" in caplog.text
    assert "no column plate (source.group): cells count as independent" in caplog.text
    with pytest.raises(InputError, match=r"source\.derive\.plate"):
        read_manifest(tmp_path, rows | {"plate": [1, 2, 3]}, source=source)


def test_columns_get_our_names_and_keep_theirs(tmp_path):
    table = read_manifest(tmp_path, columns={"phase": "stage"})
    assert table["phase"].tolist() == table["stage"].tolist()


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "bucket/../../a", "C:\\a", "\\\\server\\a", None]
)
def test_a_path_that_leaves_the_folder_fails_its_cell_alone(tmp_path, path):
    table = read_manifest(tmp_path, changed(pointcloud_path=["pc/c.ply", path, "pc/b.ply"])).set_index(
        "CellId"
    )
    assert table["success"].to_dict() == {"a": False, "b": True, "c": True}
    assert "manifest.csv" in table.loc["a", "error"]
    assert table.loc["a", "pointcloud_path"] == ""


def test_a_repeated_cell_stays_once_as_failed(tmp_path):
    table = read_manifest(tmp_path, changed(CellId=["a", "a.ply", "b"])).set_index("CellId")
    assert table["success"].to_dict() == {"a": False, "b": True}
    assert "more than one row" in table.loc["a", "error"]


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        (without("image_path"), {}, "column image_path is missing"),
        (without("split"), {}, "column split is missing"),
        (without("CellId"), {}, "column CellId is missing"),
        (changed(split=["train", "maybe", "test"]), {}, "split maybe is none of"),
        (changed(), {"keep": {"phase": ["S"]}}, "column phase"),
        (changed(), {"keep": {"stage": ["X"]}}, "no cell has stage"),
        (
            changed(),
            {"columns": {"phase": "b"}, "needs": {"phase": "stratum"}},
            r"column b \(stratum\) is missing",
        ),
        (changed(), {"preprocessed": "gone.csv"}, "gone.csv"),
    ],
)
def test_a_wrong_manifest_is_named_with_its_remedy(tmp_path, rows, more, words):
    with pytest.raises(InputError, match=f"tiny: .*{words}"):
        read_manifest(tmp_path, rows, **more)


def test_unexpected_numbers_of_cells_are_logged(tmp_path, caplog):
    read_manifest(tmp_path, n_cells={"train": 40, "val": 2, "test": 1})
    assert "1 cells in split train, expected 40" in caplog.text
    assert "split val" not in caplog.text


def test_identifiers_lose_what_published_code_left_on_them():
    given = pd.Series(["a.ply", "b.tiff", "12-NPM1_3", "13-FBL", "x-NPM1", "5.0", "005", 7])
    assert manifest.clean_ids(given).tolist() == ["a", "b", "12", "13", "x-NPM1", "5", "005", "7"]


@pytest.mark.parametrize("nothing", [None, " "])
def test_a_row_without_a_split_fails_alone(tmp_path, nothing):
    table = read_manifest(tmp_path, changed(split=["train", nothing, "test"]))
    assert table["success"].sum() == 2
    failed = table[~table["success"]].iloc[0]
    assert "this row has no split" in failed["error"]


RULES = ("planar_0deg", "surface", "random")


@pytest.mark.parametrize(
    "rule",
    [
        ["planar_0deg", "surface", "random"],
        ["planar_0deg_", "surface_", "random_"],
        [0, 1, 2],
        [1.0, 2.0, 3.0],
        ["0", "1", "2"],
        [None, "surface", None],
        None,
    ],
)
def test_rules_are_told_by_name_or_by_the_end_of_the_id(tmp_path, rule):
    rows = {"CellId": ["9c-1_0", "9c-1_1", "77_2"]} | ({} if rule is None else {"rule": rule})
    table = read_manifest(tmp_path, rows, kind="packing", split=None, rules=RULES).set_index("CellId")
    assert table["success"].all()
    assert table["rule"].to_dict() == {"9c-1_0": "planar_0deg", "9c-1_1": "surface", "77_2": "random"}
    if rule is not None and rule != list(RULES):
        own = table["source_rule"].reindex(rows["CellId"])
        assert own.isna().tolist() == pd.Series(rule).isna().tolist()


@pytest.mark.parametrize(("cell", "rule"), [("77_2", "planar"), ("77_3", None), ("77", 1), ("77_2", "_")])
def test_a_rule_that_nothing_tells_fails_its_cell_alone(tmp_path, cell, rule):
    rows = {"CellId": ["9c_0", cell], "rule": ["planar_0deg", rule]}
    table = read_manifest(tmp_path, rows, kind="packing", split=None, rules=RULES).set_index("CellId")
    assert table["success"].to_dict() == {"9c_0": True, cell: False}
    assert "none of `rules`" in table.loc[cell, "error"]


FOREIGN = "/allen/aics/somebody/2024/bucket"


@pytest.mark.parametrize(
    "prefixes", [[FOREIGN], ["other", "/allen/**/bucket"], ["/allen/aics/somebody/2024/bucket/"]]
)
def test_foreign_prefixes_are_cut_off(tmp_path, prefixes):
    paths = [f"{FOREIGN}/pc/c.ply", "pc/a.ply", f"{FOREIGN}/../../pc/b.ply"]
    table = read_manifest(tmp_path, changed(pointcloud_path=paths, image_path="i.tiff"), prefixes=prefixes)
    assert set(table.loc[table["success"], "pointcloud_path"]) == {"pc/a.ply", "pc/c.ply"}
    assert "leaves the published folder" in table.loc[~table["success"], "error"].item()


SHAPES = {
    "CellId": ["a", "b"],
    "split": ["train", "test"],
    "sdf_path": ["s/a", "s/b"],
    "seg_path": ["g/a", "g/b"],
}


@pytest.mark.parametrize("folders", [None, [None, None], [None, "bucket/cells/pointcloud"]])
def test_a_missing_folder_of_clouds_lies_beside_the_manifest(tmp_path, folders):
    rows = SHAPES | ({} if folders is None else {"pointcloud_folder": folders})
    table = read_manifest(tmp_path, rows, kind="polymorphic")
    assert table["pointcloud_folder"].tolist() == ["cells/pointcloud"] * 2
    assert table["success"].all()


@pytest.mark.parametrize(
    "there", ["STR_connectivity_cc_thresh", "connectivity_cc_thresh_32res", "STR_connectivity_cc"]
)
def test_numbers_of_pieces_are_labels_whichever_column_has_them(tmp_path, there):
    columns = yaml.safe_load((ROOT / "config/datasets/other_polymorphic.yaml").read_text())["published"][
        "columns"
    ]
    values = ["7.0", "1.0"] if there == "STR_connectivity_cc" else [">=5", "1.0"]
    table = read_manifest(tmp_path, SHAPES | {there: values}, kind="polymorphic", columns=columns)
    assert table["n_pieces_label"].tolist() == [">=5", "1"]
    assert table[there].tolist() == values
    assert table.attrs["columns"]["n_pieces_label"]["column"] == there


def test_volumes_in_voxels_are_those_of_the_data_set_unless_a_row_tells_another(tmp_path):
    columns = yaml.safe_load((ROOT / "config/datasets/npm1.yaml").read_text())["published"]["columns"]
    rows = SHAPES | {"dna_shape_volume_lcc": [1000, 2000], "scale_micron": ["[0.5, 0.5, 0.5]", None]}
    table = read_manifest(tmp_path, rows, kind="polymorphic", columns=columns)
    assert table["nucleus_volume_um3"].tolist() == pytest.approx([125, 2000 * VOXEL_UM**3])
