"""Cells of a user's own enter by one file, a filled-in copy of the template: no other file is touched."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from fabricate.cells import ellipsoid_mask, spots
from harness.clone import ROOT, make_clone, snakemake

from morphobench import config
from morphobench.errors import InputError

TEMPLATE = (ROOT / "config/datasets/template.yaml.example").read_text()
SPACING = [0.6, 0.4, 0.4]
SHAPE, AXES = (24, 34, 44), (6, 11, 16)
N_CELLS, N_FIELD = 10, (2, 4)
COMMON = {"title": "Mine", "licence": "CC0", "citation": "mine", "voxel_um": "0.4", "side_um": "24.0"}
SINGLE = COMMON | {
    "cells": "mine/cells.csv",
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
    "fovs": "mine/fovs.csv",
    "channel_names": "[GFP]",
    "label_channels": "[nuclei]",
    "structure": "GFP",
    "cell_mask": "nuclei",
    "nucleus_mask": "nuclei",
    "stratum": "FOVId",
}


def filled(text: str, keep: tuple[str, str], values: dict[str, str]) -> str:
    """Do what the template asks: keep two blocks, and put the values where FILL stands.

    A value goes to the key before its FILL; the two columns of section `columns` are named apart.
    """
    blocks = re.split(r"^# --- (A|B|C|D|end)\b.*$", text, flags=re.MULTILINE)
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


def write_single_cells(folder):
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


def write_field(folder):
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


def run(folder, name, model):
    short = f"models={{{model}: {{training: {{max_epochs: 1}}}}}}"
    few = f"datasets={{{name}: {{n_shards: 1, subsample: {{n_points: 128}}}}}}"
    options = ("--cores", "2", "--config", "scale=demo", "max_failed_fraction=0.4", short, few)
    targets = (f"results/plot/cells/{name}.png", f"results/embed/{name}/{model}/seed-42/identity.parquet")
    snakemake(folder, *options, "--", *targets)
    assert (folder / targets[0]).stat().st_size > 50_000
    codes = pd.read_parquet(folder / targets[1])
    assert np.isfinite(codes.filter(regex=r"^mu_\d+$").to_numpy()).all()
    table = pd.read_parquet(folder / f"results/sample/{name}/manifest.parquet").set_index("CellId")
    assert set(codes["CellId"]) == set(table.index[table["success"]])
    return table


def test_the_template_is_no_dataset_and_its_blanks_are_named(tmp_path):
    known = config.resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)["datasets"]
    assert "template" not in known
    clone = make_clone(tmp_path / "clone")
    (clone / "config/datasets/mine.yaml").write_text(TEMPLATE)
    with pytest.raises(InputError, match=r"mine\.yaml: still FILL at title.*stand there twice"):
        config.resolve(yaml.safe_load((clone / "config/config.yaml").read_text()), clone)


@pytest.mark.parametrize(
    ("keep", "values"),
    [("AC", SINGLE), ("BC", FIELD), ("BD", FIELD), ("AD", SINGLE | {"cell_mask": "nucleus"})],
)
def test_every_pair_of_blocks_is_a_valid_dataset(tmp_path, keep, values):
    clone = make_clone(tmp_path / "clone")
    (clone / "config/datasets/mine.yaml").write_text(filled(TEMPLATE, tuple(keep), values))
    mine = config.resolve(yaml.safe_load((clone / "config/config.yaml").read_text()), clone)["datasets"][
        "mine"
    ]
    assert mine["kind"] == {"C": "punctate", "D": "polymorphic"}[keep[1]]
    assert (mine["source"].get("spacing_um_zyx") or mine["source"]["fov"]["spacing_um_zyx"]) == SPACING


@pytest.mark.end_to_end
def test_a_folder_of_single_cells_and_a_table(tmp_path):
    clone = make_clone(tmp_path / "morphobench")
    write_single_cells(clone / "mine")
    (clone / "config/datasets/mine.yaml").write_text(filled(TEMPLATE, ("A", "C"), SINGLE))
    table = run(clone, "mine", "classical_pointcloud")
    assert len(table) == N_CELLS
    assert table.index[~table["success"]].tolist() == ["n3"]
    assert "3.tif: no such file" in table.loc["n3", "error"]
    assert set(table["treatment"]) == {"none", "drug"}
    assert (table["spacing_um"].dropna() == 0.4).all()


@pytest.mark.end_to_end
def test_a_field_of_view_with_labels(tmp_path):
    clone = make_clone(tmp_path / "morphobench")
    write_field(clone / "mine")
    (clone / "config/datasets/mine.yaml").write_text(filled(TEMPLATE, ("B", "C"), FIELD))
    table = run(clone, "mine", "classical_pointcloud")
    assert len(table) == N_FIELD[0] * N_FIELD[1]
    assert table.loc[table["excluded"], "error"].str.contains("touches the border").all()
    assert table["success"].sum() == (N_FIELD[1] - 1) * N_FIELD[0]
    assert (table["microscope"] == "mine").all()
