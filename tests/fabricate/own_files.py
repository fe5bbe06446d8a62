"""Folders of a user's own, as other programs write them: meshes, points, fields of view."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import tifffile
import trimesh
from fabricate.meshes import ball, box


def write_meshes(folder: Path, unit_um: float = 1.0, ending: str = "ply") -> None:
    """Two classes in folders of their own; `unit_um` micrometres are a unit."""
    shapes = {"round": lambda i: ball(5.0 + i, subdivisions=2), "square": lambda i: box([8.0 + i, 9.0, 6.0])}
    for name, make in shapes.items():
        (folder / name).mkdir(parents=True)
        for number in range(3):
            vertices_um, faces = make(number)
            mesh = trimesh.Trimesh(vertices_um / unit_um, faces, process=False)
            mesh.export(folder / name / f"{name}{number}.{ending}")


def cloud(number: int, n: int, dimensions: int = 3) -> np.ndarray:
    """Points of a cell, nanometres, far from the origin."""
    spread = np.array([900.0, 400.0, 300.0])[:dimensions]
    return np.random.default_rng(number).normal(size=(n, dimensions)) * spread + 50_000


def write_thunderstorm(folder: Path, counts: list[int]) -> None:
    """A CSV per cell, in two dimensions, as ThunderSTORM writes them."""
    folder.mkdir(parents=True)
    for number, n in enumerate(counts):
        rows = [f"{i},1,{x:.3f},{y:.3f},{500 + i}" for i, (x, y) in enumerate(cloud(number, n, 2))]
        header = '"id","frame","x [nm]","y [nm]","intensity [photon]"'
        (folder / f"cell{number}.csv").write_text("\n".join([header, *rows]) + "\n")


def write_picasso(folder: Path, counts: list[int], pixel_nm: float | None = 130.0) -> None:
    """An HDF5 file per cell as Picasso writes it: x and y in pixels, z in nanometres, a yaml beside it."""
    folder.mkdir(parents=True)
    types = [("frame", "u4"), ("x", "f4"), ("y", "f4"), ("photons", "f4"), ("lpx", "f4"), ("z", "f4")]
    for number, n in enumerate(counts):
        points_nm, table = cloud(number, n), np.zeros(n, dtype=types)
        table["x"], table["y"] = (points_nm[:, :2] / (pixel_nm or 130.0)).T
        table["z"], table["photons"] = points_nm[:, 2], 100 + np.arange(n)
        with h5py.File(folder / f"cell{number}_locs.hdf5", "w") as file:
            file["locs"] = table
        size = f"---\nPixelsize: {pixel_nm}\n" if pixel_nm else ""
        (folder / f"cell{number}_locs.yaml").write_text(f"Frames: 100\n{size}")


def write_trees(folder: Path, n: int = 3) -> None:
    """Neurites in SWC, of nodes at uneven distances."""
    folder.mkdir(parents=True)
    for number in range(n):
        steps = np.random.default_rng(number).normal(size=(20, 3)) * np.array([4, 2, 1])
        nodes = [
            f"{i + 1} 3 {x:.3f} {y:.3f} {z:.3f} 0.5 {i or -1}"
            for i, (x, y, z) in enumerate(np.cumsum(steps, axis=0))
        ]
        (folder / f"tree{number}.swc").write_text("# a comment\n" + "\n".join(nodes) + "\n")


def field(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts and labels of a small field of view: eight boxes, of which one is cut."""
    labels = np.zeros((12, 40, 80), np.uint16)
    for number in range(8):
        row, column = divmod(number, 4)
        top, left = 4 + 18 * row, (0 if number == 0 else 4) + 19 * column
        labels[2:10, top : top + 12, left : left + 12 + number // 2] = number + 1
    noise = np.random.default_rng(seed).poisson(100, labels.shape)
    return (noise + 50 * (labels > 0)).astype(np.uint16), labels


def write_fields(folder: Path, label_name: str = "{}_cp_masks.tif", n: int = 2, **metadata: object) -> None:
    """Fields of view and label images by name; with ImageJ's metadata, the size of a voxel."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {"imagej": True, "resolution": (4, 4), "metadata": {"axes": "ZYX", "spacing": 0.5, "unit": "um"}}
    for number in range(n):
        counts, labels = field(number)
        tifffile.imwrite(folder / f"f{number}.tif", counts, **(known | metadata))
        (folder / label_name.format(f"f{number}")).parent.mkdir(exist_ok=True)
        tifffile.imwrite(folder / label_name.format(f"f{number}"), labels)


def write_hdf5_fields(folder: Path, n: int = 2) -> None:
    """Fields as PlantSeg keeps them: intensities, labels and a map of boundaries in one file each."""
    folder.mkdir(parents=True)
    for number in range(n):
        image, labels = field(number)
        with h5py.File(folder / f"f{number}.h5", "w") as file:
            arrays = {"raw": image, "label": labels, "predictions": np.stack([image, image]) / 255}
            for name, values in arrays.items():
                file[name] = values
            file["raw"].attrs["element_size_um"] = [0.5, 0.25, 0.25]
