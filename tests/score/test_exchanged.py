"""Areas under the ROC curve of two models whose outputs are exchanged."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from morphobench.score.exchanged import auroc_contributions


def outputs_of(ranks, positive, units, seeds=(0,)) -> pd.DataFrame:
    parts = []
    for (model, seed, label), values in ranks.items():
        names = {"model": model, "seed": seed, "label": label, "group": units}
        item = [f"cell {number:03d}" for number in range(len(values))]
        parts.append(pd.DataFrame({**names, "item": item, "positive": positive[label], "value": values}))
    return pd.concat(parts)


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    positive = {"x": rng.random(40) < 0.4, "y": rng.random(40) < 0.5}
    # Whole numbers: ties within a model and between models.
    ranks = {
        (model, 0, label): rng.integers(0, 12, 40) + 3.0 * own
        for model in "ab"
        for label, own in positive.items()
    }
    return ranks, positive, np.arange(40) // 4


def test_contributions_are_the_difference_after_any_exchange(drawn):
    ranks, positive, units = drawn
    found, groups = auroc_contributions(outputs_of(ranks, positive, units), [("a", "b")])
    per_unit = pd.Series(found[:, 0]).groupby(groups).sum()
    rng = np.random.default_rng(1)
    for signs in (np.ones(10), *rng.choice([1.0, -1.0], size=(20, 10))):
        areas = {}
        for model, other in ("ab", "ba"):
            own = [
                roc_auc_score(
                    positive[label],
                    np.where(signs[units] > 0, ranks[model, 0, label], ranks[other, 0, label]),
                )
                for label in positive
            ]
            areas[model] = np.mean(own)
        assert signs @ per_unit.to_numpy() == pytest.approx(areas["a"] - areas["b"])


def test_trainings_are_averaged_and_labels_without_both_kinds_left_out(drawn):
    ranks, positive, units = drawn
    more = ranks | {("a", 1, label): ranks["b", 0, label] for label in positive}
    pairs = [("a", "b"), ("b", "a")]
    once, _ = auroc_contributions(outputs_of(ranks, positive, units), pairs)
    np.testing.assert_allclose(once[:, 0], -once[:, 1])
    half, _ = auroc_contributions(outputs_of(more, positive, units), pairs)
    np.testing.assert_allclose(half, once / 2)
    empty = {"x": positive["x"], "y": np.zeros(40, bool)}
    alone, _ = auroc_contributions(outputs_of(ranks, empty, units), pairs)
    np.testing.assert_allclose(alone[:40], 2 * once[:40])
    assert np.isnan(alone[40:]).all()


def test_a_pair_is_compared_on_the_cells_that_both_have_whatever_a_third_lacks(drawn):
    ranks, positive, units = drawn
    both = outputs_of(ranks, positive, units)
    third = both[both["model"] == "b"].assign(model="c").groupby("label").head(30)
    found, _ = auroc_contributions(pd.concat([both, third]), [("a", "b"), ("a", "c")])
    np.testing.assert_array_equal(found[:, :1], auroc_contributions(both, [("a", "b")])[0])
    few = pd.concat([both[both["model"] == "a"].groupby("label").head(30), third])
    known = np.isfinite(found[:, 1])
    np.testing.assert_array_equal(found[known, 1], auroc_contributions(few, [("a", "c")])[0][:, 0])
