"""Computational cost of a model: seconds to encode and to decode a cell, memory, energy."""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from morphobench.files import FilePath, write_json
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, cell_batch, open_cells
from morphobench.models.decode import VOLUMES, model_sizes_um, to_shapes_um
from morphobench.models.decode_surfaces import masked_mesh
from morphobench.models.device import load_for_inference, model_device
from morphobench.models.reconstruction_legacy import iou_legacy, legacy_clouds, sinkhorn_legacy

# A larger batch must save at least this share of the time of a cell to be tried further.
_WORTHWHILE = 0.05
_BATCH_REPEATS = 5
_ENERGY_COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


def time_calls(call: Callable[[], Any], n_repeats: int, device: torch.device) -> list[float]:
    """Seconds of each of `n_repeats` calls after a warm-up, the device idle before each clock is read."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    call()
    times = []
    for _ in range(n_repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return times


def best_batch(per_cell: Callable[[int], Sequence[float]], largest: int) -> tuple[int, Sequence[float]]:
    """Batch size in which a cell takes the least time, doubled while that pays, and its seconds per cell.

    `per_cell` returns the seconds to encode and to decode one cell in a batch of the given size, which does
    not exceed `largest` nor the device's memory.
    """
    best, best_times = 1, per_cell(1)
    while 2 * best <= largest:
        try:
            times = per_cell(2 * best)
        except torch.OutOfMemoryError:
            logger.info("a batch of %d cells does not fit the device", 2 * best)
            break
        if sum(times) > (1 - _WORTHWHILE) * sum(best_times):
            break
        best, best_times = 2 * best, times
    return best, best_times


def peak_bytes(device: torch.device) -> int:
    """Return the most memory used so far: on a GPU by tensors, else by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Kilobytes, but bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def energy_per_call(
    call: Callable[[], Any], n_repeats: int, country: str = "USA"
) -> tuple[float | None, float | None]:
    """Return (kWh, kg CO2eq) per call from hardware counters by codecarbon, or (None, None) without counters.

    Without a readable counter codecarbon multiplies time by a typical power; that is no measurement, and None
    says so.
    """
    # NVML on a GPU, RAPL on a CPU.
    if not (torch.cuda.is_available() or os.access(_ENERGY_COUNTER, os.R_OK)):
        logger.info("no energy counter on this machine: energy and emissions stay empty")
        return None, None
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code=country, measure_power_secs=1, save_to_file=False, log_level="error"
    )
    tracker.start()
    for _ in range(n_repeats):
        call()
    emissions = tracker.stop()
    energy_kwh = tracker.final_emissions_data.energy_consumed
    # What is too short for the counters is not measured, and not free.
    return (energy_kwh / n_repeats, emissions / n_repeats) if energy_kwh and emissions else (None, None)


def inference_seconds_legacy(
    model: Autoencoder,
    cells: Cells,
    model_config: Mapping[str, Any],
    *,
    meshes: Sequence[FilePath] = (),
    n_points: int,
    device: torch.device,
    n_cells: int,
) -> list[float] | None:
    """Seconds of the published evaluation of single cells, from the stored cell to its error.

    Subsampling, encoding, decoding, meshing and the loss count. (The published times hold the warm-up of the
    first cell too, these do not.) None where shapes have no masked surface (`meshes`) to compare with.

    Source: Vasan et al. 2025, "Inference Time" (published code, 40 training cells).
    """
    representation = model_config["representation"]
    if representation in VOLUMES and not meshes:
        return None
    times = []
    for row in range(min(n_cells, len(cells))):
        start = time.perf_counter()
        target = cell_batch(cells, [row], model_config).x
        output = model.reconstruct(target.to(device)).cpu()
        if representation in VOLUMES:
            sizes_um = model_sizes_um(cells.table.iloc[[row]], representation)
            (shape,) = to_shapes_um(output, model_config, model, sizes_um=sizes_um, legacy=True)
            described = cells.table.iloc[row].to_dict()
            iou_legacy(shape, masked_mesh(described, meshes), described["spacing_um"])
        else:
            generator = torch.Generator().manual_seed(row)
            sinkhorn_legacy(*legacy_clouds(output, target, model_config, n_points, generator))
        times.append(time.perf_counter() - start)
    return times


@torch.inference_mode()
def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    record_path: FilePath,
    out: FilePath,
    *,
    meshes: Sequence[FilePath] = (),
    n_points: int,
    n_repeats: int,
    largest_batch: int,
    country: str,
    accelerator: str,
    threads: int,
) -> None:
    """Time encode and decode, and write the times with the training's cost as JSON.

    Keys: parameters, train_s and gpu_hours of the training; encode_s and decode_s, lists of seconds for one
    cell alone, and the memory that this took at most (peak_bytes); best_batch, and encode_best_s and
    decode_best_s, seconds per cell in it (median); inference_legacy_s, see `inference_seconds_legacy`;
    energy_kwh and emissions_kg per cell; device. null where a thing was not measured.
    """
    record = json.loads(Path(record_path).read_text(encoding="utf-8"))
    model, model_config = load_for_inference(model_path, accelerator, threads)
    device = model_device(model)
    # A cell takes what another takes: any will do.
    cells = open_cells(manifest, shards, model_config)

    def inputs(size: int) -> torch.Tensor:
        return cell_batch(cells, np.arange(size) % len(cells), model_config).x.to(device)

    def timed(size: int, repeats: int) -> tuple[list[float], list[float]]:
        x = inputs(size)
        z = model.decoder_input(x)
        calls = (lambda: model.encode(x)), (lambda: model.decode(z))
        return tuple(time_calls(call, repeats, device) for call in calls)

    def per_cell(size: int) -> tuple[float, float]:
        return tuple(statistics.median(times) / size for times in timed(size, _BATCH_REPEATS))

    cost = {key: record[key] for key in ("parameters", "train_s", "gpu_hours")}
    cost["encode_s"], cost["decode_s"] = timed(1, n_repeats)
    # Of encoding and decoding alone, so before anything else runs.
    peak = peak_bytes(device)
    legacy_s = inference_seconds_legacy(
        model, cells, model_config, meshes=meshes, n_points=n_points, device=device, n_cells=n_repeats
    )
    cost["best_batch"], (cost["encode_best_s"], cost["decode_best_s"]) = best_batch(per_cell, largest_batch)
    cost |= {"inference_legacy_s": legacy_s, "peak_bytes": peak}
    x = inputs(1)
    energy = energy_per_call(lambda: model.reconstruct(x), n_repeats, country)
    cost["energy_kwh"], cost["emissions_kg"] = energy
    cost["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    write_json(cost, out)
