"""Embeddings of changed test cells by trained models; see `changes`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from morphobench import seeds
from morphobench.config.checks import CLOUDS
from morphobench.embed.changes import HALF_TURN, MIRROR, changed_table
from morphobench.files import FilePath, write_table
from morphobench.geometry import rotation
from morphobench.geometry.packing import upsample
from morphobench.geometry.resolution import half_resolution
from morphobench.log import logger
from morphobench.models.cells import Cells, cell_batch, open_cells
from morphobench.models.device import autocast, load_for_inference, model_device
from morphobench.models.inputs import to_batch


class Draws(NamedTuple):
    """What is drawn for changed cells: the model's own points, others, an order, and each cell's rotation.

    `points`, `again` and `order` are seeds; `rotations` has shape (n, 3, 3), for the n cells; `jitter` holds
    the arguments of `upsample` where clouds are copies of spheres, else None.
    """

    points: int
    again: int
    order: int
    rotations: np.ndarray
    jitter: Mapping[str, Any] | None


def changed_inputs(
    cells: Cells, rows: Sequence[int], model_config: Mapping[str, Any], draws: Draws
) -> dict[str, torch.Tensor]:
    """Return the model's inputs of these rows after each of the `CHANGES` that they can have."""
    raw = cells.raw(rows)
    batch = partial(cell_batch, cells, rows, model_config, seed=draws.points, raw=raw)
    changed = {"reflection": batch(rotation=MIRROR).x, "reflection_floor": batch(rotation=HALF_TURN).x}
    representation = model_config["representation"]
    if representation not in CLOUDS:
        halved = half_resolution(raw[representation])
        coarse = {**raw, representation: halved > 0.5 if representation == "seg" else halved}
        changed["resolution"] = to_batch(coarse, model_config).x
        changed["resolution_floor"] = batch(rotation=draws.rotations[list(rows)], back=True).x
        return changed
    x = batch().x
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(draws.order))
    changed |= {"order": x[:, order], "resolution": x[:, order[: x.shape[1] // 2]]}
    again = _sampled_again(cells, rows, model_config, draws, raw)
    # Half the points are other points, too.
    return changed if again is None else {**changed, "sampling": again, "resolution_floor": again}


def _sampled_again(
    cells: Cells, rows: Sequence[int], model_config: Mapping[str, Any], draws: Draws, raw: Mapping[str, Any]
) -> torch.Tensor | None:
    """Return other points of the same cells; None where every stored point is read."""
    if model_config["representation"] == "points" and draws.jitter is not None:
        names = cells.table["CellId"].iloc[list(rows)]
        rngs = [np.random.default_rng(seeds.integer(draws.again, name)) for name in names]
        pairs = zip(rows, rngs, strict=True)
        clouds = [upsample(cells.centres_um(row), **draws.jitter, rng=rng) for row, rng in pairs]
        raw = {**raw, "points_um": np.stack(clouds)}
        return cell_batch(cells, rows, model_config, seed=draws.points, raw=raw).x
    stored = next(iter(raw.values())).shape[1]
    if not model_config.get("subsample") or model_config["subsample"]["n_points"] >= stored:
        return None
    return cell_batch(cells, rows, model_config, seed=draws.again, raw=raw).x


@torch.inference_mode()
def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    out: FilePath,
    *,
    packing: Mapping[str, Any] | None,
    dataset: str,
    embed_config: Mapping[str, Any],
    seed: int,
    accelerator: str,
    threads: int,
) -> None:
    """Write the embeddings of the changed test cells of one model, see `changed_table`.

    `packing` holds the arguments of `upsample`, under "points", and of `rasterise`, under "cube", where cells
    were made of spheres.
    """
    model, model_config = load_for_inference(model_path, accelerator, threads)
    cube = (packing or {}).get("cube")
    cells = open_cells(manifest, shards, model_config, "test", required=False, cube=cube)
    turns = rotation.rotation_sets("uniform", cells.table["CellId"], 1, seed, dataset)[0]
    drawn = [seeds.integer(seed, dataset, "embed", *more) for more in ((), ("again",), ("order",))]
    draws = Draws(*drawn, turns, packing and packing["points"])
    device, parts = model_device(model), []
    for first in range(0, len(cells), embed_config["batch_size"]):
        rows = range(first, min(first + embed_config["batch_size"], len(cells)))
        changed = changed_inputs(cells, rows, model_config, draws)
        with autocast(embed_config["precision"], device):
            parts.append({name: model.encode(x.to(device)).float().cpu() for name, x in changed.items()})
        logger.info("encoded %d of %d changed cells", rows.stop, len(cells))
    names = parts[0] if parts else {}
    z = {name: torch.cat([part[name] for part in parts]).numpy() for name in names}
    write_table(changed_table(cells.table, z, model.latent_dim), out)
