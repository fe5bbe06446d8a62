"""Priors on the code: none, as every published model has it, or a standard normal one."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from morphobench.errors import InputError

Prior = Literal["identity", "gaussian"]

# The published bound, without which one bad step overflows the variance.
_LARGEST_LOG_VARIANCE = 8.0


class IdentityPrior(nn.Module):
    """No prior: the code is used as it is and costs nothing."""

    def mean(self, code: torch.Tensor) -> torch.Tensor:
        """Return the code, shape (batch, latent_dim)."""
        return code

    def sample(self, code: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the code and a divergence of zero for each cell, shapes (batch, latent_dim) and (batch,)."""
        return code, code.new_zeros(len(code))


class GaussianPrior(nn.Module):
    """Standard normal prior: the code's mean and variance are read off the encoder's (invariant) output.

    The read-out is linear, so that the variance of a code that is made of lengths can be less than one.

    Parameters
    ----------
    latent_dim
        Length of a code.

    Notes
    -----
    Kingma & Welling 2014, appendix B; the isotropic prior of the published code base.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.parameters_of = nn.Linear(latent_dim, 2 * latent_dim)

    def _moments(self, code: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.parameters_of(code).chunk(2, dim=1)
        return mean, log_variance.clamp_max(_LARGEST_LOG_VARIANCE)

    def mean(self, code: torch.Tensor) -> torch.Tensor:
        """Return the most probable code, shape (batch, latent_dim)."""
        return self._moments(code)[0]

    def sample(self, code: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw a code for each cell with a CPU generator; return the codes and the divergences to the prior.

        Shapes (batch, latent_dim) and (batch,); the divergence is summed over the code.
        """
        mean, log_variance = self._moments(code)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
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
