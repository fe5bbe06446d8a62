"""Cells of a user's own: plain image files, and the template of a data set filled in as it asks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from fabricate.cells import ellipsoid_mask, spots
from paths import ROOT

TEMPLATE = (ROOT / "config/datasets/template.yaml.example").read_text()
SPACING = [0.6, 0.4, 0.4]
SHAPE, AXES = (24, 34, 44), (6, 11, 16)
N_CELLS, N_FIELD = 10, (2, 4)
COMMON = {"title": "Mine", "licence": "CC0", "citation": "mine", "voxel_um": "0.4", "side_um": "24.0"}
SINGLE = COMMON | {
    "cells": "mine_cells/cells.csv",
    "CellId": "nucleus",
    "crop_raw, columns": "picture",
    "crop_seg, columns": "outline",
    "crop_raw": "[GFP]",
    "crop_seg": "[nucleus]",
    "structure": "GFP",
    "nucleus_mask": "nucleus",
    "stratum": "treatment",
}
FIELD = COMMON | {
    "fovs": "mine_field/fovs.csv",
    "channel_names": "[GFP]",
    "label_channels": "[nuclei]",
    "structure": "GFP",
    "cell_mask": "nuclei",
    "nucleus_mask": "nuclei",
    "stratum": "FOVId",
}


def filled(keep: tuple[str, str], values: dict[str, str]) -> str:
    """Do what the template asks: keep two blocks, and put the values where FILL stands.

    A value goes to the key before its FILL; the two columns of section `columns` are named apart.
    """
    blocks = re.split(r"^# --- (A|B|C|D|end)\b.*$", TEMPLATE, flags=re.MULTILINE)
    kept = [
        blocks[0],
        *(body for mark, body in zip(blocks[1::2], blocks[2::2], strict=True) if mark in (*keep, "end")),
    ]
    lines, section = [], ""
    for line in "".join(kept).splitlines():
        if re.match(r" +columns:", line):
            section = ", columns"
        if re.match(r" +channel_names:", line):
            section = ""
        line = line.replace("[FILL, FILL, FILL]", str(SPACING))
        for key in re.findall(r"(\w+): \[?FILL", line):
            value = values.get(key + section, values.get(key))
            line = re.sub(rf"\b{key}: \[?FILL\]?", f"{key}: {value}", line)
        lines.append(line)
    return "\n".join(lines) + "\n"


def nucleus(number: int) -> tuple[np.ndarray, np.ndarray]:
    mask = ellipsoid_mask(SHAPE, AXES, angle_degrees=25 * number)
    counts = spots(mask, np.random.default_rng(number), n=6 + 20 * (number % 2))
    return counts.round().astype(np.uint16), mask


def write_single_cells(folder: Path) -> None:
    """Plain TIFFs and a table with columns of the user's own; one picture is missing."""
    folder.mkdir()
    rows = []
    for number in range(N_CELLS):
        counts, mask = nucleus(number)
        row = {"nucleus": f"n{number}", "picture": f"{number}.tif", "outline": f"{number}_mask.tif"}
        tifffile.imwrite(folder / row["picture"], counts)
        tifffile.imwrite(folder / row["outline"], (255 * mask).astype(np.uint8))
        rows.append(row | {"treatment": ("none", "drug")[number % 2]})
    (folder / rows[3]["picture"]).unlink()
    pd.DataFrame(rows).to_csv(folder / "cells.csv", index=False)


def write_field(folder: Path) -> None:
    """One field of view: whole nuclei side by side, and one that is cut."""
    folder.mkdir()
    image, labels = [], []
    for row in range(N_FIELD[0]):
        cells = [nucleus(row * N_FIELD[1] + column) for column in range(N_FIELD[1])]
        image.append(np.concatenate([counts for counts, _ in cells], axis=2))
        numbered = [mask * (row * N_FIELD[1] + column + 1) for column, (_, mask) in enumerate(cells)]
        labels.append(np.concatenate(numbered, axis=2))
    cut = 12
    tifffile.imwrite(folder / "image.tif", np.concatenate(image, axis=1)[:, :, cut:])
    tifffile.imwrite(folder / "nuclei.tif", np.concatenate(labels, axis=1)[:, :, cut:].astype(np.uint16))
    fields = {"FOVId": "f1", "image": "image.tif", "nuclei": "nuclei.tif", "microscope": "mine"}
    pd.DataFrame([fields]).to_csv(folder / "fovs.csv", index=False)
