"""Optimizer, learning-rate schedule and weight averaging of a training."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch.optim.lr_scheduler import OneCycleLR

_WARMUP = 0.1


def configure(
    parameters: Iterable[torch.nn.Parameter], training: Mapping[str, Any], n_steps: int, fused: bool = False
) -> dict[str, Any]:
    """Return Lightning's optimizer and, where there is one, schedule, for a training of `n_steps`.

    Of section `training` of a model's yaml. Without further keys it is Adam at a constant rate, as in the
    paper. `schedule: one_cycle` rises to `lr` over the share `warmup` of the steps, then falls to almost zero
    at the last one, both along a cosine (Smith and Topin 2019); momentum stays. A `fused` step is one kernel.
    """
    # The same as Adam where nothing decays.
    decay = training.get("weight_decay", 0.0)
    optimizer = torch.optim.AdamW(parameters, lr=training["lr"], weight_decay=decay, fused=fused)
    if training.get("schedule", "constant") == "constant":
        return {"optimizer": optimizer}
    share = {"pct_start": training.get("warmup", _WARMUP), "cycle_momentum": False}
    schedule = OneCycleLR(optimizer, max_lr=training["lr"], total_steps=n_steps, **share)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def averaging(training: Mapping[str, Any]) -> list[EMAWeightAveraging]:
    """Return the callback that averages weights exponentially over steps, if `training.average` is a decay.

    Validation, the best checkpoint and the trained model then have the averaged weights; training goes on
    from the others, which checkpoints hold too.
    """
    decay = training.get("average")
    return [EMAWeightAveraging(decay=decay)] if decay else []
