"""What a model costs to run: parameters, and seconds to encode and to decode one cell."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from morphobench import models
from morphobench.decode import device_of
from morphobench.files import write_json
from morphobench.loading import cell_batch, open_cells
from morphobench.log import logger


def seconds_of(call: Callable[[], Any], n_repeats: int, device: torch.device) -> list[float]:
    """Time `call`: a warm-up, then `n_repeats` timed calls, the device idle before each clock is read."""

    def idle() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    call()
    times = []
    for _ in range(n_repeats):
        idle()
        start = time.perf_counter()
        call()
        idle()
        times.append(time.perf_counter() - start)
    return times


def energy_of(call: Callable[[], Any], n_repeats: int) -> tuple[float | None, float | None]:
    """Return (kWh, kg CO2eq) per call from hardware counters by codecarbon, or (None, None) without counters.

    Without a readable counter (NVML on a GPU, RAPL on a CPU) codecarbon multiplies time by a typical power;
    that is no measurement, and None says so.
    """
    rapl = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
    readable = torch.cuda.is_available()
    if not readable and rapl.exists():
        try:
            rapl.read_text()
            readable = True
        except PermissionError:
            pass
    if not readable:
        logger.info("no energy counter on this machine: energy and emissions stay empty")
        return None, None
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="USA", measure_power_secs=1, save_to_file=False, log_level="error"
    )
    tracker.start()
    for _ in range(n_repeats):
        call()
    emissions = tracker.stop()
    energy_kwh = tracker.final_emissions_data.energy_consumed
    # What is too short for the counters is not measured, and not free.
    return (energy_kwh / n_repeats, emissions / n_repeats) if energy_kwh and emissions else (None, None)


@torch.inference_mode()
def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    model_path: str | Path,
    record_path: str | Path,
    out: str | Path,
    *,
    n_repeats: int,
    accelerator: str,
) -> None:
    """Time encode and decode of one test cell and write them with the training's cost as JSON."""
    record = json.loads(Path(record_path).read_text())
    model, settings = models.load(model_path)
    device = device_of(accelerator)
    model = model.export().to(device)
    cells = open_cells(manifest, shards, settings, "test")
    x = cell_batch(cells, [0], settings).x.to(device)
    z = model.decodable(x)
    energy_kwh, emissions_kg = energy_of(lambda: model.reconstruct(x), n_repeats)
    write_json(
        {
            "parameters": record["parameters"],
            "train_s": record["train_s"],
            "gpu_hours": record["gpu_hours"],
            "encode_s": seconds_of(lambda: model.encode(x), n_repeats, device),
            "decode_s": seconds_of(lambda: model.decode(z), n_repeats, device),
            "energy_kwh": energy_kwh,
            "emissions_kg": emissions_kg,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        },
        out,
    )
