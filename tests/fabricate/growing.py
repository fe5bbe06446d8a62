"""Stages on any number of small made-up cells, as calls by name: what one writes the next reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fabricate.cells import make_cell, write_cells
from fabricate.packings import RULES, ellipsoid, packing_dataset, write_shapes

from morphobench.analyse import drugs, tables
from morphobench.files import write_table
from morphobench.files.layout import POSITION_KEYS, positions_name
from morphobench.files.shards import stage_module
from morphobench.files.tables import embedding_table
from morphobench.geometry.rotation import cube_rotations, uniform
from morphobench.mask import box, scale_factor
from morphobench.sample import manifest
from morphobench.score import collect, pairs
from morphobench.score import stage as score

Steps = Iterator[tuple[str, Callable[[], object]]]
SPLIT = {"train": 0.7, "val": 0.15, "test": 0.15}
STRICT: dict[str, Any] = {"max_failed_fraction": 0.0}
CUBE = {"size": 16, "side_um": 4.0}
MASK = {
    "packing": {"min_points": 1, "tolerance_um": 0.1},
    "punctate": {"role": "nucleus_mask", "dilation_voxel": 2},
    "polymorphic": {"role": "nucleus_mask"},
}
SAMPLE = {
    "packing": {
        "points": {"n_points": 256, "jitter_um": 0.05, "jitter_clip_um": 0.1},
        "cube": {"size": 16, "side_um": 12.0, "radius_um": 0.1, "oversample": 1},
    },
    "punctate": {"variant": "pcna", "points": {"n_points": 256, "jitter_voxel": 0.001}, "cube": CUBE},
    "polymorphic": {"resolution": 16, "n_surface": 256, "n_queries": 256, "n_points": 64},
}


def path_steps(kind: str, folder: Path, n: int) -> Steps:
    """Return the stages download to sample of n cells in one shard."""
    dataset = _packings(folder, n) if kind == "packing" else _images(folder, n, kind)
    at = {stage: folder / stage for stage in ("download", "align", "mask", "sample")}
    stage, shared = partial(stage_module, form=kind), {}
    numbers = {"shard": 0, "n_shards": 1, "seed": 1}
    yield "download", lambda: stage("download").run(at["download"], dataset=dataset, **numbers, **STRICT)
    yield "align", lambda: stage("align").run(at["download"], at["align"], dataset=dataset, **STRICT)
    yield "mask", lambda: stage("mask").run(at["align"], at["mask"], **MASK[kind], **STRICT)
    if kind == "punctate":
        shared["box"] = folder / "box.json"
        yield "box", lambda: box.run([at["mask"]], shared["box"])
    if kind == "polymorphic":
        shared["scale_factor"] = folder / "factors.parquet"
        factors = {"mode": "global", "resolution": 16}
        yield "scale factors", lambda: scale_factor.run([at["mask"]], shared["scale_factor"], **factors)
    options = {"dataset_name": "growing", "seed": 1, **shared, **SAMPLE[kind], **STRICT}
    yield "sample", lambda: stage("sample").run(at["mask"], at["sample"], **options)
    names = {"split": SPLIT, "seed": 1, "dataset_name": "growing"}
    yield "manifest", lambda: manifest.run({0: at["sample"]}, folder / "manifest.parquet", **names)


def _packings(folder: Path, n: int) -> dict:
    """Write n packings of one shape under many names; return their data set."""
    shapes = [f"nucleus_{number:06d}" for number in range(-(-n // len(RULES)))]
    write_shapes(folder / "shapes", {shapes[0]: ellipsoid((5, 40, 40))})
    for shape in shapes[1:]:
        (folder / "shapes" / f"{shape}_0.ply").symlink_to(f"{shapes[0]}_0.ply")
    pd.DataFrame({"CellId": shapes, "angle": 0}).to_csv(folder / "shapes/manifest.csv", index=False)
    spheres = np.random.default_rng(0).uniform(-3, 3, (32, 3)).round(3).tolist()
    (folder / "packings").mkdir()
    for shape in shapes:
        for rule in RULES:
            text = json.dumps({POSITION_KEYS[0]: {POSITION_KEYS[1]: spheres}})
            (folder / "packings" / positions_name(rule, shape, "0")).write_text(text)
    dataset = packing_dataset(Path("shapes"), Path("packings")) | {"name": "growing"}
    dataset["source"]["location"] = str(folder)
    return dataset


def _images(folder: Path, n: int, kind: str) -> dict:
    """Write a manifest that names the crops of one cell n times; return its data set."""
    path = write_cells(folder / "source", {"cell": make_cell()})
    names = [f"cell {number:06d}" for number in range(n)]
    pd.read_csv(path).loc[[0] * n].assign(CellId=names).to_csv(path, index=False)
    align = {"enabled": True, "mask": "nucleus_mask", "unique": False, "margin_voxel": 2}
    align |= {
        "interpolation": "linear",
        "least_elongation": 1.05,
        "stray_share": 0.05,
        "saturated_share": 0.01,
    }
    structure = {"punctate": "structure", "polymorphic": "membrane_segmentation"}[kind]
    return {
        "name": "growing",
        "kind": kind,
        "voxel_um": 0.108,
        "source": {"cells": str(path)},
        "channels": {"structure": structure, "nucleus_mask": "dna_segmentation"},
        "align": align,
        "mask": {"role": "nucleus_mask"},
    }


def embedding_steps(folder: Path, n: int, width: int) -> Steps:
    """Return the scores and analyses of n cells, whose embeddings half know their label; of few, no map."""
    paths = {name: folder / f"{name}.parquet" for name in ("manifest", "identity", "lattice", "uniform")}
    _write_embeddings(paths, n, width)
    paths["pairs"] = folder / "pairs.csv"
    yield (
        "pairs",
        lambda: pairs.run(paths["manifest"], paths["pairs"], n_pairs=117, seed=1, dataset="growing"),
    )
    outs = ("scores", "items", "replicates", "outputs")
    dataset_config = {"kind": "punctate", "labels": ["label"], "targets": ["volume_um3"]}
    score_config = {"n_jackknife": 200, "k_neighbours": [5, 10, 20], "n_compactness": 200}
    yield (
        "score_model",
        lambda: score.run(
            folds=[paths],
            cost=None,
            dataset="growing",
            model="model 0",
            model_seed=1,
            dataset_config=dataset_config,
            score_config=score_config | {"n_fractions": 9, "legacy_width": width},
            seed=1,
            **{f"{name}_out": folder / f"{name}.parquet" for name in outs},
        ),
    )
    yield "score_table", lambda: _collect(folder, outs)
    for name, call in _analyses(folder, paths["manifest"], paths["identity"]).items():
        if name != "map" or n >= 1000:
            yield name, call


def _write_embeddings(paths: dict[str, Path], n: int, width: int) -> None:
    """Write the manifest, and the tables of embeddings of all cells and of rotated test cells."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 6, n)
    split = rng.choice(list(SPLIT), n, p=list(SPLIT.values()))
    z = rng.normal(size=(n, width)) * np.exp(-np.arange(width) / (width / 6))
    z[:, :6] += 0.8 * np.eye(6)[label]
    cells = pd.DataFrame({"CellId": [f"{number:06d}" for number in range(n)], "split": split})
    cells["group"] = [f"field {number // 10}" for number in range(n)]
    # Conditions of 32 cells in four wells, and as many controls as ten of them have.
    condition = (np.arange(n) // 32).clip(9) - 9
    cells["condition"] = np.where(condition, [f"drug {number}" for number in condition], "none")
    cells["well"] = [f"well {number // 8}" for number in range(n)]
    cells["label"], cells["success"] = [f"label {number}" for number in label], True
    cells["volume_um3"] = 400 + 100 * z[:, 0] + 20 * rng.normal(size=n)
    write_table(cells, paths["manifest"])
    write_table(embedding_table(cells, np.tile(np.eye(3), (1, n, 1, 1)), z[None]), paths["identity"])
    test, own = cells[split == "test"], z[split == "test"]
    first = uniform(1, rng)[0]
    for name, matrices in (("lattice", cube_rotations()), ("uniform", np.stack([first, first]))):
        rotated = own + 0.1 * rng.normal(size=(len(matrices), *own.shape)).astype(np.float32)
        all_matrices = np.repeat(matrices[:, None], len(test), axis=1)
        table = embedding_table(test, all_matrices, rotated)
        if name == "uniform":
            table = table.assign(rotated_back=table["rotation"] == 1, rotation=0)
        write_table(table, paths[name])


def _collect(folder: Path, outs: tuple[str, ...]) -> None:
    """Compare three models, of which two are the first with its values moved."""
    parts: dict[str, list[Path]] = {name: [] for name in outs}
    for number in range(3):
        rng = np.random.default_rng(number)
        for name in outs:
            table = pd.read_parquet(folder / f"{name}.parquet").assign(model=f"model {number}")
            table["value"] += 0.01 * rng.normal(size=len(table))
            parts[name].append(folder / f"{name}_{number}.parquet")
            write_table(table, parts[name][-1])
    files = {f"{name}_out": folder / f"all_{name}.parquet" for name in ("scores", "items", "differences")}
    models = [f"model {number}" for number in range(3)]
    collect.collect_dataset(**parts, **files, models=models, n_permutations=9999, seed=1)


def _analyses(folder: Path, cells: Path, identity: Path) -> dict[str, Callable[[], object]]:
    """Return the analyses, each by its name."""
    outs = [folder / f"analysed_{number}.parquet" for number in range(4)]
    own, bins = (cells, identity), {"column": "volume_um3", "n_bins": 5}
    condition = {"condition": "condition", "control": "none", "well": "well", "plate": None, "apart": "well"}
    tests = {"drugs": condition, "seed": 1}
    common = {"stratum": "label", "keep": None}
    archetypes = {"n_archetypes": 6, "k_list": [], "n_starts": 2, "seed": 1}
    of_pieces = {"label": "label", "features": ["volume_um3"]}
    return {
        "walks": lambda: tables.walk_embeddings(
            *own, *outs[:2], n_components=2, sigmas=[-2.0, 0.0, 2.0], **common
        ),
        "archetypes": lambda: tables.archetype_embeddings(*own, *outs, **archetypes, **common),
        "strata": lambda: tables.strata(
            outs[1], folder / "strata.parquet", stratum="label", n_permutations=1000, seed=1
        ),
        "map": lambda: tables.embedding_map(*own, outs[0], *outs[2:], seed=1, **common),
        "pca": lambda: tables.pca(*own, outs[3], **common),
        "volume bins": lambda: tables.volume_bins(*own, *outs[1:], bins=bins, keep=None),
        "pieces": lambda: tables.pieces(cells, {"model/1": identity}, outs[3], settings=of_pieces, bins=bins),
        "retrieval": lambda: drugs.retrieval(
            cells, {"model/1": identity}, *outs[2:], n_null=1000, n_exchanges=500, **tests
        ),
        "discriminants": lambda: drugs.lda(*own, *outs[1:], n_permutations=50, **tests),
    }
