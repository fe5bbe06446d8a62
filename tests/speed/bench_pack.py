"""How long packing takes, how much memory it needs and how long imports take; prints tables, tests nothing.

Run from anywhere: python tests/speed/bench_pack.py
"""

from __future__ import annotations

import os

# Before numpy: libigl and BLAS read these when they load.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "IGL_NUM_THREADS"), "1")

import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import trimesh

from morphobench.config import schema
from morphobench.download import pack
from morphobench.geometry import meshes
from morphobench.geometry.packing import to_packing_frame

ROOT = Path(__file__).parents[2]

REPEATS = 5
DATASET = "cellpack"
IMPORTS = {
    "numpy alone": "numpy",
    "morphobench": "morphobench",
    "stage score": "morphobench.score.stage",
    "stage plot": "morphobench.plot.benchmark",
}


def median_of(call: Callable[[], object]) -> float:
    """Return the median of `REPEATS` wall times in seconds, after one call that does not count."""
    call()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def median_nucleus(dataset: dict) -> trimesh.Trimesh:
    """Return the nucleus of median volume in the data set's own shapes, in the packing frame."""
    source = dataset["source"]
    folder = ROOT / source["shapes"]
    volumes = pd.read_csv(folder / "manifest.csv").sort_values("volume_of_nucleus_um3")
    middle = volumes.iloc[len(volumes) // 2]
    mesh = meshes.read_closed_mesh(folder / f"{middle['CellId']:g}_{middle['angle']:g}.ply")
    return to_packing_frame(
        mesh,
        unit_um=source["shape_unit_um"],
        voxel_um=dataset["voxel_um"],
        axes=source["shape_axes"],
        centred=True,
    )


def largest_ellipsoid(dataset: dict) -> trimesh.Trimesh:
    """Return the ellipsoid that touches all six sides of the packing box."""
    low, high = np.array(dataset["packing"]["box"], dtype=float)
    mesh = trimesh.creation.icosphere(subdivisions=4)
    # An icosphere of this fineness has no vertex exactly on the x axis; its own extent is what must fit.
    scale = (high - low) / np.ptp(mesh.vertices, axis=0) * (1 - 1e-9)
    return trimesh.Trimesh((mesh.vertices * scale) + (low + high) / 2, mesh.faces, process=False)


def measure(shape: str) -> dict:
    """Time the grid and every rule for one nucleus; to be called in a process of its own."""
    dataset = schema.read_yaml(ROOT / "config/datasets" / f"{DATASET}.yaml")
    mesh = {"median nucleus": median_nucleus, "largest ellipsoid": largest_ellipsoid}[shape](dataset)
    settings = dataset["packing"]
    before_mb = peak_mb()
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    lay = partial(pack.nucleus_grid, vertices, faces, box=settings["box"], spacing=settings["spacing"])
    grid_s, grid = median_of(lay), lay()

    def one(rule: dict) -> np.ndarray:
        sizes = {"n_spheres": settings["n_spheres"], "radius": settings["radius"]}
        weights = pack.gradient_weights(grid, rule)
        return pack.pack_spheres(grid, weights, **sizes, rng=np.random.default_rng(1))

    rules_s = {name: median_of(partial(one, rule)) for name, rule in dataset["rules"].items()}
    return {
        "faces": len(faces),
        "volume_um3": float(mesh.volume) * dataset["voxel_um"] ** 3,
        "grid_s": grid_s,
        "rules_s": rules_s,
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the largest memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def fresh(*arguments: str) -> str:
    """Return the output of Python in a fresh process."""
    return subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def import_seconds(module: str) -> float:
    """Return the median time to import a module in a fresh process, the interpreter's start not counted."""
    code = f"import time; s = time.perf_counter(); import {module}; print(time.perf_counter() - s)"
    times = [float(fresh("-c", code)) for _ in range(REPEATS + 1)]
    return statistics.median(times[1:])


def main() -> None:
    """Print the tables."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, one thread used"
    print(f"{machine}; median of {REPEATS} after a warm-up\n")
    print("Packing one nucleus with one rule: seconds for the rule, and with its share of the grid")
    for shape in ("median nucleus", "largest ellipsoid"):
        found = json.loads(fresh(str(Path(__file__)), shape))
        share_s = found["grid_s"] / len(found["rules_s"])
        print(f"\n{shape}: {found['volume_um3']:.0f} um3, {found['faces']} faces")
        print(f"  {'grid, once for all rules':28}{found['grid_s']:9.3f} s")
        for rule, rule_s in found["rules_s"].items():
            print(f"  {rule:28}{rule_s:9.3f} s {rule_s + share_s:9.3f} s")
        worst = max(found["rules_s"].values()) + share_s
        print(f"  {'slowest rule with grid':28}{worst:9.3f} s")
        print(f"  {'peak memory':28}{found['peak_mb']:9.0f} MB ({found['before_mb']:.0f} MB before packing)")
    print("\nImport in a fresh process")
    for name, module in IMPORTS.items():
        print(f"  {name:28}{import_seconds(module):9.3f} s")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
