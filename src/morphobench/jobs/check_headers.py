"""Headers of three cells' crops, and what a run would take from them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.download import crops
from morphobench.errors import InputError, named
from morphobench.files import headers, identifiers, images, manifests, tiff_header
from morphobench.files.headers import Described
from morphobench.files.tiff_header import TiffHeader
from morphobench.jobs.check_report import Report
from morphobench.remote import Folder, Store

Config = Mapping[str, Any]
_N_CELLS, _LIMIT_BYTES, _TIFF = 3, 32_000_000, (".tif", ".tiff")
# Voxels that differ by more from those that a run works with are worth a remark.
_TOLERANCE = 0.01


class AnyFolder(Folder):
    """A folder with a manifest whose paths may be absolute."""

    def _paths(self, names: Iterable[str]) -> dict[str, Path]:
        self._check()
        return {name: manifests.inside(self.folder, name, absolute=True) for name in names}


def needed(store: Store, row: Config, dataset: Config) -> dict[str, str]:
    """Return the names of the crops that stages read of a cell.

    Raises
    ------
    InputError
        When the cell's name cannot be used, or a path is missing or leaves the place.
    """
    if fault := identifiers.fault(row["CellId"]):
        raise InputError(f"{store.location}: CellId {fault}")
    kinds = crops.needed_crops(row, dataset)
    if isinstance(store, AnyFolder):
        return {kind: str(manifests.inside(store.folder, row[kind], absolute=True)) for kind in kinds}
    return {kind: manifests.name_inside(store.location, row[kind]) for kind in kinds}


def check(report: Report, store: Store, cells: pd.DataFrame, dataset: Config) -> None:
    """Say what three cells, spread over the table, hold; when all fail, a run would stop."""
    rows = spread(cells).to_dict("records")
    reasons = []
    for row in rows:
        try:
            for line in _lines(report, store, row, dataset):
                report.say("Headers of some cells", f"{row['CellId']}: {line}")
        except InputError as error:
            reasons.append(error)
    for reason in reasons:
        (report.stop if len(reasons) == len(rows) else report.remark)(reason, "source")


def spread(cells: pd.DataFrame) -> pd.DataFrame:
    """Return three rows spread over a table."""
    return cells.iloc[
        np.unique(np.linspace(0, max(len(cells) - 1, 0), min(_N_CELLS, len(cells))).astype(int))
    ]


def _lines(report: Report, store: Store, row: Config, dataset: Config) -> list[str]:
    lines, taken, spacing = [], {}, None
    for kind, name in needed(store, row, dataset).items():
        place = f"{store.location}: {name}"
        tiff = _read(store, name, place, dataset)
        with named(place):
            stated = headers.stated(row, dataset["source"], kind)._replace(other_um_zyx=spacing)
            taken[kind] = described = headers.describe(tiff.header, stated)
        spacing = spacing or described.spacing_um_zyx
        lines.append(_line(kind, name, tiff, described))
        _compare(report, described, dataset)
    check_channels(taken, dataset, f"{store.location}: {', '.join(needed(store, row, dataset).values())}")
    return lines


def _read(store: Store, name: str, place: str, dataset: Config) -> TiffHeader:
    if isinstance(store, Folder) and not name.lower().endswith(_TIFF):
        return TiffHeader(*images.read_layout(store.fetch([name], dataset=dataset["name"])[name]))
    with store.open(name, dataset=dataset["name"], limit=_LIMIT_BYTES) as file:
        tiff = tiff_header.read(file, place)
    if isinstance(store, Folder):
        # The reader itself sees more than the first page, where that costs nothing.
        tiff = tiff._replace(header=images.read_header(store.fetch([name], dataset=dataset["name"])[name]))
    return tiff


def _line(kind: str, name: str, tiff: TiffHeader, described: Described) -> str:
    names = ", ".join(one or "(no name)" for one in described.channel_names)
    edges = " x ".join(f"{edge:.6g}" for edge in described.spacing_um_zyx)
    shape = " x ".join(map(str, tiff.shape))
    return (
        f"{kind} {name}: {tiff.axes} {shape}, {tiff.dtype}; voxel z, y, x {edges} um (from "
        f"{described.spacing_from}); channels {names} (from {described.names_from})"
    )


def check_channels(taken: Mapping[Any, Described], dataset: Config, place: str) -> None:
    """Raise an InputError when a channel that stages read is in none of a cell's crops."""
    for channel in dict.fromkeys(dataset.get("used_channels") or dataset["channels"].values()):
        reasons = []
        for described in taken.values():
            try:
                described.index_of(channel)
            except InputError as error:
                reasons.append(error)
        if len(reasons) == len(taken):
            raise InputError(f"{place}: {'; '.join(map(str, reasons))}")


def _compare(report: Report, described: Described, dataset: Config) -> None:
    edges, voxel_um = described.spacing_um_zyx, dataset["voxel_um"]
    if abs(min(edges) / voxel_um - 1) > _TOLERANCE:
        found = f"voxels are {min(edges):.6g} um wide ({described.spacing_from}), voxel_um is {voxel_um:g}"
        report.remark(f"{found}: every cell would be resampled. Is it the copy that is meant?", "voxel_um")
