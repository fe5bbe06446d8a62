"""What every contestant is: a LightningModule with an (ideally invariant) code and, if it has one, a pose."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pytorch_lightning as pl
import torch

from morphobench import seeds
from morphobench.augment import augmented
from morphobench.errors import InputError
from morphobench.inputs import Batch, drawn
from morphobench.models.losses import LOSSES
from morphobench.models.priors import GaussianPrior, IdentityPrior


class Latent(NamedTuple):
    """Result of encoding a batch.

    Attributes
    ----------
    z
        The representation, shape (batch, latent_dim).
    pose
        Rotation from the canonical to the observed frame, shape (batch, 3, 3), x = R x_canonical;
        None for a model without one.
    """

    z: torch.Tensor
    pose: torch.Tensor | None


class Fit(NamedTuple):
    """What a training step compares.

    Attributes
    ----------
    found, given
        What the model makes of a batch and what it should have made, in the form that the loss compares.
    divergence
        Of each cell's code from the prior, shape (batch,).
    """

    found: torch.Tensor
    given: torch.Tensor
    divergence: torch.Tensor


class Plan(NamedTuple):
    """How a model is to be trained.

    Attributes
    ----------
    settings
        Content of the model's yaml.
    seed
        Of draws and noise.
    threads
        Of the process that trains.
    compiled
        Whether to compile the training step.
    """

    settings: Mapping[str, Any]
    seed: int
    threads: int = 1
    compiled: bool = False


def quiet() -> None:
    """Silence the hints and device lists of Lightning, which would bury our own progress lines."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        warnings.filterwarnings("ignore", module=name)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Autoencoder(pl.LightningModule):
    """Base of all models. Subclasses implement `infer` and `decode`, and may set `prior`.

    A batch `x` is a float tensor in model units: shape (batch, n_points, 3), xyz, for clouds, with a fourth
    column for models that read intensity; shape (batch, 1, s, s, s), zyx, for volumes.
    """

    representations: ClassVar[tuple[str, ...]]
    latent_dim: int
    plan: Plan

    def __init__(self) -> None:
        super().__init__()
        self.prior: IdentityPrior | GaussianPrior = IdentityPrior()

    def infer(self, x: torch.Tensor) -> Latent:
        """Encode a batch into what the prior reads, shape (batch, latent_dim), and the pose."""
        raise NotImplementedError

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode codes of shape (batch, latent_dim): canonical shapes, or posed ones when `pose` is given."""
        raise NotImplementedError

    def encode_with_pose(self, x: torch.Tensor) -> Latent:
        """Encode a batch into its code and pose."""
        latent = self.infer(x)
        return Latent(self.prior.mean(latent.z), latent.pose)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the code of a batch, shape (batch, latent_dim)."""
        return self.encode_with_pose(x).z

    def decodable(self, x: torch.Tensor) -> torch.Tensor:
        """Return what `decode` reads of a batch: its code, where that alone holds the shape."""
        return self.encode(x)

    def pose(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rotation from canonical to observed frame, shape (batch, 3, 3); identity if unposed."""
        pose = self.infer(x).pose
        if pose is not None:
            return pose
        return torch.eye(3, dtype=x.dtype, device=x.device).expand(len(x), 3, 3)

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        """Encode and decode a batch in its observed frame, same kind of tensor as `x`."""
        latent = self.encode_with_pose(x)
        return self.decode(latent.z, latent.pose)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reconstruct a batch."""
        return self.reconstruct(x)

    def export(self) -> Autoencoder:
        """Return the model in the form that is fastest for inference; the model itself, unless overridden."""
        return self

    def fit_batch(self, batch: Batch, generator: torch.Generator) -> Fit:
        """Reconstruct a batch from codes drawn around its own, as the prior has it."""
        latent = self.infer(batch.x)
        z, divergence = self.prior.sample(latent.z, generator)
        return Fit(self.decode(z, latent.pose), batch.x, divergence)

    def setup(self, stage: str) -> None:
        """Prepare the process that trains: neither threads nor compiled code pass from one to another."""
        quiet()
        torch.set_num_threads(self.plan.threads)
        training = self.plan.settings["training"]
        self._compare = partial(LOSSES[training["loss"]], **(training.get("loss_options") or {}))
        self._fit = torch.compile(self.fit_batch) if self.plan.compiled else self.fit_batch

    def _generator(self, *parts: str | int) -> torch.Generator:
        parts += (self.global_rank,) if self.global_rank else ()
        return torch.Generator().manual_seed(seeds.integer(self.plan.seed, *parts))

    def _loss(self, batch: Batch, generator: torch.Generator, phase: str) -> torch.Tensor:
        fit = self._fit(batch, generator)
        beta = self.plan.settings["training"].get("beta", 1.0)
        loss = (self._compare(fit.found, fit.given) + beta * fit.divergence).mean()
        if not torch.isfinite(loss):
            raise InputError(
                f"the {phase} loss is {loss.item()} in epoch {self.current_epoch}, step {self.global_step}. "
                "The last good checkpoint is kept. Lower training.lr in the model's yaml and run the same "
                "command again."
            )
        self.log(f"{phase}/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.x), sync_dist=True)
        return loss

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the mean loss of a batch, drawn and augmented anew; stop when it is not finite."""
        generator = self._generator("noise", self.current_epoch, batch_idx)
        batch = drawn(batch, self.plan.settings, generator)
        return self._loss(augmented(batch, self.plan.settings["training"], generator), generator, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the mean loss over validation cells, drawn alike in every epoch; stop when it is not finite."""
        generator = self._generator("validation", batch_idx)
        self._loss(drawn(batch, self.plan.settings, generator), generator, "val")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the paper."""
        return torch.optim.Adam(self.parameters(), lr=self.plan.settings["training"]["lr"])
