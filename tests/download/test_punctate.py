from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from fabricate.cells import ellipsoid_mask, spots, write_cells, write_ome
from paths import ROOT, SHARED

from morphobench import files
from morphobench.download import punctate as download
from morphobench.errors import InputError
from morphobench.files import headers, images, manifests
from morphobench.files.shards import stage_module

FIELD = SHARED / "data/hipsc_nuclei_fov"
SPACING = (0.29, 0.26, 0.26)


SHARES = {"stray_share": 0.05, "saturated_share": 0.01}


def run(out, source, shard=0, n_shards=1, max_failed_fraction=0.0, **more):
    download.run(
        out,
        dataset={"name": "test", "source": source, "align": SHARES} | more,
        shard=shard,
        n_shards=n_shards,
        seed=1,
        max_failed_fraction=max_failed_fraction,
    )
    return files.read_cells(out)


def write_field(folder, name, label_zyx, nucleus_zyx=None):
    """A field of view of two raw channels and its label images, in the column order of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    raw = {key: rng.integers(90, 110, label_zyx.shape).astype(np.uint16) for key in ("dna", "structure")}
    write_ome(folder / f"{name}.ome.tif", raw, SPACING)
    write_ome(folder / f"{name}_cell.ome.tif", {"label": label_zyx}, SPACING)
    nuclei = label_zyx if nucleus_zyx is None else nucleus_zyx
    write_ome(folder / f"{name}_dna.ome.tif", {"label": nuclei}, SPACING)
    return {"FOVId": name, "image": f"{name}.ome.tif"} | {
        "cell_segmentation": f"{name}_cell.ome.tif",
        "dna_segmentation": f"{name}_dna.ome.tif",
    }


def field_labels():
    """Cell 1 is whole; cell 2 touches the border; cell 4 is whole and has no nucleus."""
    cells = np.zeros((12, 40, 60), np.uint16)
    cells[2:10, 5:20, 5:20] = 1
    cells[2:10, 0:20, 25:40] = 2
    cells[2:10, 25:37, 25:50] = 4
    nuclei = np.zeros_like(cells)
    nuclei[4:8, 8:15, 8:23] = 9
    nuclei[4:8, 5:12, 30:35] = 3
    return cells, nuclei


def field_source(folder, rows, **fov):
    pd.DataFrame(rows).to_csv(folder / "fovs.csv", index=False)
    settings = {"label_channels": ["cell_segmentation", "dna_segmentation"], "margin_um": 0.6}
    return {"fovs": str(folder / "fovs.csv"), "fov": settings | fov}


@pytest.fixture
def fields(tmp_path):
    folder = tmp_path / "Übersicht"
    rows = [
        write_field(folder, name, *field_labels()) | {"line": "SON", "passage": 7} for name in ("7", "8", "9")
    ]
    return folder, rows


@pytest.fixture
def cells(tmp_path):
    mask = ellipsoid_mask((8, 20, 30), (3, 8, 12))
    structure = spots(mask, np.random.default_rng(0))
    return write_cells(tmp_path / "data", {f"cell{i}": (structure, mask) for i in range(20)})


def test_a_field_is_cut_into_whole_cells_and_the_others_say_why(fields, tmp_path):
    out = tmp_path / "out"
    table = run(out, field_source(*fields) | {"group": "FOVId"}, max_failed_fraction=0.5).set_index("CellId")
    assert list(table.index) == [f"{field}_{label}" for field in "789" for label in (1, 2, 4)]
    whole, border, bare = (table.loc[f"7_{label}"] for label in (1, 2, 4))
    assert whole["success"]
    assert border["error"].startswith("touches the border of the field of view 7")
    assert (border["success"], border["excluded"]) == (False, True)
    assert bare["error"].startswith("the cell has no voxels of dna_segmentation")
    assert (bare["success"], bare["excluded"]) == (False, False)
    assert whole[["FOVId", "line", "passage", "group"]].tolist() == ["7", "SON", "7", "7"]


def test_a_crop_holds_the_raw_channels_and_the_masks_of_that_cell_alone(fields, tmp_path):
    table = run(tmp_path / "out", field_source(*fields), max_failed_fraction=0.5)
    row = table.set_index("CellId").loc["8_1"]
    assert row["crop_raw"] == "crop_raw/8_1_raw.ome.tif"
    names = headers.parse_name_dict(row["name_dict"])
    assert names == {
        "crop_raw": ["dna", "structure"],
        "crop_seg": ["cell_segmentation", "dna_segmentation"],
    }
    raw, spacing_um = images.read_channels(tmp_path / "out" / row["crop_raw"], None)
    seg, _ = images.read_channels(tmp_path / "out" / row["crop_seg"], None)
    assert list(raw) == names["crop_raw"]
    assert spacing_um == SPACING
    box = (slice(0, 12), slice(2, 23), slice(2, 23))  # a margin of 0.6 um is 3 voxels along each axis
    whole, _ = images.read_channels(fields[0] / "8.ome.tif", None)
    for name in raw:
        np.testing.assert_array_equal(raw[name], whole[name][box])
    labels, nuclei = field_labels()
    np.testing.assert_array_equal(seg["cell_segmentation"], labels[box] == 1)
    # Nucleus 9 reaches beyond its cell.
    np.testing.assert_array_equal(seg["dna_segmentation"], (nuclei[box] == 9) & (labels[box] == 1))


def test_border_cells_do_not_count_as_failures(fields, tmp_path):
    folder, rows = fields
    source = field_source(folder, rows, label_channels=["cell_segmentation"])
    table = run(tmp_path / "out", source, max_failed_fraction=0.0)
    assert table["excluded"].sum() == 3
    assert table["success"].sum() == 6
    with pytest.raises(InputError, match="3 of 6 cells failed"):
        run(tmp_path / "other", field_source(folder, rows), max_failed_fraction=0.4)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("n_shards", [7, pytest.param(16, marks=pytest.mark.long)])
def test_the_cells_do_not_depend_on_the_number_of_shards(n_shards, fields, cells, tmp_path):
    for name, source in (("fields", field_source(*fields)), ("cells", {"cells": str(cells)})):
        tables = []
        for number, shards in ((1, 1), (n_shards, n_shards)):
            parts = [
                run(tmp_path / f"{name}-{shards}-{i}", source, i, shards, max_failed_fraction=0.5)
                for i in range(number)
            ]
            table = pd.concat([part for part in parts if len(part)], ignore_index=True)
            tables.append(table.sort_values("CellId", ignore_index=True).drop(columns="seconds"))
            assert {tuple(part.dtypes.items()) for part in parts} == {tuple(parts[0].dtypes.items())}
        pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda f: (f / "8.ome.tif").unlink(), "8.ome.tif: no such file"),
        (lambda f: (f / "8_dna.ome.tif").write_bytes(b"II*"), "8_dna.ome.tif: not readable"),
        (
            lambda f: write_ome(f / "8_cell.ome.tif", {"l": np.ones((9, 9, 9), np.uint8)}),
            r"labels of shape \(9, 9, 9\)",
        ),
        (
            lambda f: write_ome(f / "8_cell.ome.tif", {"l": np.full((12, 40, 60), 0.5, np.float32)}),
            "8_cell.ome.tif: expected labels as whole numbers",
        ),
    ],
)
def test_a_bad_field_fails_and_the_others_go_on(break_it, reason, fields, tmp_path):
    break_it(fields[0])
    table = run(tmp_path / "out", field_source(*fields), max_failed_fraction=0.7)
    failed = table[table["FOVId"] == "8"]
    assert failed["CellId"].tolist() == ["8_0"]
    assert failed["error"].str.contains(reason).all()
    assert failed["line"].tolist() == ["SON"]
    assert table["success"].sum() == 2


def test_a_field_without_labels_is_excluded_and_said(fields, tmp_path):
    write_ome(fields[0] / "8_cell.ome.tif", {"l": np.zeros((12, 40, 60), np.uint8)})
    table = run(tmp_path / "out", field_source(*fields), max_failed_fraction=0.5).set_index("CellId")
    assert table.loc["8_0", "excluded"]
    assert "no labelled cell" in table.loc["8_0", "error"]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("image", "../7.ome.tif", "leaves the folder"),
        ("image", "/etc/passwd", "/etc/passwd: not readable"),
        ("dna_segmentation", "x/../../7.ome.tif", "leaves the folder"),
        ("image", None, "names no file"),
        ("FOVId", "a/b", "cannot be part of a file name"),
        ("FOVId", "8", "occurs more than once"),
        ("FOVId", None, "row 1 has no FOVId"),
    ],
)
def test_a_wrong_table_of_fields_stops_the_stage(column, value, reason, fields, tmp_path):
    folder, rows = fields
    rows[0][column] = value
    with pytest.raises(InputError, match=reason):
        run(tmp_path / "out", field_source(folder, rows))
    assert not (tmp_path / "out").exists()


def test_cells_that_are_there_stay_where_they_are_with_all_their_columns(cells, tmp_path):
    table = run(tmp_path / "out", {"cells": str(cells)})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cells.parquet"]
    assert all(Path(path).is_file() for kind in ("crop_raw", "crop_seg") for path in table[kind])
    assert (table["group"] == table["CellId"]).all()
    before = pd.read_csv(cells)
    assert table["name_dict"].tolist() == before["name_dict"].tolist()
    assert list(before) == [column for column in table if column in before]


def test_numbers_as_ids_and_groups_are_text(cells, tmp_path):
    table = pd.read_csv(cells).assign(CellId=[f"0{i}" for i in range(20)], FOVId=1895)
    table.to_csv(cells, index=False)
    from_csv = run(tmp_path / "csv", {"cells": str(cells), "group": "FOVId"})
    assert from_csv["CellId"].tolist() == table["CellId"].tolist()
    assert set(from_csv["group"]) == {"1895"}
    table.assign(CellId=range(20)).to_parquet(cells.with_suffix(".parquet"))
    from_parquet = run(tmp_path / "pq", {"cells": str(cells.with_suffix(".parquet")), "group": "FOVId"})
    assert from_parquet["CellId"].tolist() == [str(i) for i in range(20)]
    assert set(from_parquet["group"]) == {"1895"}


def test_a_table_keeps_its_own_names_of_columns_and_channels(cells, tmp_path):
    theirs = {"CellId": "nucleus", "crop_raw": "picture", "crop_seg": "outline", "structure_name": "gene"}
    table = pd.read_csv(cells).drop(columns="name_dict").assign(CellId=[f"0{i}" for i in range(20)])
    table.rename(columns=theirs).to_csv(cells, index=False)
    names = {"crop_raw": ["a", "b", "c"], "crop_seg": ["d", "e"]}
    source = {"cells": str(cells), "columns": theirs, "channel_names": names, "structures": ["SON"]}
    out = run(tmp_path / "out", source)
    assert out["success"].all()
    assert out["CellId"].tolist() == out["nucleus"].tolist() == table["CellId"].tolist()
    assert "name_dict" not in out
    with pytest.raises(InputError, match="column number is missing"):
        run(tmp_path / "out", {"cells": str(cells), "columns": theirs | {"CellId": "number"}})


def test_a_choice_of_cells_is_fixed_and_grows():
    ids = [f"cell_{i}" for i in range(50)]
    few, more = manifests.chosen(ids, 5), manifests.chosen(ids[::-1], 20)
    assert (len(few), len(more)) == (5, 20)
    assert few < more
    assert manifests.chosen(ids, None) == set(ids)


def test_only_the_structures_asked_for(cells, tmp_path):
    table = pd.read_csv(cells)
    table.loc[3:5, "structure_name"] = "CETN2"
    table.to_csv(cells, index=False)
    chosen = run(tmp_path / "out", {"cells": str(cells), "structures": ["CETN2"]})
    assert chosen["CellId"].tolist() == ["cell3", "cell4", "cell5"]
    with pytest.raises(InputError, match="no cell has structure_name RAB5A"):
        run(tmp_path / "out", {"cells": str(cells), "structures": ["CETN2", "RAB5A"]})


def test_a_repeated_cell_is_one_failed_row_and_ids_stay_unique(cells, tmp_path):
    table = pd.read_csv(cells)
    pd.concat([table, table.iloc[[4, 4, 7]]]).to_csv(cells, index=False)
    out = run(tmp_path / "out", {"cells": str(cells)}, max_failed_fraction=0.1)
    assert out["CellId"].is_unique
    failed = out[~out["success"]].set_index("CellId")["error"]
    assert list(failed.index) == ["cell4", "cell7"]
    assert "occurs in 3 rows" in failed["cell4"]


def test_bad_paths_fail_their_cells_alone(cells, tmp_path):
    elsewhere = tmp_path / "elsewhere.ome.tif"
    elsewhere.write_bytes((cells.parent / "crop_raw/cell3_raw.ome.tif").read_bytes())
    table = pd.read_csv(cells)
    table.loc[:3, "crop_raw"] = ["../elsewhere.ome.tif", "crop_raw/none.tif", None, str(elsewhere)]
    table.to_csv(cells, index=False)
    out = run(tmp_path / "out", {"cells": str(cells)}, max_failed_fraction=0.2)
    assert (~out["success"]).sum() == 3
    for row, reason in enumerate(("leaves the folder", "none.tif: no such file", "names no file")):
        assert reason in out["error"][row]
    assert out["crop_raw"][3] == str(elsewhere)


@pytest.mark.parametrize("column", ["CellId", "crop_raw", "crop_seg"])
def test_a_missing_column_is_named(column, cells, tmp_path):
    pd.read_csv(cells).drop(columns=column).to_csv(cells, index=False)
    with pytest.raises(InputError, match=f"column {column} is missing"):
        run(tmp_path / "out", {"cells": str(cells)})


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"location": "s3://b/p", "cells": None}, "below source.location"),
        ({"cells": "a.csv", "fovs": "b.csv"}, "one of the keys"),
        ({"cells": "none.csv"}, "none.csv: no such file"),
    ],
)
def test_a_source_that_cannot_be_read_says_what_to_do(source, reason, tmp_path):
    with pytest.raises(InputError, match=reason):
        run(tmp_path / "out", source)


def test_a_cell_without_a_group_fails_alone(cells, tmp_path):
    source = {"cells": str(cells), "group": ["plate", "well"]}
    with pytest.raises(InputError, match="plate, well is missing"):
        run(tmp_path / "out", source)
    table = pd.read_csv(cells).assign(plate=[1] * 10 + [2] * 10, well=["A1"] * 19 + [None])
    table.to_csv(cells, index=False)
    found = run(tmp_path / "out", source, max_failed_fraction=0.1)
    assert found["group"].tolist() == ["1/A1"] * 10 + ["2/A1"] * 9 + [table["CellId"][19]]
    assert found["success"].tolist() == [True] * 19 + [False]
    assert "no plate or no well" in found["error"][19]


def test_columns_are_derived_from_the_text_of_others(cells, tmp_path, caplog):
    """Of a field's name, its plate and well; a cell whose field is named otherwise has none, and fails."""
    names = [f"350{i % 2}_100X_Scene-P{i}-E0{i // 4}" for i in range(19)] + ["strange"]
    pd.read_csv(cells).assign(field=names).to_csv(cells, index=False)
    derive = {
        "plate": {"from": "field", "pattern": "^([^_]+)_"},
        "well": {"from": "field", "pattern": r"-([A-Z]\d+)$"},
    }
    source = {"cells": str(cells), "derive": derive, "group": ["plate", "well"]}
    found = run(tmp_path / "out", source, shard=0, n_shards=1, max_failed_fraction=0.1)
    assert found["plate"].tolist() == [f"350{i % 2}" for i in range(19)] + [None]
    assert found["group"].tolist()[:5] == ["3500/E00", "3501/E00", "3500/E00", "3501/E00", "3500/E01"]
    assert found["field"].tolist() == names
    assert found["success"].tolist() == [True] * 19 + [False]
    assert "1 rows have no plate" in caplog.text
    assert "'strange'" in caplog.text
    # Only in the shard of that cell, and chosen by its own columns where it is asked for.
    kept = run(tmp_path / "kept", source | {"keep": {"well": ["E01"]}, "metadata": ["well"]})
    assert kept["field"].tolist() == names[4:8]


@pytest.mark.parametrize(
    ("derive", "reason"),
    [
        ({"plate": {"from": "fov", "pattern": "(x)"}}, "column fov is missing"),
        ({"plate": {"from": "CellId", "pattern": "_(Q+)_"}}, "no row matches"),
        ({"crop_seg": {"from": "CellId", "pattern": "(c)"}}, r"source\.derive\.crop_seg"),
        ({"success": {"from": "CellId", "pattern": "(c)"}}, r"source\.derive\.success"),
        ({"split": {"from": "CellId", "pattern": "(c)"}}, r"source\.derive\.split"),
    ],
)
def test_a_wrong_derivation_is_refused_with_the_reason(derive, reason, cells, tmp_path):
    with pytest.raises(InputError, match=reason):
        run(tmp_path / "out", {"cells": str(cells), "derive": derive})


def test_the_stage_is_found_by_its_kind():
    assert stage_module("download", "punctate") is download


def test_real_nuclei_of_a_field_of_view(tmp_path):
    if not FIELD.is_dir():
        pytest.skip("the field of view (../shared/data/hipsc_nuclei_fov) is not here")
    for name in ("nuclei.tif", "nuclei_label.tif"):
        (tmp_path / name).symlink_to(FIELD / name)
    rows = [{"FOVId": "hipsc", "image": "nuclei.tif", "dna_segmentation": "nuclei_label.tif"}]
    fov = {"channel_names": ["dna"], "label_channels": ["dna_segmentation"], "spacing_um_zyx": SPACING}
    table = run(tmp_path / "out", field_source(tmp_path, rows, **fov))
    assert len(table) == 20
    assert table["success"].sum() == 10
    assert table.loc[~table["success"], "error"].str.contains("touches the border").all()
    assert table.loc[~table["success"], "excluded"].all()
    for row in table[table["success"]].to_dict("records"):
        seg, spacing_um = images.read_channels(tmp_path / "out" / row["crop_seg"], ["dna_segmentation"])
        assert spacing_um == SPACING
        volume_um3 = seg["dna_segmentation"].sum() * np.prod(SPACING)
        assert 200 < volume_um3 < 2000


def test_whole_numbers_as_ids_lose_their_decimals_and_texts_keep_theirs(cells, tmp_path):
    table = pd.read_csv(cells)
    table.assign(CellId=[f"{230741 + i}.0" for i in range(20)]).to_csv(cells, index=False)
    assert run(tmp_path / "csv", {"cells": str(cells)})["CellId"].tolist() == [
        str(230741 + i) for i in range(20)
    ]
    table.assign(CellId=np.arange(230741.0, 230761)).to_parquet(cells.with_suffix(".parquet"))
    from_parquet = run(tmp_path / "pq", {"cells": str(cells.with_suffix(".parquet"))})
    assert from_parquet["CellId"].tolist() == [str(230741 + i) for i in range(20)]
    odd = ["1e1", "1.0", "2.50", "0c1f613a-e998", *map(str, range(16))]
    table.assign(CellId=odd).to_csv(cells, index=False)
    assert run(tmp_path / "odd", {"cells": str(cells)})["CellId"].tolist() == odd


def test_foreign_prefixes_of_paths_are_cut_off_and_nothing_leaves_the_place(cells, tmp_path):
    table = pd.read_csv(cells)
    foreign = "/allen/aics/somebody/2019/data/"
    table["crop_raw"] = foreign + table["crop_raw"]
    table.loc[1, "crop_raw"] = f"{foreign}../../etc/passwd"
    table.loc[2, "crop_raw"] = table.loc[2, "crop_raw"].removeprefix(foreign)
    table.loc[3, "crop_raw"] = "/elsewhere/" + table.loc[3, "crop_raw"]
    table.to_csv(cells, index=False)
    source = {"location": str(cells.parent), "cells": cells.name, "prefixes": ["/allen/aics/**/data"]}
    out = run(tmp_path / "out", source, max_failed_fraction=0.1)
    assert out.index[~out["success"]].tolist() == [1, 3]
    assert out["error"][[1, 3]].str.contains("leaves the folder").all()
    with pytest.raises(InputError, match="leaves the folder"):
        run(tmp_path / "none", source | {"prefixes": []})


def test_metadata_may_be_missing_unless_something_needs_it(cells, tmp_path, caplog):
    pd.read_csv(cells).assign(cell_stage="M0").to_csv(cells, index=False)
    source = {"cells": str(cells), "metadata": ["gone", "cell_stage", "lost"]}
    out = run(tmp_path / "out", source)
    assert out["success"].all()
    assert set(out["cell_stage"]) == {"M0"}
    warned = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert len(warned) == 1
    assert "without column gone, lost" in warned[0]
    with pytest.raises(InputError, match=r"column gone \(labels\) is missing"):
        run(tmp_path / "needed", source, needs={"gone": "labels"})


def test_volumes_of_nuclei_are_in_micrometres_by_the_voxel_of_each_row(cells, tmp_path):
    volumes = {"NUC_shape_volume": 1000, "scale_micron": ["[0.1, 0.1, 0.1]", "[0.2, 0.2, 0.2]"] * 10}
    pd.read_csv(cells).assign(**volumes).to_csv(cells, index=False)
    npm1 = yaml.safe_load((ROOT / "config/datasets/npm1.yaml").read_text())["source"]
    source = {"cells": str(cells), "columns": npm1["columns"]}
    out = run(tmp_path / "out", source)
    np.testing.assert_allclose(out["nucleus_volume_um3"], [1, 8] * 10)
    assert set(out["NUC_shape_volume"]) == {"1000"}
    assert out.attrs["columns"]["nucleus_volume_um3"]["column"] == "NUC_shape_volume"
    needs = {"nucleus_volume_um3": "analyse.volume_bins.column"}
    pd.read_csv(cells).drop(columns="NUC_shape_volume").to_csv(cells, index=False)
    with pytest.raises(
        InputError, match="NUC_shape_volume or dna_shape_volume_lcc .analyse.volume_bins.column. is"
    ):
        run(tmp_path / "none", source, needs=needs)


def test_crops_that_no_stage_reads_may_be_missing(cells, tmp_path):
    source = {
        "cells": str(cells),
        "channel_names": {"crop_seg": ["dna_segmentation", "membrane_segmentation"]},
    }
    pd.read_csv(cells).assign(crop_raw="gone/raw.tif").to_csv(cells, index=False)
    out = run(tmp_path / "out", source, used_channels=["dna_segmentation"])
    assert out["success"].all()
    assert set(out["crop_raw"]) == {"gone/raw.tif"}
    pd.read_csv(cells).drop(columns="crop_raw").to_csv(cells, index=False)
    assert run(tmp_path / "without", source, used_channels=["dna_segmentation"])["success"].all()
    with pytest.raises(InputError, match="column crop_raw is missing"):
        run(tmp_path / "both", source, used_channels=["dna_segmentation", "structure"])
