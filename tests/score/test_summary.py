"""Rows of the score table."""

import numpy as np

from morphobench.score.summary import Score, score_table


def test_score_table_has_fixed_columns_and_types():
    row = Score("d", "m", 1, "x", "legacy", "um", "low", 1, np.nan, np.nan, 3, 2, "")
    full, empty = score_table([row]), score_table([])
    names = [
        "dataset",
        "model",
        "seed",
        "metric",
        "variant",
        "unit",
        "better",
        "value",
        "ci_low",
        "ci_high",
        "n",
        "n_units",
        "reason",
    ]
    assert list(full) == list(empty) == names
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert full.dtypes[["seed", "n", "n_units"]].eq(np.int64).all()
    assert full.dtypes[["value", "ci_low", "ci_high"]].eq(np.float64).all()
