"""The discriminant between a condition and its controls: known answers, nulls, walks."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from morphobench.analyse.lda import Axis, auroc, fit_axis, separate, walk_cells
from morphobench.metrics.exchange import UNKNOWN

MANY = {"n_permutations": 99, "n_sets": 40}


def by_cell(x, hit, plate=None, **more):
    """The separation where every cell is a unit of its own."""
    return separate(x, hit, np.arange(len(x)), plate, **{**MANY, **more})


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
    found = by_cell(x, hit, plate, rng=rng)
    assert found.cv_auroc > 0.9
    assert found.p == found.smallest_p == 1 / 100
    assert found.control_auroc_high < found.cv_auroc
    assert found.n_units == 25
    assert found.reason == ""
    x, hit = two_classes(rng, 0.0)
    nothing = by_cell(x, hit, plate, rng=rng)
    assert nothing.p > 0.01
    assert abs(nothing.cv_auroc - 0.5) < 0.25
    assert abs(nothing.control_auroc_mean - 0.5) < 0.1
    assert nothing.control_auroc_high > nothing.control_auroc_mean


def test_the_band_of_controls_is_that_of_sets_of_the_same_size():
    """Of 4 cells against 25 chance alone goes farther than of halves of the controls."""
    rng = np.random.default_rng(11)
    high = {}
    for n in (4, 12):
        x, hit = two_classes(rng, 0.0, n=n, n_controls=25, dimension=20)
        high[n] = by_cell(x, hit, rng=rng, n_sets=300).control_auroc_high
    assert high[4] > high[12] + 0.03
    assert abs(high[4] - 0.77) < 0.08


def test_a_condition_without_controls_to_match_has_no_band():
    rng = np.random.default_rng(12)
    x, hit = two_classes(rng, 0.0, n=20, n_controls=12)
    found = by_cell(x, hit, rng=rng)
    assert np.isnan(found.control_auroc_high)
    assert np.isfinite(found.p)


def test_cells_of_a_unit_are_scored_by_axes_that_saw_none_of_it():
    """Units of their own look, and nothing else: cells of a unit would give away which class it is of."""
    rng = np.random.default_rng(13)
    units = np.repeat(np.arange(16), 12)
    x = rng.normal(size=(192, 10)) * 0.1 + rng.normal(size=(16, 10))[units]
    hit = units < 8
    found = separate(x, hit, units, **MANY, rng=rng)
    assert by_cell(x, hit, rng=rng).cv_auroc > 0.9
    assert found.cv_auroc < 0.85
    assert found.p > 0.01


def test_units_of_both_classes_cannot_be_exchanged():
    rng = np.random.default_rng(14)
    x, hit = two_classes(rng, 2.0)
    found = separate(x, hit, np.arange(len(x)) % 7, **MANY, rng=rng)
    assert "hold both" in found.reason
    assert np.isnan([found.p, found.cv_auroc, found.smallest_p]).all()


def test_cells_without_a_unit_are_left_out():
    rng = np.random.default_rng(15)
    x, hit = two_classes(rng, 2.0)
    units = np.where(np.arange(len(x)) % 9 == 0, None, np.arange(len(x)).astype(object))
    found = separate(x, hit, units, **MANY, rng=rng)
    assert np.isnan(found.scores).tolist() == [unit is None for unit in units]
    assert found.p == 1 / 100


def test_scores_come_from_axes_that_have_not_seen_the_cell():
    # In as many dimensions as cells, the published fit separates noise perfectly.
    rng = np.random.default_rng(2)
    x, hit = two_classes(rng, 0.0, n=20, n_controls=20, dimension=20)
    assert auroc(fit_axis(x, hit).scores(x), hit) > 0.85
    assert by_cell(x, hit, rng=rng).cv_auroc < 0.75


def test_p_is_uniform_without_an_effect():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, hit = two_classes(rng, 0.0, n=10, n_controls=20, dimension=3)
        p.append(by_cell(x, hit, np.arange(30) % 2, n_permutations=49, n_sets=0, rng=rng).p)
    assert abs(np.mean(np.array(p) <= 0.2) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 60)


def test_a_difference_between_plates_is_no_effect():
    """All of a drug's cells but two lie on a plate of their own look: within plates nothing is left."""
    rng = np.random.default_rng(3)
    x, hit = two_classes(rng, 0.0, n=24, n_controls=48, dimension=3)
    plate = np.where(hit, np.arange(72) % 12 > 1, np.arange(72) % 6 == 0).astype(int)
    x[plate == 1] += 4
    found = by_cell(x, hit, plate, rng=rng)
    assert found.cv_auroc > 0.7
    assert by_cell(x, hit, rng=rng).p == 1 / 100
    assert found.p > 0.01


def test_where_no_plate_holds_both_classes_there_is_no_p():
    rng = np.random.default_rng(4)
    x, hit = two_classes(rng, 2.0)
    found = by_cell(x, hit, hit.astype(int), rng=rng)
    assert "no plate holds units of both" in found.reason
    assert np.isnan(found.p)
    assert found.cv_auroc > 0.8


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_cells_have_no_separation_but_a_reason(n):
    rng = np.random.default_rng(5)
    x, hit = two_classes(rng, 2.0, n=n)
    found = by_cell(x, hit, rng=rng)
    assert np.isnan(found.scores).all()
    assert np.isnan(found.cv_auroc)
    assert found.reason == (f"{n} units of the condition: at least two are needed" if n else UNKNOWN)


def test_equal_embeddings_are_not_separated():
    hit = np.arange(20) < 8
    found = by_cell(np.ones((20, 3)), hit, rng=np.random.default_rng(0))
    assert found.cv_auroc == 0.5
    assert found.p == 1
