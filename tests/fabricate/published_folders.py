"""Small published folders: fabricated cells written by the stage `publish`, and the settings to read them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import trimesh
from fabricate.trained import CUBE_SIZE, N_POINTS, SIDE_UM, clouds_um, cube_of, intensities

from morphobench.files import CELL_TABLE, write_table
from morphobench.published import manifest
from morphobench.published import polymorphic as read_polymorphic
from morphobench.published import punctate as read_punctate
from morphobench.published import write_polymorphic as polymorphic
from morphobench.published import write_punctate as punctate

N_CELLS, N_SHARDS, RESOLUTION, N_SURFACE, VOXEL_UM = 6, 2, 8, 40, 0.25
SPLITS = ["train", "train", "val", "test", "train", "test"]
# Section `download` of the configuration, for files that are used in place.
DOWNLOAD = {"cache": None, "connections": 2, "retries": 1, "timeout_s": 5, "backoff_s": 0.01}


def dataset(location: Path, kind: str, **more) -> dict:
    sample = {
        "punctate": {
            "mode": "corrected",
            "points": {"n_points": N_POINTS},
            "cube": {"size": CUBE_SIZE, "side_um": SIDE_UM},
        },
        "polymorphic": {
            "mode": "corrected",
            "resolution": RESOLUTION,
            "n_surface": N_SURFACE,
            "n_queries": N_SURFACE,
            "n_points": 16,
        },
    }[kind]
    described = {"location": str(location), "prefix": "bucket", "preprocessed": "cells/manifest.csv"}
    described |= {"split": "split", "checkpoints": None, "embeddings": None}
    return {
        "name": "tiny",
        "kind": kind,
        "source": {},
        "voxel_um": VOXEL_UM,
        "sample": sample,
        "stratum": "stage",
        "published": described | more,
    }


def cells() -> pd.DataFrame:
    numbers = np.arange(N_CELLS)
    return pd.DataFrame(
        {
            "CellId": [f"00{number}" for number in numbers],
            "group": [f"00{number}" for number in numbers],
            "stage": ["G1", "S"] * (N_CELLS // 2),
            "success": True,
            "error": "",
            "split": SPLITS,
            "shard": numbers % N_SHARDS,
            "index": numbers // N_SHARDS,
        }
    )


def write_punctate(root: Path) -> tuple[pd.DataFrame, list[Path]]:
    """Write sampled shards, and publish them below root/bucket; return the cells and the shards."""
    table = cells()
    arrays = {
        "points_um": clouds_um(N_CELLS),
        "intensity": intensities(N_CELLS),
        "cube": np.stack([cube_of(cloud) for cloud in clouds_um(N_CELLS)]).astype(np.uint16),
    }
    shards = _write_shards(root / "sample", table, arrays)
    folder = root / "bucket/cells"
    folder.mkdir(parents=True)
    columns = punctate.write(
        folder, PurePosixPath("cells"), table, {"sample": shards}, dataset(root, "punctate")
    )
    return _write_manifest(folder, table, columns), shards


def write_polymorphic(root: Path) -> tuple[pd.DataFrame, list[Path]]:
    """As `write_punctate`, for boxes of unlike sides, which look another way round along every axis."""
    table, rng = cells(), np.random.default_rng(1)
    grids = rng.normal(size=(N_CELLS, *[RESOLUTION] * 3)).astype(np.float32)
    clouds = rng.uniform(-0.5, 0.5, (4, N_CELLS, N_SURFACE, 3)).astype(np.float32)
    scale_um = rng.uniform(2, 5, N_CELLS)
    table = table.assign(scale_um=scale_um, scale_factor=6 / scale_um)
    table = table.assign(**{f"loc_{axis}_um": rng.uniform(1, 9, N_CELLS) for axis in "xyz"})
    arrays = {
        "sdf": grids,
        "seg": (grids <= 0).astype(np.uint8),
        "surface": clouds[0],
        "normals": clouds[1],
        "queries": clouds[2],
        "distances": clouds[3, :, :, 0],
        "points_um": clouds[3, :, :16],
    }
    shards = _write_shards(root / "sample", table, arrays)
    masked = _write_meshes(root / "mask", table)
    folder = root / "bucket/cells"
    folder.mkdir(parents=True)
    both = {"sample": shards, "mask": masked}
    columns = polymorphic.write(folder, PurePosixPath("cells"), table, both, dataset(root, "polymorphic"))
    return _write_manifest(folder, table, columns), shards


def _write_shards(root: Path, table: pd.DataFrame, arrays: dict[str, np.ndarray]) -> list[Path]:
    shards = [root / f"shard-{number}" for number in range(N_SHARDS)]
    for number, shard in enumerate(shards):
        shard.mkdir(parents=True)
        mine = (table["shard"] == number).to_numpy()
        for name, array in arrays.items():
            np.save(shard / f"{name}.npy", array[mine])
        write_table(table[mine].drop(columns=["shard", "split"]), shard / CELL_TABLE)
    return shards


def _write_meshes(root: Path, table: pd.DataFrame) -> list[Path]:
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    folders = [root / f"shard-{number}" for number in range(N_SHARDS)]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        mine = table[table["shard"] == number]
        np.save(folder / "vertices_um.npy", np.tile(box.vertices, (len(mine), 1)).astype(np.float32))
        np.save(folder / "faces.npy", np.tile(box.faces, (len(mine), 1)).astype(np.int32))
        n_v, n_f = len(box.vertices), len(box.faces)
        places = {
            "first_vertex": np.arange(len(mine)) * n_v,
            "n_vertices": n_v,
            "first_face": np.arange(len(mine)) * n_f,
            "n_faces": n_f,
        }
        write_table(mine.assign(**places), folder / CELL_TABLE)
    return folders


def _write_manifest(folder: Path, table: pd.DataFrame, columns: dict) -> pd.DataFrame:
    kept = table[["CellId", "stage", "split"]].assign(**columns)
    prefixed = {
        column: "./bucket/" + kept[column].astype(str)
        for column in kept
        if column.endswith(("path", "folder", "factor"))
    }
    kept = kept.assign(**prefixed)
    # As pandas writes it, with its index.
    kept.to_csv(folder / "manifest.csv")
    return table


def index(root: Path, described: dict, max_failed_fraction: float = 0.0) -> list[Path]:
    """Fetch the manifest and index every shard; return the shard folders."""
    reader = {"punctate": read_punctate, "polymorphic": read_polymorphic}[described["kind"]]
    manifest.run(root / "published.parquet", dataset=described, max_cells=None, download=DOWNLOAD)
    folders = [root / f"indexed/shard-{number}" for number in range(N_SHARDS)]
    for number, folder in enumerate(folders):
        reader.run(
            root / "published.parquet",
            folder,
            dataset=described,
            shard=number,
            n_shards=N_SHARDS,
            download=DOWNLOAD,
            seed=3,
            max_failed_fraction=max_failed_fraction,
        )
    return folders
