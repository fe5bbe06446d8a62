"""What Lightning fits: a model with its loss, the draws of every batch and the optimiser.

Apart from the models, so that what only encodes or decodes does not import Lightning.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.models.base import Autoencoder
from morphobench.models.device import configure_torch
from morphobench.models.inputs import Batch, subsample
from morphobench.models.losses import LOSSES
from morphobench.train.augment import augmented


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
    tf32
        See `configure_torch`.
    """

    settings: Mapping[str, Any]
    seed: int
    threads: int = 1
    compiled: bool = False
    tf32: bool = False


def quiet() -> None:
    """Silence the hints and device lists of Lightning, which would bury our own progress lines."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        warnings.filterwarnings("ignore", module=name)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Fitting(pl.LightningModule):
    """The training of one model by one plan."""

    def __init__(self, model: Autoencoder, plan: Plan) -> None:
        super().__init__()
        self.model, self.plan = model, plan

    def setup(self, stage: str) -> None:
        """Prepare the process that trains: neither threads nor compiled code pass from one to another."""
        quiet()
        configure_torch(self.plan.threads, tf32=self.plan.tf32)
        training = self.plan.settings["training"]
        self._compare = partial(LOSSES[training["loss"]], **(training.get("loss_options") or {}))
        step = self.model.loss_terms
        self._loss_terms = torch.compile(step) if self.plan.compiled else step

    def _generator(self, *parts: str | int) -> torch.Generator:
        parts += (self.global_rank,) if self.global_rank else ()
        return torch.Generator().manual_seed(seeds.integer(self.plan.seed, *parts))

    def _loss(self, batch: Batch, generator: torch.Generator, phase: str) -> torch.Tensor:
        terms = self._loss_terms(batch, generator)
        beta = self.plan.settings["training"].get("beta", 1.0)
        loss = (self._compare(terms.output, terms.target) + beta * terms.divergence).mean()
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
        batch = subsample(batch, self.plan.settings, generator)
        return self._loss(augmented(batch, self.plan.settings["training"], generator), generator, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the mean loss over validation cells, drawn alike in every epoch; stop when it is not finite."""
        generator = self._generator("validation", batch_idx)
        self._loss(subsample(batch, self.plan.settings, generator), generator, "val")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the paper."""
        return torch.optim.Adam(self.parameters(), lr=self.plan.settings["training"]["lr"])


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the model that was fitted, from a checkpoint of its training."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")["state_dict"]
    return {name.removeprefix("model."): weights for name, weights in state.items()}
