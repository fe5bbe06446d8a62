"""The choice of cells of a contact sheet, and its title."""

import pandas as pd
from fabricate.sampled import write_sampled

from morphobench.models.cells import open_cells, with_intensity_scale
from morphobench.plot import contact_sheet


def manifest(n=9, failed=(), excluded=()):
    table = pd.DataFrame({"CellId": [f"c{i}" for i in range(n)], "success": True, "error": ""})
    table["excluded"] = table["CellId"].isin(excluded)
    lost = table["CellId"].isin([*failed, *excluded])
    table.loc[lost, "success"] = False
    table.loc[lost, "error"] = "no file"
    return table


def test_sampled_cells_are_evenly_spread():
    assert contact_sheet.choose(manifest(9, failed=["c0"]), 3)["CellId"].tolist() == ["c1", "c5", "c8"]
    assert len(contact_sheet.choose(manifest(2), 6)) == 2
    assert contact_sheet.choose(manifest(2, failed=["c0", "c1"]), 6).empty


def test_the_title_accounts_for_every_cell():
    assert contact_sheet.summary(manifest()) == "9 of 9 cells sampled"
    text = contact_sheet.summary(manifest(9, failed=["c3"], excluded=["c1", "c2"]))
    assert text == "6 of 9 cells sampled, 2 excluded, 1 failed (first: no file)"


def test_the_title_counts_marked_cells():
    table = manifest(5, failed=["c4"]).assign(mask_stray_voxels=[0, 3, 0, 1, 9], n_mask_labels=1)
    table["structure_fault"] = ["", "saturated", None, "", "dead"]
    assert contact_sheet.marks(table) == (
        "structure dead: 1 cells, structure saturated: 1 cells, stray voxels of the mask left out: 2 cells"
    )
    assert contact_sheet.marks(manifest()) == ""


def test_the_title_says_by_what_intensities_are_multiplied(tmp_path):
    case = write_sampled(tmp_path)
    table = pd.read_parquet(case.manifest)
    models = {
        "measured": {"input_scale": 0.5, "intensity": {"input_scale": None, "quantile": 0.99}},
        "fixed": {"input_scale": 0.5, "intensity": {"input_scale": 0.01}},
        "none": {"input_scale": 0.5},
    }
    found = contact_sheet.scales(table, case.shards, models, 256)
    used = with_intensity_scale(
        {"representation": "points", **models["measured"]},
        open_cells(case.manifest, case.shards, {"representation": "points", "intensity": {"a": 1}}, "train"),
        256,
    )
    factor = used["intensity"]["input_scale"]
    assert found.startswith(f"Factor of intensities: measured {factor:.3g} (99% of points below ")
    assert found.endswith("counts in 8 training cells), fixed 0.01 (set)")
    assert contact_sheet.scales(table, case.shards, {"none": models["none"]}, 256) == ""
