"""What a model costs to run: parameters, memory, and seconds to encode and to decode a cell."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from morphobench import models
from morphobench.files import write_json
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, cell_batch, open_cells
from morphobench.models.decode import VOLUMES, model_sizes_um, to_shapes_um
from morphobench.models.decode_surfaces import masked_mesh
from morphobench.models.device import configure_torch, select_device
from morphobench.models.reconstruction_legacy import iou_legacy, legacy_clouds, sinkhorn_legacy

# A larger batch must save at least this share of the time of a cell to be tried further.
_WORTHWHILE = 0.05
_BATCH_REPEATS = 5


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


def best_batch(
    per_cell: Callable[[int], tuple[float, float]], largest: int
) -> tuple[int, tuple[float, float]]:
    """Find the batch in which a cell takes the least time: doubled until that no longer pays.

    Parameters
    ----------
    per_cell
        Returns the seconds to encode and to decode one cell in a batch of the given size.
    largest
        Batch size not to exceed.

    Returns
    -------
    tuple
        The batch size, and its seconds per cell.
    """
    best, found = 1, per_cell(1)
    while 2 * best <= largest:
        try:
            times = per_cell(2 * best)
        except torch.OutOfMemoryError:
            logger.info("a batch of %d cells does not fit the device", 2 * best)
            break
        if sum(times) > (1 - _WORTHWHILE) * sum(found):
            break
        best, found = 2 * best, times
    return best, found


def peak_bytes(device: torch.device) -> int:
    """Return the most memory used so far: on a GPU by tensors, else by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def energy_of(
    call: Callable[[], Any], n_repeats: int, country: str = "USA"
) -> tuple[float | None, float | None]:
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
        country_iso_code=country, measure_power_secs=1, save_to_file=False, log_level="error"
    )
    tracker.start()
    for _ in range(n_repeats):
        call()
    emissions = tracker.stop()
    energy_kwh = tracker.final_emissions_data.energy_consumed
    # What is too short for the counters is not measured, and not free.
    return (energy_kwh / n_repeats, emissions / n_repeats) if energy_kwh and emissions else (None, None)


def published_seconds(
    model: Autoencoder,
    cells: Cells,
    settings: Mapping[str, Any],
    *,
    meshes: Sequence[str | Path] = (),
    n_points: int,
    device: torch.device,
    n_cells: int,
) -> list[float] | None:
    """Time the published evaluation of single cells, as it was timed: from the stored cell to its error.

    Drawing, encoding, decoding, meshing and the loss count. (The published times hold the warm-up of the
    first cell too, these do not.) Source: Vasan et al. 2025, "Inference Time" (published code, 40 training
    cells).

    Parameters
    ----------
    model, cells, settings
        Model on `device`, cells and content of the model's yaml.
    meshes
        Shard folders of stage `mask`, see `masked_mesh`.
    n_points
        Of the clouds that are compared.
    n_cells
        To time, one by one.

    Returns
    -------
    list of float or None
        Seconds per cell; None where shapes have no masked surface to compare with.
    """
    representation = settings["representation"]
    if representation in VOLUMES and not meshes:
        return None
    times = []
    for row in range(min(n_cells, len(cells))):
        start = time.perf_counter()
        given = cell_batch(cells, [row], settings)
        found = model.reconstruct(given.x.to(device)).cpu()
        if representation in VOLUMES:
            sizes_um = model_sizes_um(cells.table.iloc[[row]], representation)
            (shape,) = to_shapes_um(found, settings, model, sizes_um=sizes_um, legacy=True)
            described = cells.table.iloc[row].to_dict()
            iou_legacy(shape, masked_mesh(described, meshes), described["spacing_um"])
        else:
            generator = torch.Generator().manual_seed(row)
            sinkhorn_legacy(*legacy_clouds(found, given.x, settings, n_points, generator))
        times.append(time.perf_counter() - start)
    return times


@torch.inference_mode()
def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    model_path: str | Path,
    record_path: str | Path,
    out: str | Path,
    *,
    meshes: Sequence[str | Path] = (),
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
    decode_best_s, seconds per cell in it (median); inference_legacy_s, see `published_seconds`; energy_kwh
    and emissions_kg per cell; device. null where a thing was not measured.

    Parameters
    ----------
    manifest, shards
        Of stage `sample`.
    model_path, record_path
        Of stage `train`.
    out
        JSON file to write.
    meshes, n_points
        See `published_seconds`.
    n_repeats
        Timed repeats at batch size 1, and cells in the published way.
    largest_batch
        Batch size up to which a better one is looked for.
    country
        Whose mix of electricity emissions are computed with, ISO 3166 code of three letters.
    accelerator
        See `select_device`.
    threads
        Of torch.
    """
    configure_torch(threads)
    record = json.loads(Path(record_path).read_text())
    model, settings = models.load(model_path)
    device = select_device(accelerator)
    model = model.export().to(device)
    # A cell takes what another takes: any will do.
    cells = open_cells(manifest, shards, settings)

    def timed(size: int, repeats: int) -> tuple[list[float], list[float]]:
        x = _cells_of(cells, size, settings).to(device)
        z = model.decoder_input(x)
        return tuple(
            seconds_of(call, repeats, device) for call in (lambda: model.encode(x), lambda: model.decode(z))
        )

    def per_cell(size: int) -> tuple[float, float]:
        return tuple(statistics.median(times) / size for times in timed(size, _BATCH_REPEATS))

    encode_s, decode_s = timed(1, n_repeats)
    peak = peak_bytes(device)
    # After the peak, which is of encoding and decoding alone.
    published = published_seconds(
        model,
        cells,
        settings,
        meshes=meshes,
        n_points=n_points,
        device=device,
        n_cells=n_repeats,
    )
    best, (encode_best_s, decode_best_s) = best_batch(per_cell, largest_batch)
    x = _cells_of(cells, 1, settings).to(device)
    energy_kwh, emissions_kg = energy_of(lambda: model.reconstruct(x), n_repeats, country)
    write_json(
        {
            **{key: record[key] for key in ("parameters", "train_s", "gpu_hours")},
            "encode_s": encode_s,
            "decode_s": decode_s,
            "best_batch": best,
            "encode_best_s": encode_best_s,
            "decode_best_s": decode_best_s,
            "inference_legacy_s": published,
            "peak_bytes": peak,
            "energy_kwh": energy_kwh,
            "emissions_kg": emissions_kg,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        },
        out,
    )


def _cells_of(cells: Cells, size: int, settings: dict[str, Any]) -> torch.Tensor:
    """Return a batch of cells; one after another again where there are fewer."""
    return cell_batch(cells, [number % len(cells) for number in range(size)], settings).x
