"""A small packing data set, made up in a temporary folder: coarse ellipsoids in micrometres, z thin."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import trimesh

RULES = {
    "planar_gradient_0deg": {"mode": "vector", "direction": [0, 0, 1], "decay": 0.1},
    "planar_gradient_45deg": {"mode": "vector", "direction": [0, 0.70711, 0.70711], "decay": 0.1},
    "planar_gradient_90deg": {"mode": "vector", "direction": [0, 1, 0], "decay": 0.1},
    "surface_gradient": {"mode": "surface", "decay": 0.01},
    "random": {"mode": "random"},
    "radial_gradient": {"mode": "radial", "decay": 0.1},
}


def ellipsoid(semi_axes, subdivisions: int = 2) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    mesh.apply_scale(semi_axes)
    return mesh


def write_shapes(folder: Path, shapes: dict[str, trimesh.Trimesh]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for shape, mesh in shapes.items():
        mesh.export(folder / f"{shape}_0.ply")
    pd.DataFrame({"CellId": list(shapes), "angle": 0}).to_csv(folder / "manifest.csv", index=False)
    return folder


def packing_dataset(shapes: Path, packings: Path | None = None) -> dict:
    return copy.deepcopy(
        {
            "name": "cellpack",
            "kind": "packing",
            "voxel_um": 0.1,
            "source": {
                "shapes": str(shapes),
                "shape_unit_um": 1.0,
                "shape_axes": "depth_last",
                "packings": packings and str(packings),
            },
            "rules": RULES,
            "packing": {
                "n_spheres": 32,
                "radius": 1.0,
                "spacing": 2.0,
                "box": [[-25, -50, -50], [30, 50, 50]],
            },
        }
    )
