"""Places for `make check-data`: a small drug set in the published form, and the buckets of before it."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
from paths import ROOT

from morphobench import config
from morphobench.config import schema
from morphobench.fabricate import ome
from morphobench.jobs import check_data
from morphobench.jobs.check_report import Report

FORMER = Path(__file__).with_name("former_buckets")
PATIENCE = {"connections": 4, "timeout_s": 1.0, "retries": 1, "backoff_s": 0.01}
CONDITIONS = ("DMSO (control)", "Torin 1uM", "BIX 1uM", "Roscovitine 10uM (E9)")
N_DRUG_CELLS = 12


def checked(name: str, location: str | None = None, *, cache: Path, **changes) -> Report:
    """The report on a data set with its own configuration, but for its place."""
    resolved = config.resolve(schema.read_yaml(ROOT / "config/config.yaml"), ROOT)
    resolved["download"]["cache"] = str(cache)
    dataset = resolved["datasets"][name]
    if location is not None:
        dataset["source"]["location"] = location
    resolved["datasets"][name] = schema.merge(dataset, changes)
    return check_data.check(name, resolved, PATIENCE)


def write_drugs(folder: Path, n_cells: int = N_DRUG_CELLS) -> Path:
    """Write a drug set as published: UUIDs, positions for plates, files with neither size nor name."""
    rng, rows = np.random.default_rng(3), []
    for number, condition in zip(range(n_cells), itertools.cycle(CONDITIONS), strict=False):
        row = {f"Unnamed: 0.{column}": number for column in range(3)}
        row["CellId"] = str(UUID(bytes=rng.bytes(16), version=4))
        for kind in ("crop_raw", "crop_seg", "crop_seg_nuc"):
            row[kind] = f"{kind}/{rng.bytes(32).hex()}_{kind.removeprefix('crop_')}.ome.tiff"
            (folder / kind).mkdir(parents=True, exist_ok=True)
            volume = rng.integers(0, 2, (4, 6, 8), dtype=np.uint8) * 255
            ome.write(folder / row[kind], [volume], UUID(int=number))
        plate, position = 3500002930 + number % 2, 24 * number
        row |= {"structure_name": "NPM1", "plate_id": position, "condition": condition}
        row["fov_id"] = f"{plate}_100X_20190423_2hr-Scene-{position}-P{position}-E0{number % 8 + 1}"
        rows.append(row | {"condition_coarse": condition.split()[0]})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder


def write_former(name: str, folder: Path) -> Path:
    """Write the sample of a bucket of before the published form: each row has the one file of its kind."""
    table = pd.read_csv(next((FORMER / name).glob("m*.csv")))
    for kind in (column for column in table if column.startswith("crop_")):
        for path in table[kind]:
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(FORMER / name / f"{kind}.ome.tif", folder / name / path)
    shutil.copy(next((FORMER / name).glob("m*.csv")), folder / name)
    return folder / name
