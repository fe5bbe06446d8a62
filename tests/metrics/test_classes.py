"""Classes of cells from labels, and those of PCNA's stages and comments as they are published."""

import pandas as pd
import pytest
import yaml
from paths import ROOT

from morphobench.metrics.classes import classes_of
from morphobench.metrics.outliers import outlier_labels

PCNA = yaml.safe_load((ROOT / "config/datasets/pcna.yaml").read_text())
INTERPHASE = ["G1", "earlyS", "earlyS-midS", "midS", "midS-lateS", "lateS", "lateS-G2", "G2"]
MITOSIS = ["M1M2", "M3", "M4M5", "M6M7_complete", "M6M7_single"]
COMMENTS = [
    *("no comment", "bad segmentation of PCNA", "no EGFP fluorescence"),
    *("bad segmentation of cell or nucleus", "cell appears dead or dying"),
]


def classes(label, definition, values):
    return classes_of(pd.Series(values, dtype=object), PCNA["classes"][label][definition]).tolist()


def test_published_stages_leave_mitosis_and_unclear_out():
    found = classes("cell_stage_fine", "legacy", [*INTERPHASE, *MITOSIS, "unclear", None])
    assert found == [*INTERPHASE, *[None] * 7]


def test_corrected_stages_have_mitosis_as_a_class():
    found = classes("cell_stage_fine", "corrected", [*INTERPHASE, *MITOSIS, "unclear", None])
    assert found == [*INTERPHASE, *["mitosis"] * 5, None, None]


def test_published_comments_are_outlier_or_not_and_an_empty_one_is_not():
    expected = ["inlier", "inlier", "outlier", "inlier", "outlier", "inlier", "inlier"]
    assert classes("flag_comment", "legacy", [*COMMENTS, None, ""]) == expected
    values = pd.Series([*COMMENTS, None, ""])
    assert outlier_labels(values, PCNA["outlier"], empty=PCNA["outlier"]["legacy_empty"]).tolist() == expected
    # Corrected: nothing is known of a cell without a comment.
    assert outlier_labels(values, PCNA["outlier"]).tolist() == [*expected[:5], None, None]


def test_corrected_comments_are_those_that_enough_cells_have():
    found = classes("flag_comment", "corrected", [*COMMENTS, None])
    assert found == [*COMMENTS[:3], None, None, None]


def test_without_a_rule_every_value_is_a_class():
    assert classes_of(pd.Series(["a", None, "b"]), None).tolist() == ["a", None, "b"]
    assert classes_of(pd.Series([1, 2]), None).tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"keep": [1]}, ["1", None, None]),
        ({"leave_out": [1]}, [None, "2", None]),
        ({"merge": {"x": [1]}}, ["x", "2", None]),
        ({"merge": {"x": [1]}, "others": "y"}, ["x", "y", None]),
        ({"empty": "z"}, ["1", "2", "z"]),
    ],
)
def test_values_are_kept_left_out_merged_and_filled(rule, expected):
    assert classes_of(pd.Series([1, 2, None], dtype=object), rule).tolist() == expected
