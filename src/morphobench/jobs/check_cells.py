"""Cells whose crops exist: manifest, headers of three cells and files, as a run would take them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.download import crops
from morphobench.errors import InputError
from morphobench.files import columns, manifests, text_tables, values
from morphobench.jobs import check_headers, check_names, check_table
from morphobench.jobs.check_report import Report, hint
from morphobench.jobs.check_table import Part
from morphobench.remote import Store, local_folder, open_store
from morphobench.remote.connections import FileError

Config = Mapping[str, Any]
# Files are listed up to so many cells; of more, the sizes of some tell those of all.
_MOST_LISTED, _N_SIZED = 20_000, 24
# Expected and found numbers of cells that differ by less need no remark.
_TOLERANCE, _TOLERANCE_OF_ESTIMATES = 0.01, 0.2
_FILTERS = ("keep", "structures", "group", "derive")


def check(report: Report, dataset: Config, config: Config, download_config: Config) -> int:
    """Check manifest, three cells and files of a source with `cells`; return the bytes of its crops."""
    store, name = _place(dataset["source"], download_config)
    report.say("Place", f"{store.location}, manifest {name}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            part = check_table.read(store, name, Path(folder), dataset=dataset["name"])
        except InputError as error:
            report.stop(error, "source.cells" if isinstance(error, FileError) else "source.location")
            return 0
        report.say("Place", "reachable, and its manifest can be read")
        report.call(part.path, f"{store.location}: {name}")
        cells = _select(report, part, dataset)
        if cells is None:
            return 0
        n_cells = _check_number(report, part, cells, dataset)
    _say_columns(report, part, cells, dataset)
    if not dataset["source"].get("max_cells"):
        _check_values(report, cells, dataset)
    check_headers.check(report, store, cells, dataset)
    return _check_files(report, store, cells, n_cells, dataset, config["max_failed_fraction"])


def _place(source: Config, download_config: Config) -> tuple[Store, str]:
    if location := source.get("location"):
        return open_store(location, download_config), source["cells"]
    path = local_folder(None) / source["cells"]
    return check_headers.AnyFolder(path.parent), path.name


def _select(report: Report, part: Part, dataset: Config) -> pd.DataFrame | None:
    """Return the cells that a run would take of the rows that were read, or all when it would stop."""
    # Without these the other differences can still be found.
    all_rows = {**dataset, "needs": {}, "source": {**dataset["source"], **dict.fromkeys(_FILTERS)}}
    for attempt in (dataset, all_rows):
        try:
            return _cells_of(part, attempt)
        except InputError as error:
            report.stop(f"{error}{_hints(str(error), part.columns)}", "source.cells")
    report.say("Manifest", f"its columns ({len(part.columns)}): {', '.join(part.columns)[:1000]}")
    return None


def _cells_of(part: Part, dataset: Config) -> pd.DataFrame:
    source, optional = dataset["source"], list(dataset.get("needs") or {})
    if part.is_whole:
        return crops.select(part.path, dataset, optional=optional)
    # Of some rows of a table: they need not have every structure, and not the cells of a fixed choice.
    keep = source.get("keep") or {}
    all_cells = {**dataset, "source": {**source, "structures": None, "keep": None, "max_cells": None}}
    cells = crops.select(part.path, all_cells, optional=[*optional, *keep])
    for column, wanted in keep.items():
        there = [one for one in wanted if column in cells and not values.absent(cells[column], [one])]
        cells = cells[manifests.kept(cells, {column: there or wanted}, part.path)]
    if not source.get("structures"):
        return cells
    if "structure_name" not in cells:
        raise InputError(f"{part.path}: column structure_name is missing; add it, or mend source.columns.")
    own = cells[values.isin(cells["structure_name"], source["structures"])]
    if own.empty:
        found = ", ".join(map(str, cells["structure_name"].unique()))[:500]
        reason = f"none of {len(cells)} rows from all over it has structure_name {source['structures']}"
        raise InputError(f"{part.path}: {reason} (found {found}). Mend source.structures.")
    return own


def _hints(text: str, there: list[str]) -> str:
    """Return the columns most like those that a message misses."""
    missing = text.partition("column ")[2].partition(" is missing")[0]
    return "".join(hint(name, there) for name in missing.replace(" or ", ", ").split(", ") if name)


def _say_columns(report: Report, part: Part, cells: pd.DataFrame, dataset: Config) -> None:
    choices = cells.attrs.get(columns.TAKEN, {})
    taken = {name: choice["column"] for name, choice in choices.items()}
    found = [column for column in part.columns if column in cells and column not in taken.values()]
    said = [*found, *(f"{name} (their {column})" for name, column in taken.items())]
    unknown = [column for column in part.columns if column not in {*found, *taken.values()}]
    report.say("Manifest", f"columns taken ({len(said)}): {', '.join(said)}")
    source = dataset["source"]
    named = [*(dataset.get("labels") or []), *(source.get("metadata") or []), *(source.get("columns") or {})]
    missing = [column for column in dict.fromkeys(named) if column not in cells]
    report.say("Manifest", f"columns missing, unless a stage makes them: {', '.join(missing) or 'none'}")
    report.say("Manifest", f"columns unknown here ({len(unknown)}): {', '.join(unknown[:12]) or 'none'}")


def _check_number(report: Report, part: Part, cells: pd.DataFrame, dataset: Config) -> int:
    """Compare the number of cells with the expected one; return how many a run would take, or about."""
    n_read = part.n_rows if part.is_whole else text_tables.count_rows(part.path)
    n_cells, about = round(len(cells) / max(n_read, 1) * part.n_rows), "" if part.is_whole else "about "
    most = dataset["source"].get("max_cells") or part.n_rows
    n_cells, expected = min(n_cells, most), expected_cells(dataset) or n_cells
    expected = min(expected, most) if dataset["source"].get("max_cells") else expected
    counted = (
        f"{about}{part.n_rows:,} rows, {about}{n_cells:,} cells of them are taken, {expected:,} expected"
    )
    report.say("Manifest", counted)
    tolerance = _TOLERANCE if part.is_whole else _TOLERANCE_OF_ESTIMATES
    if abs(n_cells - expected) > tolerance * expected:
        report.remark(f"{counted}. Is it the manifest that is meant? Else mend n_cells.", "n_cells")
    return n_cells


def expected_cells(dataset: Config) -> int | None:
    """Return the number of cells of a data set's own source, without those that it shares."""
    expected = dataset.get("n_cells")
    return expected and expected - sum(dataset.get("n_shared", {}).values())


def _check_values(report: Report, cells: pd.DataFrame, dataset: Config) -> None:
    """Remark on values in the configuration that no cell has."""
    for one, reason in check_names.absent_values(cells, dataset):
        report.remark(reason, one.key)


def _check_files(
    report: Report, store: Store, cells: pd.DataFrame, n_cells: int, dataset: Config, most_failed: float
) -> int:
    """Look for the files of all cells, or of some; return the bytes that a run would read, or about."""
    is_listed = store.is_listed and len(cells) == n_cells <= _MOST_LISTED
    if not is_listed:
        cells = cells.iloc[np.unique(np.linspace(0, len(cells) - 1, min(_N_SIZED, len(cells))).astype(int))]
    names, unusable = [], []
    for row in cells.to_dict("records"):
        try:
            names.append(list(check_headers.needed(store, row, dataset).values()))
        except InputError as error:
            unusable.append(str(error))
    sizes = _sizes(store, {name for own in names for name in own}, dataset["name"], is_listed)
    lacking = unusable + [name for own in names for name in own if name not in sizes][:1]
    n_lacking = len(unusable) + sum(any(name not in sizes for name in own) for own in names)
    if n_lacking:
        reason = f"{n_lacking} of {len(cells)} cells looked at lack a file, first {lacking[0]}"
        remedy = "Restore the files, or mend their paths or remove the rows in the manifest."
        note = report.stop if n_lacking > most_failed * len(cells) else report.remark
        note(f"{store.location}: {reason}. {remedy}", "source.cells")
    n_files, n_bytes = len(sizes), sum(max(size, 0) for size in sizes.values())
    share = n_cells / max(len(cells), 1)
    how = "all are listed" if is_listed else f"by the files of {len(cells)} cells"
    found = f"{round(n_files * share):,} files of crops, {n_bytes * share / 1e9:.3f} GB ({how})"
    report.say("A run would read", found)
    return round(n_bytes * share)


def _sizes(store: Store, names: set[str], dataset: str, is_listed: bool) -> dict[str, int]:
    """Return the bytes of those files that exist."""
    if is_listed and not isinstance(store, check_headers.AnyFolder):
        listed = store.describe(names, dataset=dataset)
        return dict(zip(listed["name"], listed["size"], strict=True))
    sizes = store.sizes(sorted(names), dataset=dataset)
    return {name: size for name, size in sizes.items() if not isinstance(size, FileError)}
