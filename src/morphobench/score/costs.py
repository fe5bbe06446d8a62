"""Rows of the score table about what a model costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.score.rows import Sheet, Variant

# Metric, unit, key of cost.json.
_VALUES = (
    ("parameters", "", "parameters"),
    ("encode_time_best", "s", "encode_best_s"),
    ("decode_time_best", "s", "decode_best_s"),
    ("peak_memory", "bytes", "peak_bytes"),
    ("energy", "kWh", "energy_kwh"),
    ("emissions", "kg CO2eq", "emissions_kg"),
    ("training_time", "s", "train_s"),
    ("gpu_hours", "h", "gpu_hours"),
)
_REPEATS = (("encode_time", "encode_s"), ("decode_time", "decode_s"))
_UNMEASURED = "not measured on this machine"


def add_cost(sheet: Sheet, path: str | Path | None) -> None:
    """Add size, times per cell, memory, energy and training as they were measured; null is never zero.

    encode_time, decode_time and inference_time (both) are for single cells, after a warm-up and synchronised.
    The published inference time includes the sampling of points and the loss: it is legacy, where the record
    has it (inference_legacy_s).
    """
    cost = {} if path is None else json.loads(Path(path).read_text())
    why = "no model to time" if path is None else _UNMEASURED
    for metric, key in _REPEATS:
        _add_repeats(sheet, metric, cost.get(key), why)
    both = [cost.get(key) for _, key in _REPEATS]
    total = None if None in both else [sum(times) for times in zip(*both, strict=False)]
    _add_repeats(sheet, "inference_time", total, why)
    published = cost.get("inference_legacy_s")
    _add_repeats(sheet, "inference_time", published, why, "legacy")
    for metric, unit, key in _VALUES:
        known = cost.get(key) is not None
        value = float(cost[key]) if known else np.nan
        sheet.add_value(metric, "corrected", unit, "low", value, int(known), "" if known else why)


def _add_repeats(
    sheet: Sheet, metric: str, times: list[Any] | None, why: str, variant: Variant = "corrected"
) -> None:
    if times:
        repeats = [f"repeat {repeat}" for repeat in range(len(times))]
        sheet.add_mean(metric, variant, "s", "low", times, repeats)
    else:
        sheet.add_missing(metric, variant, "s", "low", why)
