import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, top_k_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from morphobench import score
from morphobench.errors import InputError
from morphobench.files.tables import mu_columns
from morphobench.score.metrics import classification

seeded = given(st.integers(0, 2**32 - 1))
few = settings(max_examples=25, deadline=None)


def blobs(rng, n=150, n_labels=3, distance=6.0, dimension=5):
    labels = np.arange(n) % n_labels
    z = rng.normal(size=(n, dimension)) + distance * np.eye(n_labels, dimension)[labels]
    split = np.array(["train", "train", "val", "test"])[np.arange(n) // n_labels % 4]
    return z, labels.astype(str), split


# ---------------------------------------------------------------- rotation invariance error


def test_rotation_error_has_its_known_values():
    z = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    turned = np.array([[3.0, 4.0], [-1.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    assert score.rotation_invariance_error(z, turned).tolist() == [0.0, 1.0, 0.0, 1.0]
    assert score.rotation_invariance_error(z[:1], 3 * z[:1]) == pytest.approx(0.5)


@few
@seeded
def test_rotation_error_is_bounded_symmetric_and_blind_to_basis_scale_and_order(seed):
    rng = np.random.default_rng(seed)
    z, turned = rng.normal(size=(2, 7, 4))
    error = score.rotation_invariance_error(z, turned)
    assert ((error >= 0) & (error <= 1)).all()
    np.testing.assert_allclose(score.rotation_invariance_error(turned, z), error)
    basis, order = ortho_group.rvs(4, random_state=rng), rng.permutation(7)
    again = score.rotation_invariance_error(5 * z[order] @ basis, 5 * turned[order] @ basis)
    np.testing.assert_allclose(again, error[order])


def test_rotation_error_stacks_over_rotations_grows_with_noise_and_marks_bad_codes():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 8))
    noisy = z + np.array([0.01, 0.1, 1.0])[:, None, None] * rng.normal(size=z.shape)
    error = score.rotation_invariance_error(z, noisy)
    assert error.shape == (3, 200)
    assert (np.diff(error.mean(axis=1)) > 0).all()
    z[5, 2] = np.nan
    assert np.flatnonzero(np.isnan(score.rotation_invariance_error(z, noisy[0]))).tolist() == [5]
    with pytest.raises(ValueError, match="cannot be compared"):
        score.rotation_invariance_error(z, z[:, :3])


# ---------------------------------------------------------------- evolution and interpolation


@few
@seeded
def test_straight_way_has_energy_one_and_detours_cost_more(seed):
    rng = np.random.default_rng(seed)
    start, end = rng.normal(size=(2, 6, 3))
    fractions = np.linspace(0.1, 0.9, 9)
    way = start[:, None] + fractions[:, None] * (end - start)[:, None]
    off = way + 0.1 * rng.normal(size=way.shape)

    def energy(points):
        to_start, to_end = (np.linalg.norm(points - one[:, None], axis=2) for one in (start, end))
        return score.evolution_energy(to_start, to_end, np.linalg.norm(end - start, axis=1))

    np.testing.assert_allclose(energy(way), 1.0)
    assert energy(off).shape == (6, 9)
    assert (energy(off) > 1).all()


def test_energy_without_a_distance_is_missing_not_infinite():
    energy = score.evolution_energy(
        np.ones((3, 2)), np.array([[1, np.inf], [1, 1], [1, 1]]), np.array([2, 0, np.nan])
    )
    np.testing.assert_array_equal(energy, [[1.0, np.nan], [np.nan] * 2, [np.nan] * 2])


def brute_distance(z_start, z_end, fractions, z_cells, exclude):
    points = z_start[:, None] + fractions[:, None] * (z_end - z_start)[:, None]
    distance = np.linalg.norm(points[:, :, None] - z_cells, axis=3)
    for pair, rows in enumerate(exclude):
        distance[pair][:, rows] = np.inf
    return distance.min(axis=2)


@few
@seeded
def test_interpolation_distance_matches_brute_force_and_is_blind_to_basis_scale_and_order(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(30, 5)) + 100
    exclude = rng.permutation(30)[:12].reshape(6, 2)
    fractions = np.linspace(0.1, 0.9, 9)
    start, end = z[exclude[:, 0]], z[exclude[:, 1]]
    expected = brute_distance(start, end, fractions, z, exclude)
    relative = expected / np.linalg.norm(end - start, axis=1)[:, None]
    np.testing.assert_allclose(score.interpolation_distance(start, end, fractions, z, exclude), relative)
    everyone = brute_distance(start, end, fractions, z, exclude[:, :0])
    np.testing.assert_allclose(score.interpolation_distance_legacy(start, end, fractions, z), everyone)
    assert (everyone <= expected).all()
    order, basis = rng.permutation(30), 3 * ortho_group.rvs(5, random_state=rng)
    moved = score.interpolation_distance(
        start @ basis, end @ basis, fractions, z[order] @ basis, order.argsort()[exclude]
    )
    np.testing.assert_allclose(moved, relative, rtol=1e-6)


def test_legacy_interpolation_distance_is_bounded_by_its_own_ends():
    rng = np.random.default_rng(1)
    start, end = rng.normal(size=(2, 4, 64))
    fractions, length = np.array([0.1, 0.5, 0.9]), np.linalg.norm(end - start, axis=1)[:, None]
    legacy = score.interpolation_distance_legacy(start, end, fractions, np.concatenate([start, end]))
    np.testing.assert_allclose(legacy, np.minimum(fractions, 1 - fractions) * length)


def test_interpolation_distance_in_blocks_and_without_answer(monkeypatch):
    rng = np.random.default_rng(2)
    z = rng.normal(size=(9, 3))
    exclude, fractions = np.array([[0, 1], [2, 3], [4, 5]]), np.array([0.5])
    whole = score.interpolation_distance(z[exclude[:, 0]], z[exclude[:, 1]], fractions, z, exclude)
    monkeypatch.setattr("morphobench.score.metrics.moments._BLOCK_ELEMENTS", 10)
    again = score.interpolation_distance(z[exclude[:, 0]], z[exclude[:, 1]], fractions, z, exclude)
    np.testing.assert_allclose(again, whole, rtol=1e-12)
    only_ends = score.interpolation_distance(z[:1], z[1:2], fractions, z[:2], exclude[:1])
    same_ends = score.interpolation_distance(z[:1], z[:1], fractions, z, exclude[:1])
    lost_cells = score.interpolation_distance(z[:1], z[1:2], fractions, np.full((4, 3), np.nan), exclude[:1])
    assert np.isnan([only_ends, same_ends, lost_cells]).all()
    broken = np.where(np.arange(9)[:, None] == 7, np.nan, z)
    without = score.interpolation_distance(z[:1], z[1:2], fractions, z[np.arange(9) != 7], exclude[:1])
    np.testing.assert_allclose(
        score.interpolation_distance(z[:1], z[1:2], fractions, broken, exclude[:1]), without
    )


def test_pairs_are_disjoint_seeded_and_do_not_depend_on_order():
    ids = [f"{nucleus}_{rule}" for nucleus in range(39) for rule in range(6)]
    pairs = score.evolution_pairs(ids, 117, np.random.default_rng(3))
    assert list(pairs) == ["pair", "start", "end"]
    assert sorted([*pairs["start"], *pairs["end"]]) == sorted(ids)
    pd.testing.assert_frame_equal(score.evolution_pairs(ids[::-1], 117, np.random.default_rng(3)), pairs)
    assert not score.evolution_pairs(ids, 117, np.random.default_rng(4)).equals(pairs)
    assert len(score.evolution_pairs(ids[:5], 117, np.random.default_rng(3))) == 2
    none = score.evolution_pairs(ids[:1], 1, np.random.default_rng(3))
    assert list(none) == list(pairs)
    assert none.empty


# ---------------------------------------------------------------- classification


def test_separable_labels_are_found_and_the_baseline_is_the_majority():
    rng = np.random.default_rng(0)
    z, labels, split = blobs(rng, n=240, n_labels=5, distance=30)
    found = score.classification_scores(z, labels, split)
    assert found.scores == pytest.approx(
        {"top_1": 1, "top_2": 1, "top_3": 1, "balanced_accuracy": 1, "auroc": 1, "majority": 0.2}
    )
    assert (split[found.rows] == "test").all()
    assert found.reason == ""


def test_codes_without_information_score_at_chance():
    rng = np.random.default_rng(1)
    z, labels = rng.normal(size=(4000, 3)), rng.integers(0, 4, 4000)
    split = np.where(np.arange(4000) % 2, "train", "test")
    found = score.classification_scores(z, labels, split).scores
    # Five standard errors of a proportion over 2000 cells.
    for name, chance in (
        ("top_1", 0.25),
        ("top_2", 0.5),
        ("top_3", 0.75),
        ("balanced_accuracy", 0.25),
        ("auroc", 0.5),
    ):
        assert found[name] == pytest.approx(chance, abs=0.06)


def test_a_rare_label_shows_in_balanced_accuracy_not_in_accuracy():
    rng = np.random.default_rng(2)
    labels = np.where(np.arange(2000) % 100 == 0, "Yes", "No")
    split = np.where(np.arange(2000) // 100 % 2, "train", "test")
    found = score.classification_scores(rng.normal(size=(2000, 2)), labels, split)
    assert found.scores["majority"] == 0.99
    assert abs(found.scores["balanced_accuracy"] - 0.5) < 0.3
    assert np.isnan([found.scores["top_2"], found.scores["top_3"]]).all()
    assert "top_2" not in found.per_cell


def test_scores_are_means_over_cells_and_blind_to_order_and_scale():
    rng = np.random.default_rng(3)
    z, labels, split = blobs(rng, distance=1.5)
    found = score.classification_scores(z, labels, split)
    assert 0.4 < found.scores["top_1"] < 1
    for name, values in found.per_cell.items():
        assert values.shape == found.rows.shape
        assert values.mean() == pytest.approx(found.scores[name])
    order = rng.permutation(len(z))
    again = score.classification_scores(7 * z[order] + 3, labels[order], split[order])
    assert again.scores == pytest.approx(found.scores, nan_ok=True)


def test_more_noise_means_worse_classification():
    rng = np.random.default_rng(4)
    z, labels, split = blobs(rng, n=600, distance=8)
    scores = [
        score.classification_scores(z + sd * rng.normal(size=z.shape), labels, split).scores
        for sd in (0, 6, 40)
    ]
    for name in ("top_1", "auroc", "balanced_accuracy"):
        assert scores[0][name] > scores[1][name] > scores[2][name]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda z, labels, split: (z, labels, np.where(split == "test", "val", split)), "no test cell"),
        (lambda z, labels, split: (z, np.full(len(z), "one"), split), "1 label"),
        (lambda z, labels, split: (np.full_like(z, np.nan), labels, split), "150 of 150 cells have a code"),
        (lambda z, labels, split: (z, np.full(len(z), None), split), "150 of 150 cells have no label"),
        (lambda z, labels, split: (z[:0], labels[:0], split[:0]), "0 label"),
    ],
)
def test_a_classification_that_is_impossible_says_why(spoil, reason):
    z, labels, split = spoil(*blobs(np.random.default_rng(0)))
    found = score.classification_scores(z, labels, split)
    assert np.isnan(list(found.scores.values())).all()
    assert reason in found.reason
    assert len(found.rows) == 0


def test_cells_without_code_or_label_are_left_out_and_unseen_labels_are_wrong():
    z, labels, split = blobs(np.random.default_rng(0), distance=30)
    clean = score.classification_scores(z, labels, split)
    labels = labels.astype(object)
    test, train = np.flatnonzero(split == "test"), np.flatnonzero(split == "train")
    z[train[0]], labels[train[1]] = np.nan, None
    labels[test[0]] = "never seen"
    found = score.classification_scores(z, labels, split)
    assert "1 of 150 cells have a code that is not finite; 1 of 150 cells have no label" in found.reason
    assert found.scores["top_1"] == pytest.approx(clean.scores["top_1"] - 1 / len(test))
    assert found.per_cell["top_2"][0] == 0


def test_legacy_cross_validation_scores_all_cells_in_five_rows():
    z, labels, _ = blobs(np.random.default_rng(5), distance=2)
    found = score.classification_scores_legacy(z, labels)
    assert found.top.shape == (5, 3)
    assert (np.diff(found.top, axis=1) >= 0).all()
    assert (found.top[:, 2] == 1).all()
    assert 0.5 < found.top[:, 0].mean() < 1
    binary = score.classification_scores_legacy(z, np.where(labels == "0", "a", "b"))
    assert (binary.top[:, 1:] == 1).all()
    np.testing.assert_array_equal(score.classification_scores_legacy(z, labels).top, found.top)


def test_legacy_cross_validation_that_is_impossible_says_why():
    z, labels, _ = blobs(np.random.default_rng(0))
    rare = np.where(np.arange(150) < 3, "rare", labels)
    for bad, reason in ((rare, "label rare has 3 cells"), (np.full(150, "one"), "1 label")):
        found = score.classification_scores_legacy(z, bad)
        assert found.top.shape == (5, 3)
        assert np.isnan(found.top).all()
        assert reason in found.reason
    assert "150 of 150" in score.classification_scores_legacy(np.full_like(z, np.nan), labels).reason


# ---------------------------------------------------------------- dimension


def test_dimension_of_a_flat_sheet_is_found_in_any_space():
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 4):
        sheet = rng.random((3000, dimension)) @ rng.normal(size=(dimension, 20))
        # Points at the border see fewer neighbours, which biases the estimate a little downwards.
        assert score.intrinsic_dimension(sheet, [10, 20]).value == pytest.approx(dimension, rel=0.08)


@settings(max_examples=8, deadline=None)
@seeded
def test_dimension_is_blind_to_order_basis_shift_scale_and_duplicates(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(60, 4))
    found = score.intrinsic_dimension(z, [5, 10])
    moved = 9 * rng.permutation(z) @ ortho_group.rvs(4, random_state=rng) + 2
    assert score.intrinsic_dimension(moved, [5, 10]).value == pytest.approx(found.value, rel=1e-6)
    doubled = score.intrinsic_dimension(np.concatenate([z, z[:7]]), [5, 10])
    assert doubled.value == pytest.approx(found.value)
    assert "7 of 67 codes" in doubled.reason
    assert score.participation_ratio(moved) == pytest.approx(score.participation_ratio(z))


def test_dimension_agrees_with_its_formula():
    z = np.random.default_rng(1).normal(size=(40, 3))
    k = 6
    distance = np.sort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)[:, 1 : k + 1]
    terms = np.log(distance[:, -1:] / distance[:, :-1])
    found = score.intrinsic_dimension(z, [k])
    assert found.value == pytest.approx(1 / terms.mean())
    assert 1 / found.inverse.mean() == pytest.approx(found.value)
    assert len(found.inverse) == len(found.rows) == 40


def test_dimension_grows_with_noise():
    rng = np.random.default_rng(2)
    line = np.outer(rng.random(500), np.ones(10))
    values = [
        score.intrinsic_dimension(line + sd * rng.normal(size=line.shape), [10]).value for sd in (0, 0.01, 1)
    ]
    assert values[0] < values[1] < values[2]


def test_dimension_without_an_answer_says_why():
    z = np.random.default_rng(3).normal(size=(12, 3))
    found = score.intrinsic_dimension(z, [2, 5, 12])
    assert np.isnan(found.per_k).tolist() == [True, False, True]
    assert found.value == pytest.approx(found.per_k[1])
    assert "k = 2, 12 with 12 codes" in found.reason
    for hopeless in (np.ones((30, 3)), np.full((30, 3), np.nan), z[:0]):
        for found in (score.intrinsic_dimension(hopeless, [5]), score.intrinsic_dimension_legacy(hopeless)):
            assert np.isnan(found.value)
            assert "no estimate" in found.reason
        assert np.isnan(score.participation_ratio(hopeless))


@pytest.mark.parametrize(
    ("n", "k"), [(1524, [12, 15, 18, 21, 24]), (2420, [19, 24, 29, 33, 38]), (1025, [8, 10, 12, 14, 16])]
)
def test_legacy_dimension_uses_the_published_k_and_formula(n, k):
    z = np.random.default_rng(4).normal(size=(n, 3))
    found = score.intrinsic_dimension_legacy(z)
    assert found.k.tolist() == k
    distance = np.sort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)[:, 1 : k[0] + 1]
    own = (k[0] - 2) / np.log(distance[:, -1:] / distance[:, :-1]).sum(axis=1)
    assert found.per_k[0] == pytest.approx(own.mean())
    assert found.value == pytest.approx(found.per_k.mean())


def test_legacy_dimension_drops_duplicates_altogether_and_needs_375_codes():
    z = np.random.default_rng(5).normal(size=(376, 3))
    assert np.isfinite(score.intrinsic_dimension_legacy(z).value)
    few_codes = score.intrinsic_dimension_legacy(np.concatenate([z, z[:2]]))
    assert len(few_codes.rows) == 374
    assert np.isnan(few_codes.value)
    assert "k = 2 with 374 codes" in few_codes.reason


def test_participation_ratio_has_its_known_values():
    corners = np.concatenate([np.eye(4), -np.eye(4)])
    assert score.participation_ratio(corners) == pytest.approx(4)
    assert score.participation_ratio(corners * [1, 0, 0, 0]) == pytest.approx(1)
    assert score.participation_ratio(corners * [2, 1, 0, 0]) == pytest.approx((4 + 1) ** 2 / (16 + 1))
    wide = np.random.default_rng(0).normal(size=(6, 40))
    eigenvalues = np.linalg.svd(wide - wide.mean(0), compute_uv=False) ** 2
    assert score.participation_ratio(wide) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


# ---------------------------------------------------------------- intervals, tables, relative scores


def test_bootstrap_interval_has_the_width_of_the_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = score.bootstrap_mean(values, n_resamples=4000, rng=np.random.default_rng(1))
    assert (found.value, found.n) == (pytest.approx(values.mean()), 400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2 / np.sqrt(400), rel=0.1)
    again = score.bootstrap_mean(values, n_resamples=4000, rng=np.random.default_rng(1))
    assert again == found


def test_cluster_bootstrap_sees_that_copies_are_no_new_evidence():
    values = np.random.default_rng(2).normal(size=50)
    copies, clusters = np.repeat(values, 6), np.repeat(np.arange(50), 6)
    width = {}
    for name, given_clusters in (("naive", None), ("clustered", clusters)):
        found = score.bootstrap_mean(
            copies, n_resamples=2000, rng=np.random.default_rng(0), clusters=given_clusters
        )
        assert found.value == pytest.approx(values.mean())
        width[name] = found.high - found.low
    assert width["clustered"] / width["naive"] == pytest.approx(np.sqrt(6), rel=0.1)


def test_bootstrap_drops_what_is_not_finite_and_admits_ignorance(monkeypatch):
    rng = np.random.default_rng(0)
    found = score.bootstrap_mean(np.array([1.0, np.nan, 3.0, np.inf]), n_resamples=100, rng=rng)
    assert (found.value, found.n) == (2.0, 2)
    assert 1 <= found.low <= 2 <= found.high <= 3
    empty = score.bootstrap_mean(np.full(3, np.nan), n_resamples=100, rng=rng)
    assert empty.n == 0
    assert np.isnan(empty[:3]).all()
    lonely = score.bootstrap_mean(np.arange(4.0), n_resamples=100, rng=rng, clusters=np.zeros(4))
    assert lonely.value == 1.5
    assert np.isnan([lonely.low, lonely.high]).all()
    values, whole = np.arange(10.0), {"n_resamples": 50}
    expected = score.bootstrap_mean(values, rng=np.random.default_rng(7), **whole)
    monkeypatch.setattr("morphobench.score.summary._BLOCK_ELEMENTS", 30)
    assert score.bootstrap_mean(values, rng=np.random.default_rng(7), **whole) == expected


def test_standardised_scores_are_relative_and_larger_is_better():
    values = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0})
    assert score.standardise(values, "high").to_dict() == {"a": -1.0, "b": 0.0, "c": 1.0}
    assert score.standardise(values, "low").to_dict() == {"a": 1.0, "b": 0.0, "c": -1.0}
    pd.testing.assert_series_equal(
        score.standardise(1000 * values + 7, "low"), score.standardise(values, "low")
    )


def test_standardised_scores_without_spread_are_zero_and_gaps_stay():
    same = pd.Series([0.1 + 0.2, 0.3, np.nan], index=list("abc"))
    result = score.standardise(same, "low")
    assert (result[["a", "b"]] == 0).all()
    assert np.isnan(result["c"])
    assert score.standardise(pd.Series({"only": 3.0}), "high")["only"] == 0


def test_score_table_has_fixed_columns_and_types():
    row = score.Score("d", "m", 1, "x", "legacy", "um", "low", 1, np.nan, np.nan, 3, "")
    full, empty = score.table([row]), score.table([])
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
        "reason",
    ]
    assert list(full) == list(empty) == names
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert full.dtypes[["seed", "n"]].eq(np.int64).all()
    assert full.dtypes[["value", "ci_low", "ci_high"]].eq(np.float64).all()


def test_embedding_columns_are_chosen_by_exact_name_in_numeric_order():
    table = pd.DataFrame(
        {"mu_10": [3.0], "maximum": [9.0], "mu_2": [2.0], "mu_2_sd": [9.0], "emu_1": [9.0], "mu_": [9.0]}
    )
    assert mu_columns(table) == ["mu_2", "mu_10"]
    assert score.embedding_matrix(table).tolist() == [[2.0, 3.0]]
    with pytest.raises(InputError, match="mu_0"):
        score.embedding_matrix(table[["maximum"]])


# ---------------------------------------------------------------- as published


def test_legacy_rotation_error_takes_a_prefix_and_is_diluted_by_the_unturned_pose():
    rng = np.random.default_rng(0)
    z, turned = rng.normal(size=(39, 8)), rng.normal(size=(3, 39, 8))
    found = score.rotation_invariance_error_legacy(z, turned, 5)
    assert found.shape == (4, 39)
    assert (found[0] == 0).all()
    real = score.rotation_invariance_error(z[:, :5], turned[:, :, :5])
    np.testing.assert_array_equal(found[1:], real)
    assert found.mean() == pytest.approx(0.75 * real.mean())


def test_legacy_interpolation_takes_a_prefix():
    rng = np.random.default_rng(0)
    z, fractions = rng.normal(size=(12, 6)), np.array([0.25, 0.5])
    found = score.interpolation_distance_legacy(z[:2], z[2:4], fractions, z, 4)
    first = score.interpolation_distance_legacy(z[:2, :4], z[2:4, :4], fractions, z[:, :4])
    np.testing.assert_array_equal(found, first)


def test_legacy_dimension_takes_a_prefix():
    z = np.random.default_rng(0).normal(size=(400, 6))
    assert score.intrinsic_dimension_legacy(z, 3)[0] == score.intrinsic_dimension_legacy(z[:, :3]).value


def test_near_duplicates_keep_their_distance_far_from_the_origin():
    z = np.random.default_rng(1).normal(size=(50, 4)) + 1e4
    z[1] = z[0] + 1e-7
    exact = np.sort(np.linalg.norm(z[:, None] - z, axis=2), axis=1)[:, 1:7]
    terms = np.log(exact[:, -1:] / exact[:, :-1])
    assert score.intrinsic_dimension(z, [6]).value == pytest.approx(1 / terms.mean(), rel=1e-6)


# ---------------------------------------------------------------- the classifier


def sklearn_pipeline(z, which, weights, tol):
    regression = LogisticRegression(C=1, max_iter=10000, tol=tol, class_weight=dict(enumerate(weights)))
    return make_pipeline(StandardScaler(), regression).fit(z, which)


def published_loss(probability, coefficients, z, which, weights):
    """Half the squared norm of the coefficients (of one logistic function for two labels) plus the loss."""
    scaled = coefficients * z.std(axis=0)[:, None]
    scaled = (scaled[:, 1:] - scaled[:, :1]) if len(weights) == 2 else scaled - scaled.mean(1, keepdims=True)
    own = probability[np.arange(len(which)), which]
    return (scaled**2).sum() / 2 - (weights[which] * np.log(own)).sum()


@pytest.mark.parametrize(("n_labels", "distance"), [(2, 1.0), (2, 6.0), (5, 0.5), (5, 4.0)])
def test_the_classifier_is_the_published_one_and_nearer_to_its_minimum(n_labels, distance):
    rng = np.random.default_rng(n_labels)
    z, labels, _ = blobs(rng, n=600, n_labels=n_labels, distance=distance, dimension=20)
    # Components of unlike scale, one of them constant, two of them the same.
    z = z * np.geomspace(0.01, 100, 20) + 3
    z[:, 4], z[:, 6] = 1.5, z[:, 7]
    which = labels.astype(int)
    which[rng.random(600) < 0.1] = 0
    weights = len(z) / (n_labels * np.bincount(which))
    ours = score.fit_logistic(z, which, weights)
    exact, usual = (sklearn_pipeline(z, which, weights, tol) for tol in (1e-12, 1e-4))
    assert ours.converged
    np.testing.assert_allclose(ours.probabilities(z), exact.predict_proba(z), atol=2e-3)
    loss = published_loss(ours.probabilities(z), ours.coefficients, z, which, weights)

    def sklearn_loss(model):
        coefficients = (model[-1].coef_ / model[0].scale_).T
        if n_labels == 2:
            coefficients = np.concatenate([-coefficients, coefficients], axis=1) / 2
        return published_loss(model.predict_proba(z), coefficients, z, which, weights)

    assert loss <= sklearn_loss(usual) * (1 + 1e-9)
    assert loss == pytest.approx(sklearn_loss(exact), rel=1e-5)


def test_a_warm_start_changes_the_way_not_the_end():
    z, labels, _ = blobs(np.random.default_rng(0), n=400, n_labels=4, distance=2, dimension=10)
    which, weights = labels.astype(int), np.ones(4)
    cold = score.fit_logistic(z, which, weights)
    warm = score.fit_logistic(z, which, weights, start=score.fit_logistic(z[::2], which[::2], weights))
    np.testing.assert_allclose(warm.probabilities(z), cold.probabilities(z), atol=1e-4)


def test_constant_codes_answer_with_the_weights():
    found = score.fit_logistic(np.ones((30, 3)), np.arange(30) % 3, np.ones(3))
    np.testing.assert_allclose(found.probabilities(np.ones((1, 3))), 1 / 3, atol=1e-6)


def test_legacy_folds_are_those_of_the_published_procedure():
    z, labels, _ = blobs(np.random.default_rng(6), n=300, n_labels=4, distance=1.5, dimension=12)
    which = labels.astype(int)
    weights = len(z) / (4 * np.bincount(which))
    expected = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=2652124).split(z, which):
        model = sklearn_pipeline(z[train], which[train], weights, 1e-10)
        expected.append(
            [top_k_accuracy_score(which[test], model.predict_proba(z[test]), k=k) for k in (1, 2, 3)]
        )
    np.testing.assert_allclose(score.classification_scores_legacy(z, labels).top, expected)


@few
@seeded
def test_weighted_areas_and_recalls_are_those_of_repeated_cells(seed):
    rng = np.random.default_rng(seed)
    truth = np.array(["a", "b", "c"])[rng.permutation(np.arange(30) % 3)]
    # Rounded, so that there are ties.
    probability = rng.random((30, 3)).round(1)
    weights = rng.integers(0, 3, size=(4, 30)).astype(float)
    found = classification.auroc(probability, np.array(["a", "b", "c"]), truth, weights)
    hits = (rng.random(30) < 0.6).astype(float)
    recalls = classification.balanced_accuracy(hits, truth, weights)
    for row, times in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(30), times)
        areas = [roc_auc_score(truth[drawn] == name, probability[drawn, c]) for c, name in enumerate("abc")]
        assert found[row] == pytest.approx(np.mean(areas))
        expected = pd.Series(hits[drawn]).groupby(truth[drawn]).mean().mean()
        assert recalls[row] == pytest.approx(expected)


def test_codes_of_turned_cells_are_scored_by_the_classifier_of_the_others():
    z, labels, split = blobs(np.random.default_rng(7), distance=8)
    test = split == "test"
    same = score.classification_scores(z, labels, split, z_test=z[test])
    assert same.scores == pytest.approx(score.classification_scores(z, labels, split).scores, nan_ok=True)
    lost = z[test].copy()
    lost[0] = np.nan
    found = score.classification_scores(z, labels, split, z_test=lost)
    assert "1 of 36 test cells" in found.reason
    shuffled = score.classification_scores(z, labels, split, z_test=np.roll(z[test], 1, axis=0))
    assert shuffled.scores["auroc"] < 0.5


# ---------------------------------------------------------------- outliers


def test_outliers_are_named_by_either_side():
    values = pd.Series(["fine", "dead", None, "no signal"])
    assert score.outlier_labels(values, {"outlier": ["dead", "no signal"]}).tolist() == [
        "inlier",
        "outlier",
        None,
        "outlier",
    ]
    by_inlier = score.outlier_labels(values, {"inlier": ["fine"]})
    assert by_inlier.tolist() == score.outlier_labels(values, {"outlier": ["dead", "no signal"]}).tolist()
    numbers = score.outlier_labels(pd.Series([0, 1]), {"outlier": [1]})
    assert numbers.tolist() == ["inlier", "outlier"]


def test_outliers_are_found_where_they_lie_apart_and_not_elsewhere():
    rng = np.random.default_rng(8)
    labels = np.where(np.arange(400) % 20 == 0, "outlier", "inlier")
    split = np.where(np.arange(400) // 20 % 2, "train", "test")
    z = rng.normal(size=(400, 4))
    apart = z + 9.0 * (labels == "outlier")[:, None]
    near, far = (score.outlier_detection(codes, labels, split).scores for codes in (z, apart))
    assert far["auroc"] == far["balanced_accuracy"] == 1
    assert near["auroc"] < 0.9
    folds = score.outlier_detection_legacy(apart, labels)
    assert folds.balanced_accuracy.tolist() == [1.0] * 5
    blurred = score.outlier_detection_legacy(z, labels).balanced_accuracy
    np.testing.assert_array_equal(blurred, blurred.round(2))
    few = np.where(np.arange(400) < 3, "outlier", "inlier")
    assert "has 3 cells" in score.outlier_detection_legacy(z, few).reason
