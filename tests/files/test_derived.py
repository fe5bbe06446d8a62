"""Columns derived from the text of others."""

import numpy as np
import pandas as pd
import pytest
import yaml
from paths import ROOT

from morphobench.errors import InputError
from morphobench.files import derived

SCENE = "3500002930_100X_20190423_2hr-Scene-133-P134-E07"


def test_plate_well_and_field_stand_in_the_names_of_the_drug_screen():
    described = yaml.safe_load((ROOT / "config/datasets/npm1_perturb.yaml").read_text())
    names = [SCENE, SCENE.replace("2930", "2931"), SCENE.replace("-Scene-133-P134-E07", "-Scene-1-P2-B11")]
    table = derived.add(pd.DataFrame({"fov_id": names}), described["source"]["derive"], "here")
    assert table["plate"].tolist() == ["3500002930", "3500002931", "3500002930"]
    assert table["well"].tolist() == ["E07", "E07", "B11"]
    assert table["field"].tolist() == ["P134", "P134", "P2"]
    # Whole wells of a plate stay together, are exchanged within it, and hold no positives of their own cells.
    assert described["source"]["group"] == ["plate", "well"]
    drugs = described["analyse"]["drugs"]
    assert [drugs[key] for key in ("well", "plate", "apart")] == ["well", "plate", "well"]


def test_numbers_are_read_as_text_and_what_is_missing_stays_missing(caplog):
    rule = {"part": {"from": "id", "pattern": r"^(\d)"}, "again": {"from": "part", "pattern": "(.)"}}
    table = pd.DataFrame({"id": [12, 7, None, "x"]}, dtype=object)
    found = derived.add(table, rule, "here")
    assert found["part"].tolist() == ["1", "7", None, None]
    assert found["again"].tolist() == ["1", "7", None, None]
    assert found["id"].tolist() == table["id"].tolist()
    assert "2 rows have no part" in caplog.text
    assert "row 3 has id None" in caplog.text


def test_an_empty_table_has_empty_columns():
    found = derived.add(
        pd.DataFrame({"id": []}, dtype=object), {"a": {"from": "id", "pattern": "(x)"}}, "here"
    )
    assert list(found) == ["id", "a"]


@pytest.mark.parametrize("values", [["b"], [np.nan], [None, "b"]])
def test_a_pattern_that_no_row_matches_stops_with_the_reason(values):
    with pytest.raises(InputError, match=r"here: source\.derive\.a: no row matches \(x\)"):
        derived.add(pd.DataFrame({"id": values}), {"a": {"from": "id", "pattern": "(x)"}}, "here")
