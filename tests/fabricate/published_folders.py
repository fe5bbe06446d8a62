"""Small published folders: made-up cells written in the published layout, and how to read them back."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import trimesh
from fabricate.masked import write_meshes
from fabricate.sampled import CUBE_SIZE, N_POINTS, SIDE_UM, clouds_um, cube_of, intensities

from morphobench.files import CELL_TABLE, read_array, read_cells, write_table
from morphobench.published import manifest, polymorphic, punctate, shard

N_CELLS, N_SHARDS, RESOLUTION, N_SURFACE, VOXEL_UM = 6, 2, 8, 40, 0.25
SPLITS = ["train", "train", "val", "test", "train", "test"]
# Section `download` of the configuration, for files that are used in place.
DOWNLOAD = {"cache": None, "connections": 2, "retries": 1, "timeout_s": 5, "backoff_s": 0.01}
# A manifest of punctate cells whose paths begin with the name of the published folder, or do not.
ROWS = {
    "CellId": ["c.ply", "a", "b"],
    "split": ["train", "valid", "test"],
    "pointcloud_path": ["./bucket/pc/c.ply", "bucket/pc/a.ply", "pc/b.ply"],
    "image_path": ["bucket/c.tiff", "bucket/a.tiff", "bucket/b.tiff"],
    "stage": ["G1", "S", "M"],
}


def published_dataset(location: Path, kind: str, **published) -> dict:
    """The configuration of a dataset over a published folder; keywords replace entries of `published`."""
    sample = {
        "packing": {},
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
    described = {"location": str(location), "prefixes": ["bucket"], "preprocessed": "cells/manifest.csv"}
    described |= {"split": "split", "checkpoints": None, "embeddings": None}
    return {
        "name": "tiny",
        "kind": kind,
        "source": {},
        "voxel_um": VOXEL_UM,
        "sample": sample,
        "stratum": "stage",
        "published": described | published,
    }


def read_manifest(
    folder: Path,
    rows: dict = ROWS,
    *,
    kind: str = "punctate",
    max_cells: int | None = None,
    source: dict | None = None,
    rules: tuple[str, ...] = (),
    needs: dict | None = None,
    **published,
) -> pd.DataFrame:
    """Write a manifest, fetch it into folder/published.parquet, and return that table."""
    (folder / "cells").mkdir(exist_ok=True)
    # As pandas writes it, with its index.
    pd.DataFrame(rows).to_csv(folder / "cells/manifest.csv")
    out = folder / "published.parquet"
    dataset = published_dataset(folder, kind, **published)
    dataset |= {"source": source or {}, "rules": rules, "needs": needs}
    manifest.run(out, dataset=dataset, max_cells=max_cells, download_config=DOWNLOAD)
    return pd.read_parquet(out)


def read_shards(root: Path, described: dict, max_failed_fraction: float = 0.0) -> list[Path]:
    """Fetch manifest and cells of the published folder below root; return the shard folders."""
    table = root / "published.parquet"
    manifest.run(table, dataset=described, max_cells=None, download_config=DOWNLOAD)
    folders = [root / f"read/shard-{number}" for number in range(N_SHARDS)]
    for number, folder in enumerate(folders):
        shard.run(
            table,
            folder,
            dataset=described,
            shard=number,
            n_shards=N_SHARDS,
            download_config=DOWNLOAD,
            seed=3,
            max_failed_fraction=max_failed_fraction,
        )
    return folders


def arrays_by_cell(shards: list[Path], name: str) -> dict[str, np.ndarray]:
    """The rows of an array by CellId."""
    rows = {}
    for folder in shards:
        stored, table = read_array(folder, name), read_cells(folder)
        rows |= {row.CellId: np.asarray(stored[row.index]) for row in table[table["success"]].itertuples()}
    return rows


def failures(shards: list[Path]) -> pd.Series:
    """The reasons of failed cells by CellId."""
    table = pd.concat([read_cells(folder) for folder in shards])
    return table[~table["success"]].set_index("CellId")["error"]


def write_punctate(root: Path) -> list[Path]:
    """Write sampled shards, and publish them below root/bucket; return the shards."""
    table = _cells()
    clouds = clouds_um(N_CELLS)
    arrays = {
        "points_um": clouds,
        "intensity": intensities(N_CELLS),
        "cube": np.stack([cube_of(cloud) for cloud in clouds]).astype(np.uint16),
    }
    shards = _write_shards(root / "sample", table, arrays)
    _publish(root, "punctate", punctate, table, {"sample": shards})
    return shards


def write_polymorphic(root: Path) -> list[Path]:
    """As `write_punctate`, for boxes of unlike sides, which look another way round along every axis."""
    table, rng = _cells(), np.random.default_rng(1)
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
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    masked = [
        write_meshes(root / f"mask/shard-{number}", dict.fromkeys(part["CellId"], box))
        for number, part in table.groupby("shard")
    ]
    both = {"sample": shards, "mask": masked}
    _publish(root, "polymorphic", polymorphic, table, both)
    return shards


def _cells() -> pd.DataFrame:
    numbers = np.arange(N_CELLS)
    names = [f"00{number}" for number in numbers]
    return pd.DataFrame(
        {
            "CellId": names,
            "group": names,
            "stage": ["G1", "S"] * (N_CELLS // 2),
            "success": True,
            "error": "",
            "split": SPLITS,
            "shard": numbers % N_SHARDS,
            "index": numbers // N_SHARDS,
        }
    )


def _write_shards(root: Path, table: pd.DataFrame, arrays: dict[str, np.ndarray]) -> list[Path]:
    shards = [root / f"shard-{number}" for number in range(N_SHARDS)]
    for number, folder in enumerate(shards):
        folder.mkdir(parents=True)
        mine = (table["shard"] == number).to_numpy()
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array[mine])
        write_table(table[mine].drop(columns=["shard", "split"]), folder / CELL_TABLE)
    return shards


def _publish(root: Path, kind: str, writer, table: pd.DataFrame, shards: dict[str, list[Path]]) -> None:
    folder = root / "bucket/cells"
    folder.mkdir(parents=True)
    paths = writer.write(folder, PurePosixPath("cells"), table, shards, published_dataset(root, kind))
    kept = table[["CellId", "stage", "split"]].assign(**paths)
    kept = kept.assign(**{column: "./bucket/" + kept[column].astype(str) for column in paths})
    kept.to_csv(folder / "manifest.csv")
