"""Multinomial logistic regression."""

import numpy as np
import pytest
from fabricate.blobs import blobs
from reference_scores import classifier

from morphobench.metrics.logistic import fit_logistic


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
    ours = fit_logistic(z, which, weights)
    exact, usual = (
        classifier(dict(enumerate(weights)), tol=tol, max_iter=10000).fit(z, which) for tol in (1e-12, 1e-4)
    )
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


def test_a_warm_start_changes_the_path_not_the_minimum():
    z, labels, _ = blobs(np.random.default_rng(0), n=400, n_labels=4, distance=2, dimension=10)
    which, weights = labels.astype(int), np.ones(4)
    cold = fit_logistic(z, which, weights)
    warm = fit_logistic(z, which, weights, start=fit_logistic(z[::2], which[::2], weights))
    np.testing.assert_allclose(warm.probabilities(z), cold.probabilities(z), atol=1e-4)


def test_constant_embeddings_answer_with_the_weights():
    found = fit_logistic(np.ones((30, 3)), np.arange(30) % 3, np.ones(3))
    np.testing.assert_allclose(found.probabilities(np.ones((1, 3))), 1 / 3, atol=1e-6)
