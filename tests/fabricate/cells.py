"""Fabricated single cells in the published layout: an ellipsoid mask, a structure of bright spots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.files.image_library import library

_, OmeTiffWriter, PhysicalPixelSizes = library()
RAW_NAMES = ("dna", "membrane", "structure")
SEG_NAMES = ("dna_segmentation", "membrane_segmentation")
VOXEL_UM = 0.108


def ellipsoid_mask(
    shape_zyx: Sequence[int], semi_axes_zyx: Sequence[float], angle_degrees: float = 0
) -> np.ndarray:
    """Voxels whose centre lies in an ellipsoid about the middle, x axis turned by an angle towards +y."""
    z, y, x = (np.arange(n) - (n - 1) / 2 for n in shape_zyx)
    z, y, x = np.meshgrid(z, y, x, indexing="ij", sparse=True)
    angle = np.deg2rad(angle_degrees)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    c, b, a = semi_axes_zyx
    return (z / c) ** 2 + (across / b) ** 2 + (along / a) ** 2 <= 1


def spots(mask_zyx: np.ndarray, rng: np.random.Generator, n: int = 30) -> np.ndarray:
    """Camera counts, float: background of about 400, and n bright spots of 3x3x3 voxels inside the mask."""
    counts = rng.normal(400, 5, mask_zyx.shape)
    inside = np.argwhere(mask_zyx)
    for z, y, x in inside[rng.choice(len(inside), n)]:
        counts[max(z - 1, 0) : z + 2, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] += 600
    return counts


def make_cell(shape_zyx=(14, 20, 24), semi_axes_zyx=(4, 6, 8), seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Counts with bright spots, and the mask they lie in."""
    mask_zyx = ellipsoid_mask(shape_zyx, semi_axes_zyx)
    counts = spots(mask_zyx, np.random.default_rng(seed), n=12).round()
    return counts.astype(np.float32), mask_zyx.astype(np.uint8)


def write_ome(
    path: Path, channels: Mapping[str, np.ndarray], spacing_um_zyx: Sequence[float] = (VOXEL_UM,) * 3
) -> Path:
    """Write channels (z, y, x) with the library's own writer, independent of the code under test."""
    data = np.stack(list(channels.values()))
    described = {"channel_names": list(channels), "physical_pixel_sizes": PhysicalPixelSizes(*spacing_um_zyx)}
    OmeTiffWriter.save(data, path, dim_order="CZYX", **described)
    return path


def write_cells(
    folder: Path,
    cells: Mapping[str, tuple[np.ndarray, np.ndarray]],
    spacing_um_zyx: Sequence[float] = (VOXEL_UM,) * 3,
    raw_names: Sequence[str] = RAW_NAMES,
) -> Path:
    """Write crops and manifest.csv for {CellId: (structure counts, mask)}; return the manifest's path.

    The mask serves as nucleus and as cell; channel dna is 1000 inside the mask and membrane is 500 outside.
    """
    rows = []
    for kind in ("crop_raw", "crop_seg"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for cell, (structure, mask) in cells.items():
        row = {"CellId": cell, "structure_name": "SON"}
        row |= {kind: f"{kind}/{cell}_{kind[5:]}.ome.tif" for kind in ("crop_raw", "crop_seg")}
        counts = {"dna": 100 + 900 * mask, "membrane": 500 - 400 * mask, "structure": structure}
        raw = {name: counts[name].round().clip(0).astype(np.uint16) for name in raw_names}
        write_ome(folder / row["crop_raw"], raw, spacing_um_zyx)
        seg = {name: np.asarray(mask > 0, np.uint8) for name in SEG_NAMES}
        write_ome(folder / row["crop_seg"], seg, spacing_um_zyx)
        row["name_dict"] = str({"crop_raw": list(raw_names), "crop_seg": list(SEG_NAMES)})
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"
