"""Regression of measured quantities on embeddings."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GroupKFold, RepeatedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from morphobench.metrics.regression import r_squared, regression_scores, regression_scores_legacy
from morphobench.score.rows_regression import unit_of


def case(rng, n=300, dimension=6, noise=0.0):
    z = rng.normal(size=(n, dimension)) * np.geomspace(0.01, 10, dimension) + 5
    truth = (z - 5) / np.geomspace(0.01, 10, dimension) @ np.arange(1.0, dimension + 1)
    targets = pd.DataFrame({"volume_um3": truth + noise * rng.normal(size=n), "chance": rng.normal(size=n)})
    return z, targets, np.where(np.arange(n) % 4, "train", "test")


def plain(z, y, train, test):
    return make_pipeline(StandardScaler(), LinearRegression()).fit(z[train], y[train]).predict(z[test])


def test_a_linear_target_is_predicted_exactly_and_chance_is_not():
    found = regression_scores(*case(np.random.default_rng(0)))
    assert found["volume_um3"].r2 == pytest.approx(1)
    assert found["volume_um3"].mae == pytest.approx(0, abs=1e-9)
    assert found["chance"].r2 < 0.1
    assert len(found["chance"].rows) == 75
    assert found["chance"].reason == ""


def test_scores_are_those_of_least_squares_on_standardised_embeddings():
    z, targets, split = case(np.random.default_rng(1), noise=2.0)
    z[:, 0], z[:, 1] = 1.0, z[:, 2]
    test = split == "test"
    expected = plain(z, targets.to_numpy(), ~test, test)
    found = regression_scores(z, targets, split)
    for column, name in enumerate(targets):
        np.testing.assert_allclose(found[name].predicted, expected[:, column])
        truth = targets[name][test]
        assert found[name].mae == pytest.approx(np.abs(truth - expected[:, column]).mean())
        left, spread = ((truth - expected[:, column]) ** 2).sum(), ((truth - truth.mean()) ** 2).sum()
        assert found[name].r2 == pytest.approx(1 - left / spread)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_are_invariant_to_order_and_to_any_change_of_basis(seed):
    rng = np.random.default_rng(seed)
    z, targets, split = case(rng, n=80, noise=1.0)
    found = regression_scores(z, targets, split)
    order, basis = rng.permutation(80), rng.normal(size=(6, 6)) + 3 * np.eye(6)
    again = regression_scores(z[order] @ basis + 7, targets.iloc[order], split[order])
    for name in targets:
        assert again[name].r2 == pytest.approx(found[name].r2, abs=1e-6)


def test_ridge_is_that_of_the_best_penalty_in_inner_folds_of_units():
    z, targets, split = case(np.random.default_rng(5), n=90, dimension=30, noise=20.0)
    units = np.arange(90) // 3
    train, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
    found = regression_scores(z, targets, split, units=units)
    for name in targets:
        y, errors = targets[name].to_numpy(), {}
        for penalty in 10.0 ** np.arange(-6, 3.5, 0.5):
            errors[penalty] = 0.0
            for inner, held in GroupKFold(5).split(train, groups=units[train]):
                own = make_pipeline(StandardScaler(), Ridge(penalty * len(inner)))
                predicted = own.fit(z[train[inner]], y[train[inner]]).predict(z[train[held]])
                errors[penalty] += ((predicted - y[train[held]]) ** 2).sum()
        best = make_pipeline(StandardScaler(), Ridge(min(errors, key=errors.get) * len(train)))
        expected = best.fit(z[train], y[train]).predict(z[test])
        np.testing.assert_allclose(found[name].predicted, expected, rtol=1e-6)


def test_ridge_does_not_peak_where_cells_are_as_many_as_components():
    rng = np.random.default_rng(6)
    z = rng.normal(size=(200, 159))
    targets = pd.DataFrame({"y": z[:, :3].sum(axis=1) + rng.normal(size=200)})
    split = np.where(np.arange(200) < 160, "train", "test")
    ols = regression_scores(z, targets, split)["y"]
    ridge = regression_scores(z, targets, split, units=np.arange(200))["y"]
    assert ols.r2 < -1 < 0.1 < ridge.r2
    assert "160 training cells for 159 components" in ols.reason
    assert ridge.reason == ""


def test_a_single_unit_gives_ridge_no_slope():
    z, targets, split = case(np.random.default_rng(7))
    found = regression_scores(z, targets, split, units=np.zeros(300))["volume_um3"]
    assert np.ptp(found.predicted) < 0.1 * np.ptp(found.truth)


def test_more_noise_is_predicted_worse():
    r2 = [
        regression_scores(*case(np.random.default_rng(2), noise=noise))["volume_um3"].r2
        for noise in (0.1, 3, 30)
    ]
    assert r2[0] > r2[1] > r2[2]


def test_each_target_has_its_own_missing_cells():
    z, targets, split = case(np.random.default_rng(3), noise=1.0)
    targets.loc[:9, "chance"] = np.nan
    z[20] = np.nan
    found = regression_scores(z, targets, split)
    assert len(found["volume_um3"].rows) == 74
    assert len(found["chance"].rows) == 71
    assert found["volume_um3"].reason == "1 of 300 cells have an embedding that is not finite"
    assert found["chance"].reason.endswith("10 of 300 cells have no value")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda z, t, s: (z, t, np.full(len(z), "train")), "no test cell"),
        (lambda z, t, s: (z, t, np.full(len(z), "test")), "0 training cells"),
        (lambda z, t, s: (z, t * np.nan, s), "300 of 300 cells have no value"),
        (lambda z, t, s: (z * np.nan, t, s), "300 of 300 cells have an embedding"),
        (lambda z, t, s: (z, t * 0 + 4, s), "does not vary"),
    ],
)
def test_an_impossible_regression_says_why(spoil, reason):
    found = regression_scores(*spoil(*case(np.random.default_rng(0))))
    for one in found.values():
        assert np.isnan(one.r2)
        assert reason in one.reason


def test_more_components_than_cells_are_fitted_and_named():
    rng = np.random.default_rng(4)
    z, targets = rng.normal(size=(30, 50)), pd.DataFrame({"a": rng.normal(size=30)})
    split = np.where(np.arange(30) % 3, "train", "test")
    found = regression_scores(z, targets, split)["a"]
    np.testing.assert_allclose(
        found.predicted, plain(z, targets.to_numpy(), split == "train", split == "test")[:, 0]
    )
    assert "20 training cells for 50 components" in found.reason


@pytest.mark.parametrize(("n", "dimension"), [(200, 12), (60, 12), (20, 30)])
def test_legacy_folds_are_those_of_the_published_procedure(n, dimension):
    rng = np.random.default_rng(5)
    z, y = rng.normal(size=(n, dimension)) + 4, rng.normal(size=(n, 2)) * 10
    y[:, 0] += 20 * z[:, 0]
    z[:, 1], z[:, 2] = 2.0, z[:, 3]
    z[0, 1] = 9.0
    table = regression_scores_legacy(z, pd.DataFrame(y, columns=["a", "b"]))
    assert table.groupby("target").size().to_dict() == {"a": 100, "b": 100}
    folds = RepeatedKFold(n_splits=5, n_repeats=20, random_state=2652124).split(z)
    once = table.set_index(["target", "cv"])
    for cv, (train, test) in enumerate(folds):
        predicted = plain(z, y, train, test)
        for column, name in enumerate("ab"):
            ones = np.ones((1, len(test)))
            r2 = r_squared(y[test, column], predicted[:, column], ones)[0]
            assert once.loc[(name, cv), "r2"] == pytest.approx(r2, abs=0.0051)
            mse = ((y[test, column] - predicted[:, column]) ** 2).mean()
            assert once.loc[(name, cv), "mse"] == pytest.approx(mse, abs=0.0051)


def test_legacy_has_600_rows_and_leaves_cells_of_one_piece_out_of_distances():
    rng = np.random.default_rng(6)
    names = ["mean_surface_area", "std_surface_area", "mean_volume", "std_volume", "avg_dists", "std_dists"]
    targets = pd.DataFrame(rng.random((100, 6)) + 1, columns=names)
    z = rng.normal(size=(100, 3))
    one_piece = np.arange(100) < 40
    targets.loc[one_piece, ["avg_dists", "std_dists"]] = 0.0
    table = regression_scores_legacy(z, targets)
    assert len(table) == 600
    assert table["target"].drop_duplicates().tolist() == names
    without = regression_scores_legacy(z[~one_piece], targets.loc[~one_piece, ["avg_dists"]])
    chosen = table.loc[table["target"] == "avg_dists", ["r2", "mse"]]
    np.testing.assert_allclose(chosen, without[["r2", "mse"]], atol=0.011)
    assert (targets.loc[one_piece, "avg_dists"] == 0).all()


def test_legacy_leaves_out_what_cannot_be_folded():
    targets = pd.DataFrame({"a": np.r_[np.ones(5), np.full(95, np.nan)], "b": np.arange(100.0)})
    table = regression_scores_legacy(np.random.default_rng(0).normal(size=(100, 2)), targets)
    assert table["target"].unique().tolist() == ["b"]


def test_units_come_from_names():
    assert [unit_of(name) for name in ("volume_um3", "area_um2", "size_um", "n_pieces")] == [
        "um3",
        "um2",
        "um",
        "",
    ]
