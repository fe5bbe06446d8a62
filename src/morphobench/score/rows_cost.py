"""Rows of the score table about computational cost, without what measures it: this imports no torch."""

import json
from pathlib import Path

from morphobench.files import FilePath
from morphobench.score.rows import Metric, ScoreRows

# Key of cost.json -> metric: repeated times, and single values.
_REPEATS = {f"{name}_s": Metric(f"{name}_time", unit="s") for name in ("encode", "decode", "inference")}
_REPEATS["inference_legacy_s"] = _REPEATS["inference_s"].legacy
_VALUES = {
    "parameters": Metric("parameters"),
    "encode_best_s": Metric("encode_time_best", unit="s"),
    "decode_best_s": Metric("decode_time_best", unit="s"),
    "peak_bytes": Metric("peak_memory", unit="bytes"),
    "energy_kwh": Metric("energy", unit="kWh"),
    "emissions_kg": Metric("emissions", unit="kg CO2eq"),
    "train_s": Metric("training_time", unit="s"),
    "gpu_hours": Metric("gpu_hours", unit="h"),
}


def add_cost(rows: ScoreRows, path: FilePath | None) -> None:
    """Add times per cell, size, memory, energy and training from `cost.run`; null is never zero.

    encode_time, decode_time and inference_time (both) are for single cells, after a warm-up and synchronised.
    The published inference time includes the sampling of points and the loss: it is legacy, where the record
    has it (inference_legacy_s).
    """
    cost = {} if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
    reason = (
        "no model to time, or timed with its first training"
        if path is None
        else "not measured on this machine"
    )
    if cost:
        cost["inference_s"] = [sum(both) for both in zip(cost["encode_s"], cost["decode_s"], strict=True)]
    for key, metric in _REPEATS.items():
        if times := cost.get(key):
            rows.add_mean(metric, times, [f"repeat {repeat}" for repeat in range(len(times))])
        else:
            rows.add_absent(reason, metric)
    for key, metric in _VALUES.items():
        if cost.get(key) is not None:
            rows.add_value(metric, float(cost[key]), 1)
        else:
            rows.add_absent(reason, metric)
