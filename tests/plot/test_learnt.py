"""Models that have not learnt are named, others are not."""

import pandas as pd

from morphobench.plot.learnt import not_learnt


def scores(**models):
    rows = []
    for model, errors in models.items():
        for metric, value in errors.items():
            row = {"model": model, "metric": metric, "variant": "corrected", "value": value}
            rows.append(row)
    return pd.DataFrame(rows)


def of(error, other=1.0, mean=0.8):
    return {
        "reconstruction": error,
        "reconstruction_other_cell": other,
        "reconstruction_mean_shape": mean,
    }


def test_no_nearer_than_what_knows_nothing_of_the_cell():
    table = scores(good=of(0.3), mean=of(0.8), worse=of(2.0), poor=of(0.9, mean=float("nan")))
    assert not_learnt(table, "reconstruction", ["good", "mean", "worse", "poor"]) == ["mean", "worse"]


def test_other_metrics_and_models_without_references_say_nothing():
    table = scores(alone={"reconstruction": 5.0}, good=of(0.3))
    assert not_learnt(table, "evolution_energy", ["good"]) == []
    assert not_learnt(table, "reconstruction", ["alone", "good", "absent"]) == []
    assert not_learnt(scores(alone={"reconstruction": 5.0}), "reconstruction", ["alone"]) == []
