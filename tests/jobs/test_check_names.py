"""Names taken from a local table and its images are checked in the plan, each with its key and a remedy."""

from __future__ import annotations

import logging
import re

import pandas as pd
import pytest
import yaml
from fabricate.own_cells import FIELD, SINGLE, filled, write_field, write_single_cells
from paths import ROOT

from morphobench import config
from morphobench.config import schema
from morphobench.errors import InputError
from morphobench.jobs import check_names


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    root = tmp_path_factory.mktemp("clone")
    (root / "config").symlink_to(ROOT / "config")
    write_single_cells(root / "mine_cells")
    write_field(root / "mine_field")
    return root


def check(clone, keep=("A", "C"), values=SINGLE, **change):
    text = filled(keep, values)
    for name in ("mine_cells", "mine_field"):
        text = text.replace(f"{name}/", f"{clone / name}/")
    paper = schema.read_yaml(ROOT / "config/config.yaml")
    models = schema.read_all(config.Path("config/models"), {}, "model", ROOT)
    mine = schema.merge(yaml.safe_load(text), change) | {"start_from": "raw", "name": "mine"}
    schema.validate({key: mine[key] for key in mine if key != "name"}, "dataset", "mine", ROOT)
    config.checks.check_dataset("mine", mine, models)
    mine |= config.source_needs(mine)
    config.checks.check_columns("mine", mine)
    check_names.check(mine)
    return paper


def test_what_is_there_passes(clone, caplog):
    check(clone)
    check(clone, ("B", "C"), FIELD)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stratum": "treatmnt"}, ["column treatmnt (stratum) is missing", "Did you mean 'treatment'?"]),
        ({"labels": ["drug"]}, ["column drug (labels) is missing", "add it, or mend labels"]),
        ({"targets": ["volume"]}, ["column volume (targets) is missing"]),
        ({"targets": ["treatment"]}, ["column treatment (targets) has no number, first 'none'"]),
        (
            {"source": {"keep": {"treatment": ["none", "drugs"]}}},
            ["no cell has treatment drugs", "Mend `keep`"],
        ),
        ({"source": {"group": "well"}}, ["column well is missing"]),
        ({"source": {"cells": "nowhere/cells.csv"}}, ["nowhere/cells.csv: no such file"]),
        ({"channels": {"structure": "RFP"}}, ["channel 'RFP' occurs 0 times among GFP", "channels"]),
        (
            {"analyse": {"keep": {"treatment": ["drog"]}}},
            ["no cell has treatment drog", "analyse.keep.treatment"],
        ),
        (
            {"analyse": {"drugs": {"condition": "treatment", "control": "DMSO"}}},
            ["no cell has treatment DMSO (found drug, none)", "analyse.drugs.control"],
        ),
        ({"labels": ["group"]}, ["labels names group, a column that stages write", "my_group: group"]),
        ({"stratum": "weight_0"}, ["stratum names weight_0"]),
        ({"source": {"columns": {"seed": "treatment"}}}, ["source.columns.seed: stages write"]),
    ],
)
def test_a_name_that_is_not_there_is_said(clone, change, words):
    with pytest.raises(InputError) as caught:
        check(clone, **change)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": {"structure": "RFP"}}, "channel 'RFP' occurs 0 times among GFP, nuclei"),
        ({"stratum": "treatment"}, r"fovs\.csv: column treatment \(stratum\) is missing"),
    ],
)
def test_names_of_fields_are_checked_too(clone, change, words):
    with pytest.raises(InputError, match=words):
        check(clone, ("B", "C"), FIELD, **change)


def test_values_of_classes_that_no_cell_has_are_warned_of(clone, caplog):
    check(clone, classes={"treatment": {"corrected": {"keep": ["none", "drog"]}}}, labels=["treatment"])
    assert re.search("no cell has treatment drog.*classes.treatment", caplog.text)


def test_a_control_may_be_0(clone):
    table = clone / "mine_cells/zero.csv"
    frame = pd.read_csv(clone / "mine_cells/cells.csv", dtype=str, keep_default_na=False)
    frame.assign(treatment=["0", "1"] * 5).to_csv(table, index=False)
    for control in (0, "0", 0.0):
        drugs = {"condition": "treatment", "control": control}
        check(clone, source={"cells": str(table)}, analyse={"drugs": drugs})
