"""Priors on the embedding: none, as every published model has it, or a standard normal one."""

from typing import Literal

import torch
from torch import nn

from morphobench.errors import InputError

Prior = Literal["identity", "gaussian"]

# The published bound, without which one bad step overflows the variance.
_LARGEST_LOG_VARIANCE = 8.0


class IdentityPrior(nn.Module):
    """No prior: the embedding is used as it is, without divergence."""

    def mean(self, z: torch.Tensor) -> torch.Tensor:
        """Return the embedding, shape (batch, latent_dim)."""
        return z

    def sample(self, z: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the embedding, (batch, latent_dim), and a divergence of zero for each cell, (batch,)."""
        return z, z.new_zeros(len(z))


class GaussianPrior(nn.Module):
    """Standard normal prior (Kingma & Welling 2014, appendix B; the isotropic prior of the published code).

    A linear layer reads mean and log variance off the encoder's (invariant) output, so that the variance of
    an embedding made of lengths can be less than one.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.mean_and_log_variance = nn.Linear(latent_dim, 2 * latent_dim)

    def _distribution(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.mean_and_log_variance(z).chunk(2, dim=1)
        return mean, log_variance.clamp_max(_LARGEST_LOG_VARIANCE)

    def mean(self, z: torch.Tensor) -> torch.Tensor:
        """Return the mean embedding, shape (batch, latent_dim), of the encoder's output."""
        return self._distribution(z)[0]

    def sample(self, z: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Sample embeddings, (batch, latent_dim), with a CPU generator; return them and their divergences.

        The Kullback-Leibler divergence from the prior, shape (batch,), is summed over latent dimensions.
        """
        mean, log_variance = self._distribution(z)
        noise = torch.randn(mean.shape, generator=generator).to(mean, non_blocking=True)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return mean + (log_variance / 2).exp() * noise, divergence.sum(dim=1)


def make_prior(name: str, latent_dim: int) -> IdentityPrior | GaussianPrior:
    """Return the prior of this name.

    Raises
    ------
    InputError
        For another name.
    """
    if name == "identity":
        return IdentityPrior()
    if name == "gaussian":
        return GaussianPrior(latent_dim)
    raise InputError(f"prior = {name!r} is unknown. Choose 'identity' (the published one) or 'gaussian'.")
