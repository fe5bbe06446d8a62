"""Columns by our names: alternatives in order, units, and those that are missing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import columns, shards
from morphobench.files.columns import Choice

VOLUME = [
    {"column": "NUC_shape_volume", "unit": "voxel", "meaning": "of the nucleus"},
    {"column": "dna_shape_volume_lcc", "unit": "voxel"},
    "nuclear_volume",
]


def added(table, stated, voxel_um3=0.5):
    chosen, _ = columns.choose(stated, list(table))
    return columns.add(table, chosen, lambda rows: pd.Series(voxel_um3, index=rows.index))


@given(st.sets(st.sampled_from(["NUC_shape_volume", "dna_shape_volume_lcc", "nuclear_volume"])))
def test_the_first_alternative_that_exists_is_taken(there):
    chosen, missing = columns.choose({"v": VOLUME}, there)
    names = [choice.column for choice in columns.alternatives(VOLUME) if choice.column in there]
    assert [choice.column for choice in chosen.values()] == names[:1]
    assert bool(missing) == (not there)


@pytest.mark.parametrize("stated", ["a", {"column": "a"}, ["a"], [{"column": "b"}, "a"]])
def test_an_entry_is_a_name_a_mapping_or_a_list_of_these(stated):
    assert columns.choose({"ours": stated}, ["a"])[0] == {"ours": Choice("a")}


def test_voxels_become_micrometres_and_the_source_keeps_its_own():
    table = pd.DataFrame({"dna_shape_volume_lcc": [100, 200], "other": [1, 2]})
    out = added(table, {"v": VOLUME})
    assert out["v"].tolist() == [50, 100]
    pd.testing.assert_frame_equal(out[list(table)], table, check_flags=False)
    # Already in micrometres.
    assert (
        added(table.rename(columns={"dna_shape_volume_lcc": "nuclear_volume"}), {"v": VOLUME})["v"][0] == 100
    )


def test_voxels_of_which_no_row_tells_the_size_stop():
    table = pd.DataFrame({"NUC_shape_volume": [1, 2]})
    with pytest.raises(InputError, match=r"NUC_shape_volume counts voxels.*spacing_um_zyx.*scale_micron"):
        added(table, {"v": VOLUME}, np.nan)
    assert added(table.assign(NUC_shape_volume=["x", "4"]), {"v": VOLUME})["v"].tolist()[1:] == [2]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["1.0", "2.0", ">=5", None], ["1", "2", ">=5", None]),
        ([1.0, 4.0, 5.0, 17.0], ["1", "4", ">=5", ">=5"]),
        ([1, 4, 5, 17], ["1", "4", ">=5", ">=5"]),
        ([1.0, np.nan], ["1", np.nan]),
    ],
)
def test_numbers_of_pieces_become_the_labels_of_this_workflow(values, labels):
    out = added(pd.DataFrame({"cc": values}), {"label": {"column": "cc", "unit": "pieces"}})
    assert out["label"].astype(object).where(out["label"].notna(), None).tolist() == [
        None if pd.isna(label) else label for label in labels
    ]


def test_a_column_of_our_name_that_is_not_taken_is_kept_under_another(caplog):
    table = pd.DataFrame({"crop_seg": ["whole"], "crop_seg_masked": ["masked"]})
    out = added(table, {"crop_seg": ["crop_seg_masked", "crop_seg"]})
    assert out.to_dict("records") == [
        {"source_crop_seg": "whole", "crop_seg_masked": "masked", "crop_seg": "masked"}
    ]
    assert "kept as source_crop_seg" in caplog.text
    assert list(added(table[["crop_seg"]], {"crop_seg": ["crop_seg_masked", "crop_seg"]})) == ["crop_seg"]


def test_which_column_was_taken_stays_with_the_table_through_stages(tmp_path):
    table = added(
        pd.DataFrame({"CellId": ["a"], "NUC_shape_volume": [1], "success": True, "error": ""}), {"v": VOLUME}
    )
    files.write_table(table, tmp_path / "cells.parquet")
    read = files.read_cells(tmp_path)
    later = shards.each_cell(read, lambda row: {"n": 1}, {"n": 0}, "align")
    assert later.attrs[columns.TAKEN] == {
        "v": {"column": "NUC_shape_volume", "unit": "voxel", "meaning": "of the nucleus"}
    }


def test_what_is_missing_is_one_warning_unless_it_is_needed(caplog):
    missing = {"v": "a or b", "stage": "stage", "x": "x"}
    columns.report_missing("m.csv", {}, missing, {"other": "labels"}, ["c"])
    assert len(caplog.records) == 1
    assert "a or b, stage, x" in caplog.text
    with pytest.raises(InputError, match=r"m.csv: column a or b \(analyse.volume_bins.column\) is missing"):
        columns.report_missing("m.csv", {}, missing, {"v": "analyse.volume_bins.column"}, ["c"])


def test_the_column_that_was_taken_is_logged(caplog):
    caplog.set_level("INFO")
    columns.report_missing("m.csv", {"v": Choice(**VOLUME[0]), "plain": Choice("plain")}, {}, {}, [])
    assert [record.message for record in caplog.records] == [
        "m.csv: v is its column NUC_shape_volume, in unit voxel: of the nucleus"
    ]
