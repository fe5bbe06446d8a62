"""CPU seconds until reconstructions are good, published recipe beside converging one: make bench-convergence.

At the demo's widths, on its sampled cells, same seed, one thread. Clouds and cubes of cellPACK have converged
when the mean error of validation cells is within 1.1 of the distance to another packing of nucleus and rule
(earth mover's distance of the spheres), shapes when 1 - Jaccard index of the grid is below 0.25.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from morphobench import config as configuration
from morphobench.config import schema
from morphobench.models.cells import Cells, cell_batch, open_cells
from morphobench.models.decode_clouds import to_points_um
from morphobench.models.losses import earth_mover
from morphobench.train import run as train

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.packing import packed_anew_um  # noqa: E402

ROOT = Path()
WITHIN, BELOW = 1.1, 0.25
# Lengths of the schedule; the published recipe has its own.
EPOCHS = {"points": 16, "cube": 30, "sdf": 40, "seg": 40, "surface": 60}
ENTRIES = {
    "cellpack": [
        *("classical_pointcloud", "rotation_invariant_pointcloud"),
        *("classical_image", "rotation_invariant_image"),
    ],
    "adrenal": [
        *("classical_image_seg", "rotation_invariant_image_seg", "classical_image_sdf"),
        *("rotation_invariant_image_sdf", "rotation_invariant_pointcloud_sdf"),
    ],
}


class LimitReached(Exception):
    """Ends a training that has converged, or that has had its seconds."""


def resolved(recipe: str) -> dict:
    """Return the configuration at the demo's widths with a recipe; the published one has its own training."""
    demo = schema.read_yaml(ROOT / "config/demo.yaml")
    demo["train"]["recipe"] = recipe
    demo["models"] = {name: {"architecture": own["architecture"]} for name, own in demo["models"].items()}
    return configuration.resolve(schema.merge(schema.read_yaml(ROOT / "config/config.yaml"), demo), ROOT)


def spheres_um(cells: Cells) -> torch.Tensor:
    """Return the packed spheres, shape (n, 256, 3)."""
    return torch.from_numpy(np.stack([cells.centres_um(row) for row in range(len(cells))])).float()


def cloud_error(cells: Cells, model_config: dict, dataset: dict) -> Callable[[torch.nn.Module], float]:
    """Return the function that measures a model: mean distance, um, of decoded points and spheres."""
    target_um, x = spheres_um(cells), cell_batch(cells, range(len(cells)), model_config).x
    sampling = {"side_um": dataset["sample"]["cube"]["side_um"], "n_points": target_um.shape[1]}

    def measure(model: torch.nn.Module) -> float:
        decoded = torch.cat([model.reconstruct(part) for part in x.split(16)])
        generator = torch.Generator().manual_seed(0)
        return float(
            earth_mover(
                to_points_um(decoded, model_config, generator=generator, **sampling), target_um
            ).mean()
        )

    return measure


def shape_error(cells: Cells, model_config: dict, dataset: dict) -> Callable[[torch.nn.Module], float]:
    """Return the function that measures a model: mean 1 - Jaccard index on the grid of the data set."""
    grids = open_cells(*stored(dataset["name"]), {"representation": "sdf", "input_scale": 1.0}, "val")
    size = grids.raw([0])["sdf"].shape[-1]
    inside = torch.from_numpy(grids.raw(range(len(grids)))["sdf"] < 0)
    batch = cell_batch(cells, range(len(cells)), model_config)
    implicit, seg = model_config["representation"] == "surface", model_config["representation"] == "seg"
    ticks = (torch.arange(size) - (size - 1) / 2) / size
    queries = torch.stack(torch.meshgrid(ticks, ticks, ticks, indexing="ij")[::-1], dim=-1).view(1, -1, 3)

    def predicted(x: torch.Tensor, model: torch.nn.Module) -> torch.Tensor:
        if implicit:
            return (model.reconstruct(x, queries.expand(len(x), -1, -1)) < 0).view(-1, *(size,) * 3)
        volumes = model.reconstruct(x)[:, 0]
        before = (volumes.shape[-1] - size) // 2
        cut = slice(before, before + size)
        volumes = volumes[:, cut, cut, cut]
        return volumes > model_config["input_scale"] / 2 if seg else volumes < 0

    def measure(model: torch.nn.Module) -> float:
        found = torch.cat([predicted(part, model) for part in batch.x.split(8)])
        both, either = ((op(found, inside)).flatten(1).sum(1) for op in (torch.logical_and, torch.logical_or))
        return float((1 - both / either.clamp_min(1)).mean())

    return measure


def stored(dataset: str) -> tuple[Path, list[Path]]:
    """Return manifest and shards of a data set's sampled cells."""
    folder = ROOT / "results/sample" / dataset
    return folder / "manifest.parquet", sorted(folder.glob("shard-*"))


def seconds_to_converge(
    dataset: dict, model: str, config: dict, goal: float, limit_s: float
) -> tuple[float, float]:
    """Train until the error is below `goal` or `limit_s` CPU seconds have gone; return seconds and error."""
    model_config = configuration.model_for(config, dataset["name"], model)
    if config["train"]["recipe"] != "published":
        model_config["training"]["max_epochs"] = EPOCHS[model_config["representation"]]
    spent = {"seconds": 0.0, "since": time.process_time(), "error": np.inf}

    def watch(callback, trainer, module, outputs, batch, batch_idx, dataloader_idx=0) -> None:
        # In validation the module has the weights that would be exported.
        if batch_idx + 1 < trainer.num_val_batches[0]:
            return
        spent["seconds"] += time.process_time() - spent["since"]
        cells = open_cells(*stored(dataset["name"]), module.model_config, "val")
        by = cloud_error if dataset["kind"] == "packing" else shape_error
        spent["error"] = min(spent["error"], by(cells, module.model_config, dataset)(module.model))
        spent["since"] = time.process_time()
        if spent["error"] < goal or spent["seconds"] > limit_s:
            raise LimitReached

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        files = {f"{key}_out": out / key for key in ("model", "record", "curves")}
        names = {
            "dataset": dataset["name"],
            "model_name": model,
            "source_digest": "",
            "checkpoints": out / "own",
        }
        arguments = {"model_config": model_config, "train_config": config["train"], "seed": config["seed"]}
        watched = mock.patch.object(train.CheckpointAndEarlyStopping, "on_validation_batch_end", watch)
        with watched, suppress(LimitReached):
            train.run(*stored(dataset["name"]), **files, **names, **arguments, threads=1)
    return spent["seconds"], spent["error"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit-s", type=float, default=300.0, help="CPU seconds per training")
    parser.add_argument("--models", nargs="*", help="some of the models alone")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    configs = {recipe: resolved(recipe) for recipe in ("published", "converging")}
    print("| data set | model | goal | published | converging | times fewer |\n|---|---|---|---|---|---|")
    for name, models in ENTRIES.items():
        dataset, goal = configs["published"]["datasets"][name], BELOW
        if name == "cellpack":
            cells = open_cells(*stored(name), {"representation": "points", "input_scale": 1.0}, "val")
            goal = WITHIN * float(
                earth_mover(packed_anew_um(cells.table, dataset, seed=43), spheres_um(cells)).mean()
            )
        for model in models:
            if chosen.models and model not in chosen.models:
                continue
            runs = [
                seconds_to_converge(dataset, model, config, goal, chosen.limit_s)
                for config in configs.values()
            ]
            texts = [f"{s:.0f} s" if e < goal else f"> {s:.0f} s ({e:.3g})" for s, e in runs]
            at_least = "" if runs[0][1] < goal else "> "
            ratio = f"{at_least}{runs[0][0] / runs[1][0]:.1f}" if runs[1][1] < goal else "?"
            print(f"| {name} | {model} | {goal:.3g} | {texts[0]} | {texts[1]} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
