"""The discriminant between a condition and its controls: known answers, nulls, walks."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from morphobench.analyse.lda import Axis, auroc, fit_axis, separate, walk_cells

MANY = {"n_permutations": 99, "n_halves": 40}


def two_classes(rng, shift, *, n=25, n_controls=60, dimension=6):
    x = rng.normal(size=(n + n_controls, dimension))
    hit = np.arange(n + n_controls) < n
    x[hit, 0] += shift
    return x, hit


def test_axis_agrees_with_scikit_learn():
    x, hit = two_classes(np.random.default_rng(0), 2.0)
    axis = fit_axis(x, hit)
    known = LinearDiscriminantAnalysis(solver="svd").fit(x, hit).coef_[0]
    np.testing.assert_allclose(axis.direction, known / np.linalg.norm(known), atol=1e-6)
    np.testing.assert_allclose(axis.middle, (x[hit].mean(axis=0) + x[~hit].mean(axis=0)) / 2)
    scores = axis.scores(x)
    assert scores[hit].mean() == pytest.approx(-scores[~hit].mean())


def test_area_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    scores, hit = rng.integers(0, 8, 50).astype(float), rng.random(50) < 0.4
    assert auroc(scores, hit) == pytest.approx(roc_auc_score(hit, scores))


def test_walk_takes_each_cell_once_over_the_range_of_the_scores():
    x = np.array([[-3.0, 0], [-3, 0.1], [0, 0.2], [3, 0], [2.9, 5]])
    positions, rows, distances = walk_cells(x, Axis(np.array([1.0, 0]), np.zeros(2)), 3)
    assert positions.tolist() == [-3, 0, 3]
    assert rows.tolist() == [0, 2, 3]
    np.testing.assert_allclose(distances, [0, 0.2, 0])
    _, rows, _ = walk_cells(x, Axis(np.array([1.0, 0]), np.zeros(2)), 7)
    assert sorted(rows) == [0, 1, 2, 3, 4]


def test_a_condition_with_an_effect_is_separated_and_one_without_is_not():
    rng = np.random.default_rng(1)
    x, hit = two_classes(rng, 2.5)
    plate = np.arange(len(x)) % 4
    found = separate(x, hit, plate, **MANY, rng=rng)
    assert found.cv_auroc > 0.9
    assert found.p == 1 / 100
    assert found.p_half < 0.05
    assert found.reason == ""
    x, hit = two_classes(rng, 0.0)
    nothing = separate(x, hit, plate, **MANY, rng=rng)
    assert nothing.p > 0.01
    assert abs(nothing.cv_auroc - 0.5) < 0.25
    assert abs(nothing.half_auroc_mean - 0.5) < 0.1
    assert nothing.half_auroc_high > nothing.half_auroc_mean


def test_scores_come_from_axes_that_have_not_seen_the_cell():
    # In as many dimensions as cells, the published fit separates noise perfectly.
    rng = np.random.default_rng(2)
    x, hit = two_classes(rng, 0.0, n=20, n_controls=20, dimension=20)
    assert auroc(fit_axis(x, hit).scores(x), hit) > 0.85
    assert separate(x, hit, None, **MANY, rng=rng).cv_auroc < 0.75


def test_p_is_uniform_without_an_effect():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, hit = two_classes(rng, 0.0, n=10, n_controls=20, dimension=3)
        p.append(separate(x, hit, np.arange(30) % 2, n_permutations=49, n_halves=1, rng=rng).p)
    assert abs(np.mean(np.array(p) <= 0.2) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 60)


def test_a_difference_between_plates_is_no_effect():
    """All of a drug's cells but two lie on a plate of their own look: within plates nothing is left."""
    rng = np.random.default_rng(3)
    x, hit = two_classes(rng, 0.0, n=24, n_controls=48, dimension=3)
    plate = np.where(hit, np.arange(72) % 12 > 1, np.arange(72) % 6 == 0).astype(int)
    x[plate == 1] += 4
    found = separate(x, hit, plate, **MANY, rng=rng)
    assert found.cv_auroc > 0.7
    assert separate(x, hit, None, **MANY, rng=rng).p == 1 / 100
    assert found.p > 0.01


def test_plates_that_hold_one_class_are_said_to():
    rng = np.random.default_rng(4)
    x, hit = two_classes(rng, 2.0)
    found = separate(x, hit, hit.astype(int), **MANY, rng=rng)
    assert "over all plates" in found.reason
    assert np.isfinite(found.p)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_cells_have_no_separation_but_a_reason(n):
    rng = np.random.default_rng(5)
    x, hit = two_classes(rng, 2.0, n=n)
    found = separate(x, hit, None, **MANY, rng=rng)
    assert np.isnan(found.scores).all()
    assert np.isnan(found.cv_auroc)
    assert found.reason == f"{n} cells in a class"


def test_equal_embeddings_are_not_separated():
    hit = np.arange(20) < 8
    found = separate(np.ones((20, 3)), hit, None, **MANY, rng=np.random.default_rng(0))
    assert found.cv_auroc == 0.5
    assert found.p == 1
