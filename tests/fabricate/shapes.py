"""A small polymorphic data set in the layouts of stages `mask` and `sample`, and models that are perfect."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import trimesh

from morphobench import files
from morphobench.models.base import Autoencoder, Embedding
from morphobench.sample import polymorphic as sample

DATASET, SIZE, RESOLUTION = "blobs", 13, 12
SPLITS = ["train", "train", "val", "test", "test", "test", "test"]
# Settings of an implicit model.
SURFACE = {"representation": "surface", "input_scale": 1.0, "draw": {"n_points": 40, "n_queries": 10}}
# Micrometres that half the grid spans, less a margin.
_HALF_VOXEL = 4.5


class ShapeCase(NamedTuple):
    """Where a data set lies: manifest, shard folders of `sample` and of `mask`."""

    manifest: Path
    shards: list[Path]
    meshes: list[Path]


def blob(number: int) -> trimesh.Trimesh:
    """Two ellipsoids, one in the other's corner, somewhere in the crop; no symmetry; unlike the others."""
    rng = np.random.default_rng(number)
    pieces = []
    for radius_um, centre_um in ((3.0, (0, 0, 0)), (1.5, (2.0, 1.5, 1.0))):
        piece = trimesh.creation.icosphere(subdivisions=3, radius=radius_um)
        piece.vertices *= rng.uniform(0.6, 1.0, 3)
        pieces.append(piece.apply_translation(centre_um))
    return trimesh.util.concatenate(pieces).apply_translation(rng.uniform(5, 20, 3))


def write_shapes(root: Path, n_shards: int = 2) -> ShapeCase:
    """Write masked meshes and sample them; each cell has a scale of its own."""
    numbers = np.arange(len(SPLITS))
    tables, shards, meshes = [], [], []
    for shard in range(n_shards):
        mine = [int(number) for number in numbers[numbers % n_shards == shard]]
        masked = _write_masked(root / f"mask-{shard}", {f"{number:02d}": blob(number) for number in mine})
        scale = {f"{n:02d}": _HALF_VOXEL / (np.ptp(blob(n).vertices, axis=0).max() / 2) for n in mine}
        files.write_table(
            pd.DataFrame({"CellId": list(scale), "scale_factor": list(scale.values())}),
            root / "scale_factor.parquet",
        )
        sample.run(
            masked,
            root / f"sample-{shard}",
            dataset_name=DATASET,
            scale_factor=root / "scale_factor.parquet",
            resolution=RESOLUTION,
            n_surface=200,
            n_queries=100,
            n_points=64,
            seed=1,
            max_failed_fraction=0.0,
        )
        shards.append(root / f"sample-{shard}")
        meshes.append(masked)
        tables.append(files.read_cells(shards[-1]).assign(shard=shard))
    table = pd.concat(tables).sort_values("CellId", ignore_index=True).assign(split=SPLITS)
    files.write_table(table, root / "manifest.parquet")
    return ShapeCase(root / "manifest.parquet", shards, meshes)


def _write_masked(folder: Path, shapes: dict[str, trimesh.Trimesh]) -> Path:
    folder.mkdir(parents=True)
    rows, vertices, faces = [], [], []
    for name, mesh in shapes.items():
        place = {"first_vertex": sum(map(len, vertices)), "n_vertices": len(mesh.vertices)}
        place |= {"first_face": sum(map(len, faces)), "n_faces": len(mesh.faces)}
        rows.append({"CellId": name, "group": name, "success": True, "error": "", "excluded": False} | place)
        vertices.append(mesh.vertices)
        faces.append(mesh.faces)
    np.save(folder / "vertices_um.npy", np.concatenate(vertices).astype(np.float32))
    np.save(folder / "faces.npy", np.concatenate(faces).astype(np.int32))
    files.write_table(pd.DataFrame(rows).assign(spacing_um=0.5), folder / files.CELL_TABLE)
    return folder


def volume_settings(representation: str, scale: float = 1.0, size: int = SIZE) -> dict:
    """Settings of an image model of the case."""
    return {"representation": representation, "input_scale": scale, "architecture": {"size": size}}


class Echo(Autoencoder):
    """A perfect autoencoder of volumes: the code is the volume, enlarged by `enlarge` when decoded."""

    def __init__(self, enlarge: float = 0.0, size: int = SIZE) -> None:
        super().__init__()
        self.enlarge, self.size = enlarge, size

    def infer(self, x: torch.Tensor) -> Embedding:
        return Embedding(x.flatten(1), None)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        return z.reshape(-1, 1, *(self.size,) * 3) - self.enlarge


class Balls(Autoencoder):
    """An implicit model whose two vectors are centre and size of a ball, and turn with the cloud."""

    grid_size = 24

    def __init__(self) -> None:
        super().__init__()
        ticks = torch.linspace(-0.55, 0.55, self.grid_size)
        z, y, x = torch.meshgrid(ticks, ticks, ticks, indexing="ij")
        self.register_buffer("grid", torch.stack((x, y, z), dim=-1).flatten(0, 2))

    def decoder_input(self, x: torch.Tensor) -> torch.Tensor:
        centre = x.mean(dim=1)
        return torch.stack((centre, x[:, 0] - centre), dim=1)

    def infer(self, x: torch.Tensor) -> Embedding:
        vectors = self.decoder_input(x)
        first, second = torch.nn.functional.normalize(vectors, dim=-1).unbind(1)
        third = torch.nn.functional.normalize(torch.linalg.cross(first, second), dim=-1)
        pose = torch.stack((first, torch.linalg.cross(third, first), third), dim=-1)
        return Embedding(torch.linalg.vector_norm(vectors, dim=-1), pose)

    def reconstruct(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.decoder_input(x))

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        vectors = z if pose is None else z @ pose.transpose(1, 2)
        offset = self.grid[None] - vectors[:, :1]
        distances = torch.linalg.vector_norm(offset, dim=-1) - torch.linalg.vector_norm(
            vectors[:, 1:], dim=-1
        )
        return distances.unflatten(1, (1, *(self.grid_size,) * 3))
