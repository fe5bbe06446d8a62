"""Priors: the divergence is the textbook's, samples follow their generator, invariance survives."""

from __future__ import annotations

import pytest
import torch
from fabricate.sampled import write_sampled
from fabricate.trained import run_training, small_config
from torch.distributions import Normal, kl_divergence

from morphobench import models
from morphobench.errors import InputError
from morphobench.models.priors import GaussianPrior, IdentityPrior, make_prior


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def gaussian():
    torch.manual_seed(0)
    return GaussianPrior(6)


def test_without_a_prior_the_embedding_is_free():
    z = torch.randn(4, 6)
    sampled, divergence = IdentityPrior().sample(z, seeded())
    assert sampled is z
    assert not divergence.any()


def test_the_divergence_is_that_of_two_normals(gaussian):
    z = torch.randn(4, 6)
    mean, log_variance = gaussian.mean_and_log_variance(z).chunk(2, dim=1)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(gaussian.sample(z, seeded())[1], expected)


def test_samples_spread_about_the_mean_and_follow_the_generator(gaussian):
    z = torch.randn(1, 6).expand(20000, 6)
    sampled = gaussian.sample(z, seeded())[0]
    _, log_variance = gaussian.mean_and_log_variance(z[:1]).chunk(2, dim=1)
    torch.testing.assert_close(sampled.mean(dim=0), gaussian.mean(z)[0], atol=0.04, rtol=0)
    torch.testing.assert_close(sampled.var(dim=0), log_variance[0].exp(), atol=0, rtol=0.05)
    assert torch.equal(sampled, gaussian.sample(z, seeded())[0])


def test_an_absurd_variance_stays_finite(gaussian):
    z, divergence = gaussian.sample(torch.full((1, 6), 1e4), seeded())
    assert torch.isfinite(z).all()
    assert torch.isfinite(divergence).all()


def test_an_unknown_prior_is_named():
    with pytest.raises(InputError, match="prior = 'normal' is unknown"):
        make_prior("normal", 6)


@pytest.mark.parametrize(
    "family", [family for family in models.FAMILIES if family != "rotation_invariant_pointcloud_sdf"]
)
def test_every_explicit_family_trains_with_it_and_comes_back(family, tmp_path):
    chosen = small_config(family, max_epochs=2, beta=0.01)
    chosen["architecture"]["prior"] = "gaussian"
    out = run_training(write_sampled(tmp_path / "data"), tmp_path / "out", chosen)
    model = models.load(out / "model.pt")[0]
    shape = (2, 1, 9, 9, 9) if chosen["representation"] == "cube" else (2, 64, 3)
    x = torch.randn(shape, generator=seeded(1))
    assert model.encode(x).shape == (2, 8)
    assert torch.equal(model.encode(x), model.encode(x))
