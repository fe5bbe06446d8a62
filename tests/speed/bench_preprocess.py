"""Time and memory from a cell's crop to points and cube, beside the published law written down plainly.

Prints one table, how throughput and memory go with processes and cells, and the table of bench_distances;
tests nothing. Two and a half minutes on two idle cores, seconds with --quick (tiny cells).
Run from anywhere: python tests/speed/bench_preprocess.py
"""

from __future__ import annotations

import os

# Before numpy: BLAS reads these when it loads.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from morphobench.align import punctate as align
from morphobench.download import punctate as download
from morphobench.geometry import region
from morphobench.mask import box
from morphobench.mask import punctate as mask
from morphobench.sample import points
from morphobench.sample import punctate as sample
from morphobench.sample.cube import to_cube
from morphobench.sample.points import sample_points
from morphobench.sample.reference import VARIANTS, reference_encoding, reference_image

ROOT = Path(__file__).parents[2]

REPEATS = 1 if "--quick" in sys.argv else 5
# A call slower than this is not repeated.
SLOW_S = 5.0
VARIANT, DILATION_VOXEL, JITTER_VOXEL = "pcna", 4, 0.001
N_PROCESSES = (1, 2)


@dataclass
class Sizes:
    """The cell and what is made of it; the defaults are a large nucleus and the published numbers."""

    shape_zyx: tuple[int, int, int] = (90, 300, 333)
    semi_axes_zyx: tuple[float, float, float] = (40, 80, 90)
    n_spots: int = 3000
    n_points: int = 20480
    cube: dict = field(default_factory=lambda: {"size": 118, "side_um": 25.488})
    # Shards of smaller cells, for throughput and for memory.
    small_zyx: tuple[int, int, int] = (40, 130, 140)
    small_axes_zyx: tuple[float, float, float] = (16, 45, 55)
    n_cells: tuple[int, int] = (25, 500)

    @classmethod
    def tiny(cls) -> Sizes:
        one = ((18, 30, 36), (6, 9, 12))
        return cls(*one, 30, 256, {"size": 16, "side_um": 4.0}, *one, (2, 4))


class Case:
    """One cell, and each step on it; steps read what earlier ones leave, which does not count."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes, self.folder, self.spacing_um = sizes, folder, 0.108
        # The whole crop, as the published law takes it: counts and mask, both (z, y, x).
        self.structure, self.core = (np.load(folder / f"{name}.npy") for name in ("counts", "core"))

    def plain_dilation(self) -> np.ndarray:
        return ndimage.binary_dilation(self.core, np.ones((2 * DILATION_VOXEL,) * 3))

    def plain_law(self, dilated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the published image and the probability of each voxel of the stored volume."""
        # What lay outside the mask was lost before, so this is the minimum of the published image.
        least = self.structure[dilated].min()
        image = np.where(dilated, self.structure, least).astype(np.float64)
        p = image / image.max()
        k = VARIANTS[VARIANT].multiplier * 3 * (np.mean(p) - np.median(p)) / np.std(p)
        weights = np.where(dilated, np.exp(k * p), 0)
        return image, weights / weights.sum()

    def plain_draw(self, dilated: np.ndarray) -> np.ndarray:
        image, law = self.plain_law(dilated)
        z, y, x = np.meshgrid(*map(np.arange, image.shape), indexing="ij")
        rng = np.random.default_rng(0)
        drawn = rng.choice(np.arange(image.size), self.sizes.n_points, replace=False, p=law.ravel())
        places = np.stack([z.ravel()[drawn], y.ravel()[drawn], x.ravel()[drawn]], axis=1)
        places = places + (rng.random(places.shape) - 0.5) * JITTER_VOXEL
        centre = np.floor(np.mean(np.argwhere(self.core), axis=0) + 0.5)
        return np.column_stack([places - centre, image.ravel()[drawn]])

    def plain_both(self) -> np.ndarray:
        return self.plain_draw(self.plain_dilation())

    def cut(self) -> tuple[np.ndarray, np.ndarray]:
        return mask.cut(self.structure, self.core, dilation_voxel=DILATION_VOXEL, reference=False)

    def draw(self, cell: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        arguments = {"n_points": self.sizes.n_points, "variant": VARIANT, "rng": np.random.default_rng(0)}
        return sample_points(*cell, **arguments, jitter_voxel=JITTER_VOXEL)

    def both(self) -> np.ndarray:
        return self.draw(self.cut())

    def draw_cube(self, cell: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        center_zyx = region.centre_of_mass(cell[1] == region.MASK)
        return to_cube(*cell, center_zyx=center_zyx, spacing_um=self.spacing_um, **self.sizes.cube)

    def align_stage(self) -> None:
        align.run(
            self.folder / "download",
            self.folder / "align",
            dataset=dataset(self.folder),
            max_failed_fraction=0.0,
        )

    def mask_stage(self) -> None:
        arguments = {"role": "nucleus_mask", "dilation_voxel": DILATION_VOXEL, "max_failed_fraction": 1.0}
        mask.run(self.folder / "align", self.folder / "mask", **arguments)

    def sample_stage(self) -> None:
        sample.run(
            self.folder / "mask",
            self.folder / "sample",
            dataset_name="bench",
            box=self.folder / "box.json",
            variant=VARIANT,
            points={"n_points": self.sizes.n_points, "jitter_voxel": JITTER_VOXEL},
            cube=self.sizes.cube,
            seed=1,
            max_failed_fraction=1.0,
        )

    def all_stages(self) -> None:
        self.align_stage()
        self.mask_stage()
        self.sample_stage()

    def step(self, name: str) -> Callable[[], object]:
        """Return a step as a call without arguments."""
        if name == "plain_draw":
            dilated = self.plain_dilation()
            return lambda: self.plain_draw(dilated)
        if name in ("draw", "draw_cube"):
            cell = self.cut()
            return lambda: getattr(self, name)(cell)
        return getattr(self, name)

    def difference(self) -> float:
        """Compare mode `reference` with the plain law: largest difference over largest probability."""
        dilated = self.plain_dilation()
        _, law = self.plain_law(dilated)
        labels = np.where(self.core != 0, region.MASK, dilated.astype(np.uint8))
        encoded, labels = reference_encoding(
            self.structure + 1, labels, variant=VARIANT, box_zyx=self.structure.shape
        )
        settings = VARIANTS[VARIANT]
        # The published image is one count lower than the camera's, hence the one above.
        image = reference_image(encoded, labels, settings)
        weights = np.exp(points.log_weights(image, settings.multiplier, settings.floor)) * dilated
        return float(np.abs(weights / weights.sum() - law).max() / law.max())


def memory_mb(key: str) -> float:
    """Return what this process holds (VmRSS) or ever held (VmHWM), MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) / 1e3


def measure(name: str, sizes: Sizes, folder: Path) -> dict[str, float]:
    """Time one step and what it adds to the memory; to be called in a process of its own."""
    call = Case(sizes, folder).step(name)
    # The peak so far may be that of the preparation; Linux lets a process forget its own.
    Path("/proc/self/clear_refs").write_text("5")
    before_mb, times = memory_mb("VmRSS"), []
    while not times or (len(times) <= REPEATS and times[0] < SLOW_S):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if len(times) == 1:
            added_mb = memory_mb("VmHWM") - before_mb
    # The first is the warm-up, unless it is all there is.
    return {"seconds": statistics.median(times[1:] or times), "added_mb": added_mb}


def fresh(name: str, folder: Path, quick: bool) -> dict[str, float]:
    """Measure a step in a process of its own, that pays for nothing else; when `quick`, in this one."""
    if quick:
        return measure(name, Sizes.tiny(), folder)
    arguments = [sys.executable, __file__, "--measure", name, str(folder)]
    return json.loads(subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True).stdout)


def dataset(folder: Path) -> dict[str, object]:
    """Return what download and align need to know of the fabricated cells."""
    settings = {"mask": "nucleus_mask", "unique": False, "margin_voxel": 6, "enabled": True}
    return {
        "name": "bench",
        "source": {"cells": str(folder / "source" / "manifest.csv")},
        "channels": {"structure": "structure", "nucleus_mask": "dna_segmentation"},
        "align": settings
        | {"interpolation": "linear", "least_elongation": 1.05, "stray_share": 0.05, "saturated_share": 0.01},
        "mask": {"role": "nucleus_mask"},
        "voxel_um": 0.108,
    }


def prepare(sizes: Sizes, folder: Path, n_cells: int = 1) -> int:
    """Write the crops that the steps start from, and what each leaves; return the voxels of the mask.

    Several cells are the same small one under several names.
    """
    # Only here: the steps' own processes need no image writer.
    sys.path.insert(0, str(ROOT / "tests"))
    from fabricate.cells import ellipsoid_mask, spots, write_cells

    one = (sizes.shape_zyx, sizes.semi_axes_zyx) if n_cells == 1 else (sizes.small_zyx, sizes.small_axes_zyx)
    core = ellipsoid_mask(*one, angle_degrees=30)
    counts = spots(core, np.random.default_rng(0), n=sizes.n_spots).round().astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "counts.npy", counts)
    np.save(folder / "core.npy", core.astype(np.uint8))
    manifest = write_cells(folder / "source", {"cell": (counts, core)})
    table = pd.read_csv(manifest)
    table.loc[[0] * n_cells].assign(CellId=[f"cell {i}" for i in range(n_cells)]).to_csv(
        manifest, index=False
    )
    arguments = {"shard": 0, "n_shards": 1, "seed": 1, "max_failed_fraction": 0.0}
    download.run(folder / "download", dataset=dataset(folder), **arguments)
    case = Case(sizes, folder)
    case.align_stage()
    case.mask_stage()
    box.run([folder / "mask"], folder / "box.json")
    return int(core.sum())


def shards_at_once(n: int, sizes: Sizes, quick: bool) -> float:
    """Run all stages on n shards, each in a process of its own; return cells per second."""
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(i) for i in range(n)]
        for folder in folders:
            prepare(sizes, folder, sizes.n_cells[0])
        with ThreadPoolExecutor(n) as pool:
            found = list(pool.map(lambda folder: fresh("all_stages", folder, quick), folders))
    return sum(sizes.n_cells[0] / one["seconds"] for one in found)


def added_mb(n_cells: int, sizes: Sizes, quick: bool) -> float:
    """Return what all stages on a shard of so many cells add to the memory of their process, MB."""
    with tempfile.TemporaryDirectory() as name:
        prepare(sizes, Path(name), n_cells)
        return fresh("all_stages", Path(name), quick)["added_mb"]


ROWS = {
    "dilate the mask (ours: and crop)": ("plain_dilation", "cut"),
    "draw the points": ("plain_draw", "draw"),
    "dilate and draw": ("plain_both", "both"),
    "cube": (None, "draw_cube"),
    "stage align, files included": (None, "align_stage"),
    "stage mask, files included": (None, "mask_stage"),
    "stage sample (points and cube), files included": (None, "sample_stage"),
    "stages align, mask and sample": (None, "all_stages"),
}


def line(name: str, theirs: dict[str, float] | None, ours: dict[str, float]) -> str:
    """Return one line of the table."""
    found = [f"{ours['seconds']:.3g} s", f"{ours['added_mb']:.0f} MB"]
    if theirs is None:
        return f"| {name} | | {found[0]} | | | {found[1]} |"
    ratio = f"{theirs['seconds'] / ours['seconds']:.0f}"
    return (
        f"| {name} | {theirs['seconds']:.3g} s | {found[0]} | {ratio} "
        f"| {theirs['added_mb']:.0f} MB | {found[1]} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny cell, to see that everything runs")
    parser.add_argument("--measure", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    sizes = Sizes.tiny() if chosen.quick else Sizes()
    if chosen.measure:
        name, folder = chosen.measure
        print(json.dumps(measure(name, sizes, Path(folder))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        n_voxels = prepare(sizes, folder)
        cell = f"{'x'.join(map(str, sizes.shape_zyx))} voxels, {n_voxels} of them in the mask"
        print(f"{platform.machine()}, one thread; one cell of {cell}; {sizes.n_points} points\n")
        print("| | published law | morphobench | ratio | published: memory | morphobench: memory |")
        print("|---|---|---|---|---|---|")
        for title, (theirs, ours) in ROWS.items():
            plain = theirs and fresh(theirs, folder, chosen.quick)
            print(line(title, plain, fresh(ours, folder, chosen.quick)), flush=True)
        difference = Case(sizes, folder).difference()
    rates = {n: shards_at_once(n, sizes, chosen.quick) for n in N_PROCESSES}
    told = ", ".join(f"{rate:.1f} in {n}" for n, rate in rates.items())
    print(f"\nSmall cells per second, all stages, one shard per process: {told}.")
    held = [f"{added_mb(n, sizes, chosen.quick):.0f} MB for {n} cells" for n in sizes.n_cells]
    print(f"Memory that a shard adds: {', '.join(held)}.")
    print(f"Largest relative difference of the probabilities, mode reference: {difference:.0e}.", flush=True)
    # Only here: the steps' own processes need no VTK.
    import bench_distances

    bench_distances.report(chosen.quick)


if __name__ == "__main__":
    main()
