"""LightningModule of a training: subsampling, augmentation, loss and optimizer.

Apart from the models, so that encoding and decoding do not import Lightning.
"""

import logging
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from morphobench import seeds
from morphobench.models.base import Autoencoder
from morphobench.models.device import configure_torch
from morphobench.models.inputs import Batch, subsample
from morphobench.models.losses import LOSSES
from morphobench.train import optimiser
from morphobench.train.augment import augment, encode_fewer
from morphobench.train.compiled import compiled
from morphobench.train.finite import FiniteLosses


def silence_lightning() -> None:
    """Silence the hints and device lists of Lightning, which would bury our own progress lines."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        warnings.filterwarnings("ignore", module=name)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class AutoencoderModule(pl.LightningModule):
    """Training of one model by the content of its yaml and section `train` of the configuration.

    The seed is that of subsampling, augmentation and the samples of the prior; each device has `threads`.
    """

    def __init__(
        self,
        model: Autoencoder,
        model_config: Mapping[str, Any],
        train_config: Mapping[str, Any],
        seed: int,
        threads: int,
    ) -> None:
        super().__init__()
        self.model, self.model_config, self.hyperparameters = model, model_config, model_config["training"]
        self.train_config, self.seed, self.threads = train_config, seed, threads
        self.losses = FiniteLosses()

    def setup(self, stage: str) -> None:
        """Prepare the process that trains, for neither threads nor compiled code pass to another."""
        silence_lightning()
        configure_torch(self.threads, tf32=self.train_config["tf32"])
        options = self.hyperparameters.get("loss_options") or {}
        self._compare = partial(LOSSES[self.hyperparameters["loss"]], **options)
        device = self.trainer.strategy.root_device
        self._loss_terms = compiled(self.model.loss_terms, self.train_config["compile"], device)

    def _generator(self, *parts: str | int) -> torch.Generator:
        parts += (self.global_rank,) if self.global_rank else ()
        return torch.Generator().manual_seed(seeds.integer(self.seed, *parts))

    def _loss(self, batch: Batch, generator: torch.Generator, phase: str) -> torch.Tensor:
        terms = self._loss_terms(batch, generator)
        beta = self.hyperparameters.get("beta", 1.0)
        loss = (self._compare(terms.output, terms.target) + beta * terms.divergence).mean()
        self.losses.add(loss, phase, f"in epoch {self.current_epoch}, step {self.global_step}")
        self.log(f"{phase}/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.x), sync_dist=True)
        return loss

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the mean loss of a batch, subsampled and augmented anew in every epoch."""
        generator = self._generator("noise", self.current_epoch, batch_idx)
        batch = subsample(batch, self.model_config, generator)
        batch = augment(batch, self.hyperparameters, generator)
        return self._loss(encode_fewer(batch, self.hyperparameters, generator), generator, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the mean loss of a validation batch, subsampled alike in every epoch."""
        generator = self._generator("validation", batch_idx)
        self._loss(subsample(batch, self.model_config, generator), generator, "val")

    def on_validation_epoch_end(self) -> None:
        """Check the last losses before the epoch's checkpoint is written."""
        self.losses.check()

    def configure_optimizers(self) -> dict[str, Any]:
        """Return optimizer and schedule, see `optimiser.configure`."""
        n_steps = self.trainer.estimated_stepping_batches
        # Fused, it cannot undo the scaling of gradients before they are clipped.
        fused = self.device.type == "cuda" and self.train_config["precision"] != "16-mixed"
        return optimiser.configure(self.parameters(), self.hyperparameters, n_steps, fused=fused)


def model_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the state dictionary of the model in a checkpoint of its training."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")["state_dict"]
    return {name.removeprefix("model."): weights for name, weights in state.items()}
