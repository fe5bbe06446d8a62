"""The choice of cells of a contact sheet, and its title."""

import pandas as pd

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
