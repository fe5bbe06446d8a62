"""Weights that travel with the clone: small, complete, and of what their records say."""

import pytest
from paths import ROOT

from morphobench import config
from morphobench.config import schema
from morphobench.models import weights

SHIPPED = sorted((ROOT / "workflow/weights").rglob("*.pt"))
MOST_BYTES, MOST_BYTES_TOGETHER = 1_500_000, 15_000_000


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_weights_are_small_and_load_with_their_record(path):
    assert path.stat().st_size <= MOST_BYTES
    stored = weights.read(path)
    assert stored.record["groups"]["train"]
    assert stored.record["epochs"] > 0
    assert {"cpu_s", "gpu_hours", "device", "versions", "seed"} <= set(stored.record)


def test_together_they_burden_no_clone():
    assert sum(path.stat().st_size for path in (ROOT / "workflow/weights").rglob("*")) <= MOST_BYTES_TOGETHER


@pytest.mark.parametrize("overlay", ["demo", "workstation"])
def test_weights_that_an_overlay_names_are_there(overlay):
    whole = schema.read_yaml(ROOT / "config/config.yaml")
    laid = schema.merge(whole, schema.read_yaml(ROOT / f"config/{overlay}.yaml"))
    described = config.resolve(laid, ROOT)["datasets"].values()
    named = [file for dataset in described for file in (dataset.get("start_weights") or {}).values()]
    assert all(ROOT / file in SHIPPED for file in named if file and "{seed}" not in file)
