"""The published manifest of preprocessed cells, as one checked table: read by every later entry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from morphobench import files
from morphobench.download.remote import Store, open_store
from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.tables import SPLITS
from morphobench.log import logger
from morphobench.published import identifiers

# Columns with paths that the kinds of datasets read, see `morphobench.download.preprocessed`.
PATHS = {
    "packing": (),
    "punctate": ("image_path", "pointcloud_path"),
    "polymorphic": ("sdf_path", "seg_path", "pointcloud_folder"),
}
FOLDERS = ("pointcloud_folder", "mesh_folder")
# Counts in the paper's code are those of batches of two.
_COUNT_TOLERANCE = 1


def store_of(dataset: Mapping[str, Any], download: Mapping[str, Any]) -> Store:
    """Open the place that a dataset's published files lie in."""
    return open_store(dataset["published"]["location"], download)


def run(
    out: str | Path, *, dataset: Mapping[str, Any], max_cells: int | None, download: Mapping[str, Any]
) -> None:
    """Fetch the published manifest and write it as a table of cells.

    Columns: CellId and group; success and error; used, whether `published.keep` and `max_cells` let a cell
    take part; where the manifest tells, split, "train", "val" or "test";
    file names relative to `published.location`; and everything else that the manifest says.

    Parameters
    ----------
    out
        Parquet file to write, sorted by CellId.
    dataset
        Keys name, kind, source and published of the dataset's configuration.
    max_cells
        A fixed choice of so many cells; None for all.
    download
        Section `download` of the configuration.

    Raises
    ------
    InputError
        When the manifest is missing or wrong, naming dataset, file and remedy.
    """
    published = dataset["published"]
    name = published["preprocessed"]
    path = store_of(dataset, download).fetch([name], dataset=dataset["name"])[name]
    try:
        cells = read(path, dataset)
        check_counts(cells, published.get("n_cells"), path)
        used = manifests.kept(cells, published.get("keep"), path)
        used &= cells["CellId"].isin(manifests.chosen(cells.loc[used, "CellId"], max_cells))
    except InputError as error:
        raise InputError(f"{dataset['name']}: {error}") from error
    logger.info("%s: %d cells, %d of them used", path, len(cells), used.sum())
    files.write_table(cells.assign(used=used), out)


def read_used(published: str | Path) -> pd.DataFrame:
    """Read those cells of the table that `run` wrote which this run uses."""
    cells = pd.read_parquet(published)
    return cells[cells["used"]].drop(columns="used").reset_index(drop=True)


def read(path: Path, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Read and check a published manifest; for its columns see `run`.

    A repeated CellId, and a path that leaves the published folder, fail that cell, not the table.

    Raises
    ------
    InputError
        When a column or an entry that every cell needs is missing.
    """
    published, kind = dataset["published"], dataset["kind"]
    split = published.get("split")
    table = manifests.read(path, [*PATHS[kind], *([split] if split else [])], text=["CellId"])
    table = table.loc[:, [not str(column).startswith("Unnamed:") for column in table]]
    table["CellId"] = identifiers.clean(table["CellId"])
    for cell in table["CellId"][table["CellId"].str.contains(r"[/\\\0]", regex=True)].head(1):
        manifests.check_file_part(path, "CellId", cell)
    table = _renamed(table, published.get("columns") or {}, path)
    repeats = table.groupby("CellId")["CellId"].transform("size")
    table, repeats = (part[~table["CellId"].duplicated()] for part in (table, repeats))
    errors = pd.Series("", index=table.index, dtype=object)
    errors[repeats > 1] = f"{path}: this CellId occurs in more than one row. Keep one of them."
    table = table.drop(columns=[c for c in ("group", "split", "used") if c in table and c != split])
    if split:
        table = table.drop(columns=split).assign(split=_splits(table[split], path))
    for column in PATHS[kind]:
        table[column] = _located(table[column], path, published.get("prefix"), errors)
    table = table.assign(group=_groups(table, dataset, path), success=errors == "", error=errors)
    return table.sort_values("CellId", ignore_index=True)


def check_counts(cells: pd.DataFrame, expected: Mapping[str, int] | None, path: Path) -> None:
    """Warn of splits whose number of cells is not the expected one."""
    if not expected or "split" not in cells:
        return
    for split, number in expected.items():
        found = int((cells["split"] == split).sum())
        if abs(found - number) > _COUNT_TOLERANCE:
            logger.warning("%s: %d cells in split %s, expected %d", path, found, split, number)


def _renamed(table: pd.DataFrame, columns: Mapping[str, str], path: Path) -> pd.DataFrame:
    missing = sorted(set(columns.values()) - set(table))
    if missing:
        raise InputError(
            f"{path}: column {', '.join(missing)} is missing; mend published.columns in the dataset's yaml "
            f"(found {', '.join(map(str, table))[:500]})."
        )
    return table.assign(**{ours: table[theirs] for ours, theirs in columns.items()})


def _splits(values: pd.Series, path: Path) -> pd.Series:
    found = values.astype(str).str.lower().map(SPLITS)
    if found.isna().any():
        strange = ", ".join(sorted(set(values[found.isna()].astype(str)))[:5])
        raise InputError(
            f"{path}: split {strange} is none of {', '.join(SPLITS)}. Mend it, or set published.split "
            "to null for a seeded split."
        )
    return found


def _groups(table: pd.DataFrame, dataset: Mapping[str, Any], path: Path) -> pd.Series:
    """Return what keeps cells in one split: the shape of a packing, a column, else the cell itself."""
    if dataset["kind"] == "packing":
        return table["CellId"].str.rsplit("_", n=1).str[0]
    column = dataset.get("source", {}).get("group")
    if column and column not in table:
        raise InputError(
            f"{path}: column {column} (source.group) is missing; add it, or take source.group out."
        )
    return table[column or "CellId"].astype(str)


def _located(values: pd.Series, path: Path, prefix: str | None, errors: pd.Series) -> pd.Series:
    """Return paths relative to the published location; what leaves it is noted in `errors`."""
    found = {}
    for index, value in values.items():
        try:
            found[index] = relative(value, prefix)
        except InputError as error:
            errors[index] = errors[index] or f"{path}: {error}"
            found[index] = ""
    return pd.Series(found, dtype=object, index=values.index)


def relative(value: object, prefix: str | None) -> str:
    """Return a manifest's path relative to the published location.

    Parameters
    ----------
    value
        Path relative to the folder that holds `prefix`, or to the location itself.
    prefix
        Name of the published folder; None when no path starts with it.

    Raises
    ------
    InputError
        When it is empty, absolute, or climbs out with `..`.

    Examples
    --------
    >>> relative("./data/pcna/a.ply", "data"), relative("pcna/a.ply", "data")
    ('pcna/a.ply', 'pcna/a.ply')
    """
    if not isinstance(value, str) or not value:
        raise InputError("a row names no file. Complete or remove it.")
    parts = PurePosixPath(value.replace("\\", "/")).parts
    if value.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise InputError(
            f"{value} leaves the published folder. Paths must be relative, without `..`; mend the manifest."
        )
    if prefix and parts[: len(PurePosixPath(prefix).parts)] == PurePosixPath(prefix).parts:
        parts = parts[len(PurePosixPath(prefix).parts) :]
    return "/".join(parts)
