"""Scores scaled between the controls, or between ends of their own."""

import numpy as np
import pandas as pd
import pytest

from morphobench.score.scaled import scaled_values

ANCHORS = {"chance": "noise", "known": "answers"}


def scores(metric, better, **values):
    """A row for each model: its value, or its value with half its interval."""
    rows = [(model, *np.atleast_1d(value)) for model, value in values.items()]
    table = pd.DataFrame(rows, columns=["model", "value", "half"][: len(rows[0])])
    half = table.get("half", 0.0)
    ends = {"ci_low": table["value"] - half, "ci_high": table["value"] + half}
    return table.assign(metric=metric, better=better, variant="corrected", seed=42, **ends)


@pytest.mark.parametrize(("better", "chance", "known"), [("high", 0.25, 0.9), ("low", 1.0, 0.0)])
def test_controls_stand_at_their_ends_and_others_in_between(better, chance, known):
    middle = (chance + known) / 2
    table = scores("any", better, noise=chance, answers=known, model=middle, worse=2 * chance - middle)
    assert scaled_values(table, ANCHORS).tolist() == pytest.approx([0, 1, 0.5, -0.5])


def test_there_is_no_scale_without_ends_that_are_apart():
    assert scaled_values(scores("any", "high", noise=0.2, model=0.4), ANCHORS).isna().all()
    assert scaled_values(scores("any", "none", noise=0.2, answers=0.9, model=0.4), ANCHORS).isna().all()
    assert scaled_values(scores("any", "high", noise=0.9, answers=0.2, model=0.4), ANCHORS).isna().all()
    close = scores("any", "high", noise=(0.5, 0.1), answers=(0.65, 0.1), model=(0.6, 0.1))
    assert scaled_values(close, ANCHORS).isna().all()
    assert scaled_values(scores("any", "high", noise=0.2, answers=0.9), {}).isna().all()


def test_errors_lie_between_another_cell_and_another_sampling_of_the_cell_or_none():
    own = [
        scores("reconstruction", "low", cloud=1.2, shape=0.3),
        scores("reconstruction_other_cell", "low", cloud=1.6, shape=0.6),
        scores("reconstruction_sampling_distance", "low", cloud=0.8),
        scores("evolution_energy", "low", cloud=1.25),
    ]
    table = pd.concat(own, ignore_index=True)
    scaled = scaled_values(table, ANCHORS)
    assert scaled[table["metric"] == "reconstruction"].tolist() == pytest.approx([0.5, 0.5])
    assert scaled[table["metric"] == "evolution_energy"].tolist() == pytest.approx([0.75])
