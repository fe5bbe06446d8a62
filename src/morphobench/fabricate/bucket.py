"""Write a fabricated bucket: crops as OME-TIFF and the manifest, from its description alone."""

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files, seeds
from morphobench.fabricate import ome, table
from morphobench.fabricate.cell import Cell, cut_through, make_cell, without_masks
from morphobench.files import FilePath
from morphobench.log import logger

_PROGRESS_EVERY = 25
_Planned = tuple[str, int, str | None]
# How odd cases change a cell; others concern its files.
_CHANGES = {"touches_border": cut_through, "empty_segmentation": without_masks}


def run(out: FilePath, *, name: str, bucket: Mapping[str, Any], seed: int) -> None:
    """Write a bucket, whole or not at all: its manifest, and a file for each crop of each cell.

    `bucket` is what `description.read` returns. A cell's files depend on the seed, the bucket's name, the
    cell's class and number and its description alone. Odd cells come after the others.

    Raises
    ------
    InputError
        When the folder cannot be written.
    """
    with files.atomic_folder(out) as part:
        for crop in bucket["crops"].values():
            (part / crop["folder"]).mkdir(exist_ok=True)
        rows: list[dict[str, Any]] = []
        taken: set[str | int] = set()
        planned = list(_planned(bucket))
        for number, cell in enumerate(planned, start=1):
            rows += _write_cell(part, name, bucket, seed, cell, len(rows), taken)
            taken.add(rows[-1]["CellId"])
            if number % _PROGRESS_EVERY == 0 or number == len(planned):
                logger.info("bucket %s, %d of %d cells", name, number, len(planned))
        files.write_table(pd.DataFrame(rows), part / bucket["manifest"])


def cell_of_class(
    name: str, bucket: Mapping[str, Any], seed: int, label: str, number: int
) -> tuple[Cell, np.random.Generator]:
    """Make a cell by its number within a class; return it, and its generator for what is drawn after it."""
    rng = seeds.generator(seed, name, "bucket", f"{label}-{number}")
    described = bucket["classes"][label]
    look = {**described, "nucleus": {**bucket["nucleus"], **described.get("nucleus", {})}}
    return make_cell(look, bucket["spacing_um_zyx"], rng), rng


def _planned(bucket: Mapping[str, Any]) -> Iterator[_Planned]:
    """Yield class, number within the class and odd case of each cell."""
    counts = {label: described["n"] * bucket["times"] for label, described in bucket["classes"].items()}
    yield from ((label, number, None) for label, n in counts.items() for number in range(n))
    for odd in bucket["odd"]:
        yield odd["like"], counts[odd["like"]], odd["case"]
        counts[odd["like"]] += 1


def _write_cell(
    part: Path,
    name: str,
    bucket: Mapping[str, Any],
    seed: int,
    planned: _Planned,
    n_rows: int,
    taken: Set[str | int],
) -> list[dict[str, Any]]:
    """Write the crops of a cell; return its row, twice for the case "duplicate_id"."""
    label, number, odd = planned
    cell, rng = cell_of_class(name, bucket, seed, label, number)
    if odd in _CHANGES:
        cell = _CHANGES[odd](cell)
    row: dict[str, Any] = dict.fromkeys(table.index_columns(bucket["n_index_columns"]), n_rows)
    row["CellId"] = table.identifier(bucket["ids"], rng, taken)
    for column, crop in bucket["crops"].items():
        key = hashlib.sha256(f"{seed}/{name}/{label}-{number}/{column}".encode())
        file = f"{crop['folder']}/{key.hexdigest()[: crop['hex_digits']]}{crop['ending']}"
        row[column] = bucket["path_prefix"] + file
        if odd != "missing_file":
            channels = [_stored(cell, role) for role in crop["channels"]]
            ome.write(part / file, channels, uuid.UUID(bytes=key.digest()[:16]))
    if bucket["name_dict"]:
        row["name_dict"] = str(bucket["name_dict"])
    place = table.place(bucket, label, number)
    row |= table.values(bucket["columns"] | bucket["classes"][label]["columns"], cell, place)
    row |= table.features(bucket["features"], rng)
    return [row] * (2 if odd == "duplicate_id" else 1)


def _stored(cell: Cell, role: str) -> np.ndarray:
    """Return a volume as files have it: masks are 0 and 255."""
    return cell.volumes[role] * np.uint8(255) if role.endswith("_mask") else cell.volumes[role]
