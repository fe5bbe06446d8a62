"""A clone with data sets of every way in: a field of view, shapes, cells of a user's own, whole cells."""

from __future__ import annotations

import shutil
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import yaml
from fabricate import own_cells
from harness.clone import snakemake
from paths import SHARED

# The demo's figures have the other models of shapes but the implicit one, which is here for its rotations.
SHAPE_MODELS = (
    "classical_image_seg",
    "rotation_invariant_image_seg",
    "rotation_invariant_image_sdf",
    "rotation_invariant_pointcloud_sdf",
)
CELL_MODEL, OWN_MODEL = "rotation_invariant_pointcloud_intensity", "classical_pointcloud"
SHAPE_BASELINES = ("shape_volume", "shape_sizes", "harmonic_power", "harmonic_coefficients")
OWN_CELLS = ("mine_cells", "mine")
N_SHAPES = 40
EPOCHS = dict.fromkeys(SHAPE_MODELS, 2) | {CELL_MODEL: 3, OWN_MODEL: 1}
OVERLAY = {
    # One of the cells that `own_cells` writes has no picture.
    "max_failed_fraction": 0.4,
    "datasets": {
        "adrenal": {"source": {"max_cells": N_SHAPES}},
        # One field of view alone: its cells are the units of the split.
        "mine_cells": {"n_shards": 1, "subsample": {"n_points": 128}},
        "mine": {"n_shards": 1, "subsample": {"n_points": 128}, "source": {"group": "CellId"}},
    },
    "models": {model: {"training": {"max_epochs": epochs}} for model, epochs in EPOCHS.items()},
}
CONFIG = ("--configfile", "overlay.yaml", "--config", "scale=demo")
# A field of view of whole cells, beside the checkout.
TOMM20 = SHARED / "data/hipsc_tomm20_fov"


def add_datasets(folder: Path) -> None:
    """Add cells of a user's own, coarser grids of the shapes, and mitochondria where they are at hand."""
    own_cells.write_single_cells(folder / "mine_cells")
    own_cells.write_field(folder / "mine_field")
    _add(folder, "mine_cells", own_cells.filled(("A", "C"), own_cells.SINGLE))
    _add(folder, "mine", own_cells.filled(("B", "C"), own_cells.FIELD))
    _add_coarser_shapes(folder)
    if TOMM20.is_dir():
        _add_mitochondria(folder)
    (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))


def _add(folder: Path, name: str, text: str) -> None:
    (folder / f"config/datasets/{name}.yaml").write_text(text)


def _shapes(folder: Path) -> dict:
    return yaml.safe_load((folder / "config/datasets/adrenal.yaml").read_text())


def _add_coarser_shapes(folder: Path) -> None:
    described = _shapes(folder) | {"cells_from": ["adrenal"], "n_shards": 0, "source": {}}
    described["sample"]["resolution"] = 12
    _add(folder, "adrenal_coarse", yaml.safe_dump(described))


def _add_mitochondria(folder: Path) -> None:
    (folder / "field").mkdir()
    row = {"FOVId": "tomm20"}
    for column, name in {"image": "structure", "membrane_segmentation": "cell"}.items():
        file = TOMM20 / f"TOMM20_pipeline_example_{name}_segmentation.tiff"
        row[column] = shutil.copy(file, folder / f"field/{name}.tiff").name
    pd.DataFrame([row]).to_csv(folder / "field/fovs.csv", index=False)
    fov = {"channel_names": ["TOMM20"], "label_channels": ["membrane_segmentation"]}
    fov |= {"spacing_um_zyx": [0.29, 0.108333, 0.108333], "margin_um": 1.0, "z_border": False}
    described = _shapes(folder) | {
        "title": "Mitochondria (TOMM20)",
        "source": {"fovs": "field/fovs.csv", "fov": fov},
        "channels": {"structure": "TOMM20", "cell_mask": "membrane_segmentation"},
        "voxel_um": 0.2,
        "n_shards": 1,
        "stratum": "FOVId",
        "labels": [],
        "split": None,
    }
    described["sample"] |= {"n_surface": 4096, "n_queries": 2048}
    described["subsample"] = {"n_points": 1024, "n_queries": 1024, "weight": "uniform"}
    _add(folder, "tomm20", yaml.safe_dump(described))


def manifest(dataset: str) -> str:
    return f"results/sample/{dataset}/manifest.parquet"


def contact_sheet(dataset: str) -> str:
    return f"results/plot/cells/{dataset}.png"


def embedding(dataset: str, model: str, rotations: str = "identity") -> str:
    return f"results/embed/{dataset}/{model}/seed-42/{rotations}.parquet"


def scores(dataset: str, model: str) -> str:
    return f"results/score/{dataset}/{model}/seed-42/scores.parquet"


def targets(folder: Path) -> list[str]:
    """Return what the tests look at."""
    return [
        contact_sheet("hipsc_nuclei"),
        embedding("hipsc_nuclei", CELL_MODEL, "uniform"),
        contact_sheet("adrenal"),
        *(embedding("adrenal", model, name) for model in SHAPE_MODELS for name in ("identity", "lattice")),
        *(scores("adrenal", baseline) for baseline in SHAPE_BASELINES),
        manifest("adrenal_coarse"),
        *(contact_sheet(name) for name in OWN_CELLS),
        *(embedding(name, OWN_MODEL) for name in OWN_CELLS),
        *([contact_sheet("tomm20")] if (folder / "field").is_dir() else []),
    ]


def run(folder: Path, *arguments: str) -> CompletedProcess:
    """Run Snakemake with the settings of the clone."""
    return snakemake(folder, "--cores", "2", *CONFIG, "--", *arguments)


def arrays(folder: Path, dataset: str, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of every sampled cell by CellId."""
    table = pd.read_parquet(folder / manifest(dataset)).query("success")
    shards = {
        number: np.load(folder / f"results/sample/{dataset}/shard-{number}/{name}.npy")
        for number in table["shard"].unique()
    }
    return {row["CellId"]: shards[row["shard"]][row["index"]] for row in table.to_dict("records")}
