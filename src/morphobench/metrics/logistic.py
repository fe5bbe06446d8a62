"""Multinomial logistic regression on embeddings: the published model, fitted in better coordinates."""

from typing import NamedTuple

import numpy as np

from morphobench.metrics.covariance import blocks, mean_and_scatter, standard_scale

MAX_ITERATIONS = 3000
_OPTIONS = {"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "maxcor": 20}
_OPTIONS |= {"gtol": 1e-6, "ftol": 64 * np.finfo(np.float64).eps}


class Logistic(NamedTuple):
    """A fitted classifier: `coefficients`, shape (D, labels), per unit of z; `intercept`, shape (labels,)."""

    coefficients: np.ndarray
    intercept: np.ndarray
    converged: bool

    def probabilities(self, z: np.ndarray) -> np.ndarray:
        """Return the probability of every label for embeddings of shape (n, D), shape (n, labels)."""
        return _softmax(z @ self.coefficients + self.intercept)


def fit_logistic(
    z: np.ndarray, which: np.ndarray, weights: np.ndarray, *, start: Logistic | None = None
) -> Logistic:
    """Standardise embeddings and fit a multinomial logistic regression with an L2 penalty, C = 1.

    Minimises ``|W|^2 / 2 + sum_i weights[which_i] * cross_entropy_i`` over the coefficients W of standardised
    embeddings (intercepts are free); with two labels the penalty is that of a single logistic function, twice
    as large. The minimum is unique but for constants added to all labels. `z` is finite, shape (n, D);
    `which` numbers the label of each row; `weights` has shape (labels,). `start`, the solution of a similar
    problem such as another fold, saves steps and leads to the same minimum.

    Source: the classifier of Vasan et al. 2025 (scikit-learn's LogisticRegression after StandardScaler).
    Embeddings are rotated into principal axes, which leaves the penalty as it is, and scaled so that the loss
    is about equally curved along every direction: L-BFGS then needs a fraction of the steps, and stops much
    nearer to the minimum than scikit-learn's default tolerance does.
    """
    from scipy.optimize import minimize

    problem = _Problem(z, which, weights)
    start = start or Logistic(np.zeros((z.shape[1], len(weights))), np.zeros(len(weights)), False)
    first = problem.parameters(start.coefficients, start.intercept)
    result = minimize(problem.loss_and_gradient, first, jac=True, method="L-BFGS-B", options=_OPTIONS)
    return Logistic(*problem.solution(result.x), bool(result.success))


class _Problem:
    """The loss in scaled principal axes; a vector of parameters holds (D + 1, labels), intercepts last."""

    def __init__(self, z: np.ndarray, which: np.ndarray, weights: np.ndarray) -> None:
        self.z, self.which, self.n_labels = z, which, len(weights)
        self.weights = weights[which] / weights[which].sum()
        self.mean, scatter = mean_and_scatter(z)
        scale = standard_scale(self.mean, scatter, len(z))
        variances, axes = np.linalg.eigh(scatter / len(z) / np.outer(scale, scale))
        # Standardised embeddings in principal axes are (z - mean) @ to_axes; from_axes is its inverse.
        self.to_axes, self.from_axes = axes / scale[:, None], axes.T * scale
        self.penalty = (2.0 if self.n_labels == 2 else 1.0) / weights[which].sum()
        # The curvature where all labels are equally probable; the same for all labels keeps their symmetry.
        spread = (1 - 1 / self.n_labels) / self.n_labels
        curvature = np.append(variances.clip(min=0) * spread + self.penalty, spread)
        self.stretch = np.sqrt(curvature)[:, None]

    def parameters(self, coefficients: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        """Return the vector of parameters of coefficients and intercept in units of the embeddings."""
        in_axes = np.vstack([self.from_axes @ coefficients, intercept + self.mean @ coefficients])
        return (in_axes * self.stretch).ravel()

    def solution(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients and intercept in units of the embeddings."""
        in_axes = parameters.reshape(-1, self.n_labels) / self.stretch
        coefficients = self.to_axes @ in_axes[:-1]
        return coefficients, in_axes[-1] - self.mean @ coefficients

    def loss_and_gradient(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients, intercept = self.solution(parameters)
        loss, slope, total = 0.0, np.zeros_like(coefficients), np.zeros(self.n_labels)
        for part in blocks(len(self.z), self.z.shape[1]):
            probability = _softmax(self.z[part] @ coefficients + intercept)
            own = (np.arange(len(probability)), self.which[part])
            loss -= self.weights[part] @ np.log(probability[own].clip(min=np.finfo(np.float64).tiny))
            probability[own] -= 1
            residual = probability * self.weights[part, None]
            slope += self.z[part].T @ residual
            total += residual.sum(axis=0)
        in_axes = parameters.reshape(-1, self.n_labels)[:-1] / self.stretch[:-1]
        gradient = self.to_axes.T @ (slope - np.outer(self.mean, total)) + self.penalty * in_axes
        penalty = self.penalty / 2 * (in_axes**2).sum()
        return loss + penalty, (np.vstack([gradient, total]) / self.stretch).ravel()


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)
