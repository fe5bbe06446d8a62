"""Time of signed distances and samples of a mesh, beside VTK asked point by point.

`bench_preprocess.py` prints this table after its own; alone: python tests/speed/bench_distances.py
"""

from __future__ import annotations

import os

# Before libigl's first call: it reads this once.
os.environ["IGL_NUM_THREADS"] = "1"

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pyvista
import trimesh
import vtk

from morphobench.geometry import surface_points
from morphobench.sample import distances

REPEATS = 1 if "--quick" in sys.argv else 5
# A call slower than this is not repeated.
SLOW_S = 2.0
SHARE = 0.66
GRIDS, TINY_GRIDS = (32, 64), (8, 12)


def bumpy(subdivisions: int) -> trimesh.Trimesh:
    """Return a sphere with a dozen bumps; 5 subdivisions make 20480 faces."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    tops = np.random.default_rng(0).normal(size=(12, 3))
    tops /= np.linalg.norm(tops, axis=1, keepdims=True)
    mesh.vertices *= 1 + 0.25 * np.exp(-10 * (1 - mesh.vertices @ tops.T)).sum(axis=1, keepdims=True)
    return mesh


def plain(vertices: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Ask vtkImplicitPolyDataDistance for one point after another, as the published code does."""
    asked = vtk.vtkImplicitPolyDataDistance()
    asked.SetInput(pyvista.make_tri_mesh(vertices, faces))
    return np.array([asked.EvaluateFunction(point) for point in points.tolist()])


def seconds(call: Callable[[], object]) -> tuple[float, object]:
    """Return the median time of a call, the first one left out unless it is all there is, and its result."""
    times: list[float] = []
    while not times or (len(times) <= REPEATS and times[0] < SLOW_S):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:] or times), result


def grid_line(mesh: trimesh.Trimesh, resolution: int) -> str:
    """Compare the grids of distances; the difference is the largest one inside the band, voxels."""
    vertices, faces = np.array(mesh.vertices), np.array(mesh.faces)
    factor = SHARE * resolution / mesh.extents.max()
    place = {"resolution": resolution, "scale_factor": factor}
    ours_s, ours_zyx = seconds(lambda: distances.signed_distance_grid(vertices, faces, **place))
    points = np.indices((resolution,) * 3).reshape(3, -1).T[:, ::-1] - resolution // 2
    scaled = (vertices - mesh.bounds.mean(axis=0)) * factor
    plain_s, known = seconds(lambda: plain(scaled, faces, points))
    near = np.abs(known) <= distances.BAND_VOXEL
    difference = np.abs(ours_zyx.ravel() - known)[near].max()
    name = f"signed distances, grid of {resolution}^3"
    return f"| {name} | {plain_s:.3g} s | {ours_s:.3g} s | {plain_s / ours_s:.0f} | {difference:.0e} |"


def samples_line(mesh: trimesh.Trimesh, resolution: int) -> str:
    """Time points of the surface and points in space with their distances, resolution^3 of each."""
    vertices, _, _ = surface_points.unit_cube(mesh.vertices)
    faces, n = np.array(mesh.faces), resolution**3

    def draw() -> np.ndarray:
        rng = np.random.default_rng(0)
        surface_points.surface_points(vertices, faces, n, rng)
        return surface_points.signed_distances(surface_points.query_points(n, rng), vertices, faces)

    ours_s, _ = seconds(draw)
    return f"| {n} points of the surface, {n} in space | | {ours_s:.3g} s | | |"


def report(quick: bool) -> None:
    """Print the table."""
    mesh, grids = (bumpy(2), TINY_GRIDS) if quick else (bumpy(5), GRIDS)
    print(f"\nDistances to one mesh of {len(mesh.faces)} triangles, one thread\n")
    print("| | VTK, point by point | morphobench | ratio | largest difference in the band, voxels |")
    print("|---|---|---|---|---|")
    for resolution in grids:
        print(grid_line(mesh, resolution), flush=True)
    print(samples_line(mesh, grids[0]), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny mesh, to see that everything runs")
    report(parser.parse_args().quick)
