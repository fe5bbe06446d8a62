"""Linear classification of embeddings."""

import numpy as np
import pandas as pd
import pytest
from fabricate.blobs import blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_scores import classifier
from sklearn.metrics import roc_auc_score, top_k_accuracy_score
from sklearn.model_selection import StratifiedKFold

from morphobench.metrics.classification import (
    auroc,
    balanced_accuracy,
    classification_scores,
    classification_scores_legacy,
    scores_of,
)
from morphobench.metrics.predictions import predictions

seeded = given(st.integers(0, 2**32 - 1))
few = settings(max_examples=25, deadline=None)


def test_separable_labels_are_classified_and_the_baseline_is_the_majority():
    rng = np.random.default_rng(0)
    z, labels, split = blobs(rng, n=240, n_labels=5, distance=30)
    found = classification_scores(z, labels, split)
    assert found.scores == pytest.approx(
        dict.fromkeys(("top_1", "top_2", "top_3", "balanced_accuracy", "auroc"), 1)
        | dict.fromkeys(("majority", "majority_balanced"), 0.2)
    )
    assert (split[found.rows] == "test").all()
    assert found.reason == ""


def test_embeddings_without_information_score_at_chance():
    rng = np.random.default_rng(1)
    z, labels = rng.normal(size=(4000, 3)), rng.integers(0, 4, 4000)
    split = np.where(np.arange(4000) % 2, "train", "test")
    found = classification_scores(z, labels, split).scores
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
    found = classification_scores(rng.normal(size=(2000, 2)), labels, split)
    assert found.scores["majority"] == 0.99
    assert abs(found.scores["balanced_accuracy"] - 0.5) < 0.3
    assert np.isnan([found.scores["top_2"], found.scores["top_3"]]).all()
    assert "top_2" not in found.per_cell


def test_scores_are_means_over_cells_and_invariant_to_order_and_scale():
    rng = np.random.default_rng(3)
    z, labels, split = blobs(rng, distance=1.5)
    found = classification_scores(z, labels, split)
    assert 0.4 < found.scores["top_1"] < 1
    for name, values in found.per_cell.items():
        assert values.shape == found.rows.shape
        assert values.mean() == pytest.approx(found.scores[name])
    order = rng.permutation(len(z))
    again = classification_scores(7 * z[order] + 3, labels[order], split[order])
    assert again.scores == pytest.approx(found.scores, nan_ok=True)


def test_more_noise_means_worse_classification():
    rng = np.random.default_rng(4)
    z, labels, split = blobs(rng, n=600, distance=8)
    scores = [
        classification_scores(z + sd * rng.normal(size=z.shape), labels, split).scores for sd in (0, 6, 40)
    ]
    for name in ("top_1", "auroc", "balanced_accuracy"):
        assert scores[0][name] > scores[1][name] > scores[2][name]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda z, labels, split: (z, labels, np.where(split == "test", "val", split)), "no test cell"),
        (lambda z, labels, split: (z, np.full(len(z), "one"), split), "1 label"),
        (
            lambda z, labels, split: (np.full_like(z, np.nan), labels, split),
            "150 of 150 cells have an emb",
        ),
        (lambda z, labels, split: (z, np.full(len(z), None), split), "150 of 150 cells have no label"),
        (lambda z, labels, split: (z[:0], labels[:0], split[:0]), "0 label"),
    ],
)
def test_a_classification_that_is_impossible_says_why(spoil, reason):
    z, labels, split = spoil(*blobs(np.random.default_rng(0)))
    found = classification_scores(z, labels, split)
    assert np.isnan(list(found.scores.values())).all()
    assert reason in found.reason
    assert len(found.rows) == 0


def test_cells_without_embedding_or_label_are_left_out_and_unseen_labels_are_wrong():
    z, labels, split = blobs(np.random.default_rng(0), distance=30)
    clean = classification_scores(z, labels, split)
    labels = labels.astype(object)
    test, train = np.flatnonzero(split == "test"), np.flatnonzero(split == "train")
    z[train[0]], labels[train[1]] = np.nan, None
    labels[test[0]] = "never seen"
    found = classification_scores(z, labels, split)
    assert "1 of 150 cells have an embedding that is not finite; 1 of 150 cells have no label" in found.reason
    assert found.scores["top_1"] == pytest.approx(clean.scores["top_1"] - 1 / len(test))
    assert found.per_cell["top_2"][0] == 0


def test_legacy_cross_validation_scores_all_cells_in_five_rows():
    z, labels, _ = blobs(np.random.default_rng(5), distance=2)
    found = classification_scores_legacy(z, labels)
    assert found.values.shape == (5, 3)
    assert (np.diff(found.values, axis=1) >= 0).all()
    assert (found.values[:, 2] == 1).all()
    assert 0.5 < found.values[:, 0].mean() < 1
    binary = classification_scores_legacy(z, np.where(labels == "0", "a", "b"))
    assert (binary.values[:, 1:] == 1).all()
    np.testing.assert_array_equal(classification_scores_legacy(z, labels).values, found.values)


def test_legacy_cross_validation_that_is_impossible_says_why():
    z, labels, _ = blobs(np.random.default_rng(0))
    rare = np.where(np.arange(150) < 3, "rare", labels)
    for bad, reason in ((rare, "label rare has 3 cells"), (np.full(150, "one"), "1 label")):
        found = classification_scores_legacy(z, bad)
        assert found.values.shape == (5, 3)
        assert np.isnan(found.values).all()
        assert reason in found.reason
    assert "150 of 150" in classification_scores_legacy(np.full_like(z, np.nan), labels).reason


def test_legacy_folds_are_those_of_the_published_procedure():
    z, labels, _ = blobs(np.random.default_rng(6), n=300, n_labels=4, distance=1.5, dimension=12)
    which = labels.astype(int)
    weights = len(z) / (4 * np.bincount(which))
    expected = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=2652124).split(z, which):
        model = classifier(dict(enumerate(weights)), tol=1e-10, max_iter=10000).fit(z[train], which[train])
        expected.append(
            [top_k_accuracy_score(which[test], model.predict_proba(z[test]), k=k) for k in (1, 2, 3)]
        )
    np.testing.assert_allclose(classification_scores_legacy(z, labels).values, expected)


@few
@seeded
def test_weighted_areas_and_recalls_are_those_of_repeated_cells(seed):
    rng = np.random.default_rng(seed)
    truth = np.array(["a", "b", "c"])[rng.permutation(np.arange(30) % 3)]
    # Rounded, so that there are ties.
    probability = rng.random((30, 3)).round(1)
    weights = rng.integers(0, 3, size=(4, 30)).astype(float)
    found = auroc(probability, np.array(["a", "b", "c"]), truth, weights)
    hits = (rng.random(30) < 0.6).astype(float)
    recalls = balanced_accuracy(hits, truth, weights)
    for row, times in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(30), times)
        areas = [roc_auc_score(truth[drawn] == name, probability[drawn, c]) for c, name in enumerate("abc")]
        assert found[row] == pytest.approx(np.mean(areas))
        expected = pd.Series(hits[drawn]).groupby(truth[drawn]).mean().mean()
        assert recalls[row] == pytest.approx(expected)


def test_embeddings_of_rotated_cells_are_scored_by_the_classifier_of_the_others():
    z, labels, split = blobs(np.random.default_rng(7), distance=8)
    test = split == "test"
    same = classification_scores(z, labels, split, z_test=z[test])
    assert same.scores == pytest.approx(classification_scores(z, labels, split).scores, nan_ok=True)
    lost = z[test].copy()
    lost[0] = np.nan
    found = classification_scores(z, labels, split, z_test=lost)
    assert "1 of 36 test cells" in found.reason
    shuffled = classification_scores(z, labels, split, z_test=np.roll(z[test], 1, axis=0))
    assert shuffled.scores["auroc"] < 0.5


def test_predictions_of_folds_are_ranked_within_their_fold():
    rng = np.random.default_rng(5)
    labels = rng.choice(["a", "b", "c"], 300)
    z = rng.normal(size=(300, 3)) + (labels[:, None] == ["a", "b", "c"])
    fold = np.arange(300) % 3
    parts = [predictions(z, labels, np.where(fold == number, "test", "train")) for number in range(3)]
    whole = scores_of(parts)
    np.testing.assert_array_equal(np.sort(whole.rows), np.arange(300))
    within = np.mean([scores_of([part]).scores["auroc"] for part in parts])
    assert whole.scores["auroc"] == pytest.approx(within, abs=0.02)
    # Probabilities that are all higher in one fold change no rank within it.
    shifted = [parts[0]._replace(probability=parts[0].probability / 2), *parts[1:]]
    assert scores_of(shifted).scores["auroc"] == whole.scores["auroc"]
    hits = np.concatenate([scores_of([part]).per_cell["top_1"] for part in parts])
    assert whole.scores["top_1"] == pytest.approx(hits.mean())


def test_a_label_that_a_fold_has_not_met_is_wrong_there_alone():
    rng = np.random.default_rng(6)
    labels = np.repeat(["a", "b", "c"], [40, 40, 4])
    z = rng.normal(size=(84, 3)) + 9 * (labels[:, None] == ["a", "b", "c"])
    # All cells of c are tested in one fold, whose classifier has not met them.
    fold = np.where(labels == "c", 0, np.arange(84) % 2)
    found = scores_of(
        [predictions(z, labels, np.where(fold == number, "test", "train")) for number in (0, 1)]
    )
    assert found.scores["balanced_accuracy"] == pytest.approx(2 / 3, abs=0.02)
