"""A small score table of two models."""

from __future__ import annotations

import pandas as pd

MODELS = {
    "round": {"label": "Round model", "color": "#112233"},
    "square": {"label": "Square model", "color": "#aabb22"},
}
METRICS = ["classification_rule_top_1", "reconstruction", "evolution_energy", "encode_time"]


def small_scores(names=METRICS, models=("round", "square"), seeds=(42,)) -> pd.DataFrame:
    rows = [
        {
            "model": model,
            "seed": seed,
            "metric": metric,
            "variant": variant,
            "unit": {"reconstruction": "um", "encode_time": "s"}.get(metric, ""),
            "better": "high" if metric.startswith("class") else "low",
            "value": 0.3 + 0.1 * i + 0.05 * j,
            "ci_low": 0.2 + 0.1 * i,
            "ci_high": 0.5 + 0.1 * i,
            "reason": "",
        }
        for i, metric in enumerate(names)
        for j, model in enumerate(models)
        for seed in seeds
        for variant in ("corrected", "legacy")
    ]
    return pd.DataFrame(rows)
