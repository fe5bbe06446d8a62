"""The manifest of published cells: where it lies, and its rows as one checked table for every later entry."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, columns, derived, headers, identifiers, manifests, reserved
from morphobench.files.tables import SPLITS
from morphobench.log import logger
from morphobench.remote import Store, open_store

# Columns with paths that the kinds of datasets read.
PATHS = {
    "packing": (),
    "punctate": ("image_path", "pointcloud_path"),
    "polymorphic": ("sdf_path", "seg_path", "pointcloud_folder"),
}
# Of these, the one that may be missing; its value is then this folder beside the manifest.
_DEFAULT_FOLDER = {"pointcloud_folder": "pointcloud"}
# Counts in the paper's code are those of batches of two.
_COUNT_TOLERANCE = 1
# What published code leaves on identifiers: the suffix of a file, what follows a number before the name of a
# structure, and the .0 of whole numbers that some table took for decimals.
_LEFT_ON_IDS = {r"\.(?:ply|tiff)$": "", r"^(\d+)-(?:FBL|NPM).*$": r"\1", r"^(\d+)\.0$": r"\1"}


def manifest_name(dataset: Mapping[str, Any]) -> str:
    """Return the name of the manifest: as configured, else the published scheme."""
    name = (dataset.get("published") or {}).get("preprocessed")
    return name or f"preprocessed_data/{dataset['name']}/manifest.csv"


def model_file_name(dataset: Mapping[str, Any], key: str, model: str, suffix: str) -> str:
    """Return the name of a file of a model, with this suffix; `key` is checkpoints or embeddings."""
    name = ((dataset.get("published") or {}).get(key) or {}).get(model)
    return str(PurePosixPath(name or f"model_{key}/{dataset['name']}/{model}").with_suffix(suffix))


def open_published(dataset: Mapping[str, Any], download_config: Mapping[str, Any]) -> Store:
    """Open the location of a dataset's published files."""
    return open_store(dataset["published"]["location"], download_config)


def fetch_file(store: Store, name: str, dataset: Mapping[str, Any]) -> Path:
    """Fetch one file, by its name below the location of the store."""
    return store.fetch([name], dataset=dataset["name"])[name]


def paths_of(names: Mapping[str, str], root: PurePosixPath, cells: pd.DataFrame) -> dict[str, list[str]]:
    """Return columns with the name of a file of each cell, by patterns of names below the folder `root`."""
    return {key: [str(root / name.format(cell)) for cell in cells["CellId"]] for key, name in names.items()}


def clean_ids(ids: pd.Series) -> pd.Series:
    """Return identifiers without what published code leaves on them.

    Examples
    --------
    >>> clean_ids(pd.Series(["a-1.ply", "12.tiff", "724520-NPM1_x", "7.0", "007"])).tolist()
    ['a-1', '12', '724520', '7', '007']
    """
    ids = ids.astype(str)
    for pattern, kept in _LEFT_ON_IDS.items():
        ids = ids.str.replace(pattern, kept, regex=True)
    return ids


def run(
    out: FilePath, *, dataset: Mapping[str, Any], max_cells: int | None, download_config: Mapping[str, Any]
) -> None:
    """Fetch the published manifest and write it as a table of cells, sorted by CellId.

    Columns: CellId, group, success, error; used, whether `published.keep` and `max_cells` keep the cell;
    split (train, val or test) where there is one; paths relative to `published.location`; all others as they
    are.

    Raises
    ------
    InputError
        When the manifest is missing or wrong, naming dataset, file and remedy.
    """
    published = dataset["published"]
    path = fetch_file(open_published(dataset, download_config), published["preprocessed"], dataset)
    try:
        cells = read(path, dataset)
        _check_counts(cells, published.get("n_cells"), path)
        keep = {
            reserved.own_name(column, cells): own for column, own in (published.get("keep") or {}).items()
        }
        used = manifests.kept(cells, keep, path)
        used &= cells["CellId"].isin(manifests.chosen(cells.loc[used, "CellId"], max_cells))
    except InputError as error:
        raise InputError(f"{dataset['name']}: {error}") from error
    logger.info("%s: %d cells, %d of them used", path, len(cells), used.sum())
    files.write_table(cells.assign(used=used), out)


def read_used(manifest: FilePath) -> pd.DataFrame:
    """Read the used cells of the table that `run` wrote."""
    cells = pd.read_parquet(manifest)
    return cells[cells["used"]].drop(columns="used").reset_index(drop=True)


def read(path: Path, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Read and check a published manifest; for its columns see `run`.

    A CellId that repeats or cannot be part of a file name, a missing split, a rule that is not known and a
    path that leaves the published folder fail that cell, not the table.

    Raises
    ------
    InputError
        When a column or an entry that every cell needs is missing.
    """
    published, paths = dataset["published"], PATHS[dataset["kind"]]
    split, there = published.get("split"), manifests.columns_of(path)
    chosen, missing = columns.choose(published.get("columns"), there)
    columns.report_missing(path, chosen, missing, dataset.get("needs") or {}, there, "published.columns")
    required = [column for column in paths if column not in _DEFAULT_FOLDER]
    taken = {*reserved.stored(""), "used"} - {split}
    table = manifests.read(path, [*required, *([split] if split else [])], text=["CellId"], taken=taken)
    table = table.loc[:, [not str(column).startswith("Unnamed:") for column in table]]
    chosen = {name: one._replace(column=reserved.own_name(one.column, table)) for name, one in chosen.items()}
    table["CellId"] = clean_ids(table["CellId"])
    table = columns.add(table, chosen, lambda rows: _voxel_volumes(rows, dataset))
    table = _derived(table, dataset.get("source", {}).get("derive") or {}, path)
    errors = identifiers.faults(table, ["CellId"])
    errors = errors.mask(errors != "", f"{path}: " + errors)
    repeated = f"{path}: this CellId occurs in more than one row. Keep one of them."
    errors[table["CellId"].duplicated(keep=False)] = repeated
    table, errors = (part[~table["CellId"].duplicated()] for part in (table, errors))
    if split:
        remedy = "Mend it, or set published.split to null for a seeded split."
        splits = read_splits(table[split], path, remedy)
        errors[splits.isna() & (errors == "")] = f"{path}: this row has no {split}. {remedy}"
        table = table.drop(columns=split).assign(split=splits)
    if dataset["kind"] == "packing":
        table = with_rules(table, list(dataset.get("rules") or ()), errors)
    for column in paths:
        entries = table.get(column, pd.Series(index=table.index, dtype=object))
        if column in _DEFAULT_FOLDER:
            folder = PurePosixPath(published["preprocessed"]).parent
            entries = entries.fillna(str(folder / _DEFAULT_FOLDER[column]))
        table[column] = _relative_paths(entries, path, published.get("prefixes") or (), errors)
    table = table.assign(group=_groups(table, dataset, path), success=errors == "", error=errors)
    return table.sort_values("CellId", ignore_index=True)


def _voxel_volumes(table: pd.DataFrame, dataset: Mapping[str, Any]) -> pd.Series:
    """Return the volume of each row's voxel, cubic micrometres; that of the data set where no row tells."""
    return headers.voxel_volumes(table, dataset.get("source") or {}).fillna(dataset["voxel_um"] ** 3)


def with_rules(table: pd.DataFrame, rules: Sequence[str], errors: pd.Series) -> pd.DataFrame:
    """Return a table of packings whose column rule holds names in `rules`; the source's own is `source_rule`.

    A name may have a `_` at its end. A number, or nothing, gives way to the number at the end of CellId,
    which counts `rules` from 0. A cell whose rule is not known fails in `errors`.
    """
    own = table.get("rule", pd.Series(index=table.index, dtype=object))
    found = [_rule(value, cell, rules) for value, cell in zip(own, table["CellId"], strict=True)]
    unknown = np.array([rule is None for rule in found], dtype=bool)
    reason = "its rule is none of `rules` in the dataset's yaml. Mend the manifest."
    errors[unknown & (errors == "").to_numpy()] = reason
    rule = pd.Series(found, index=table.index, dtype=object).fillna(own)
    if rule.equals(own.astype(object)):
        return table
    return table.rename(columns={"rule": "source_rule"}).assign(rule=rule)


def _rule(value: object, cell: str, rules: Sequence[str]) -> str | None:
    text = "" if pd.isna(value) else str(value).strip()
    if text and pd.isna(pd.to_numeric(text, errors="coerce")):
        return next((rule for rule in (text, text.removesuffix("_")) if rule in rules), None)
    number = re.search(r"_(\d+)$", cell)
    return rules[int(number[1])] if number and int(number[1]) < len(rules) else None


def _check_counts(cells: pd.DataFrame, expected: Mapping[str, int] | None, path: Path) -> None:
    """Warn of splits whose number of cells is not the expected one."""
    for split, number in (expected or {}).items() if "split" in cells else ():
        n_cells = int((cells["split"] == split).sum())
        if abs(n_cells - number) > _COUNT_TOLERANCE:
            logger.warning("%s: %d cells in split %s, expected %d", path, n_cells, split, number)


def read_splits(values: pd.Series, path: Path, remedy: str) -> pd.Series:
    """Return train, val or test for the names of splits that tables use, missing where there is none.

    Another name is an InputError.
    """
    splits = values.astype(str).str.strip().str.lower().map(SPLITS)
    is_empty = values.isna() | (values.astype(str).str.strip() == "")
    if (is_strange := splits.isna() & ~is_empty).any():
        strange = ", ".join(sorted(set(values[is_strange].astype(str)))[:5])
        raise InputError(f"{path}: split {strange} is none of {', '.join(SPLITS)}. {remedy}")
    return splits


def _derived(table: pd.DataFrame, derive: derived.Derive, path: Path) -> pd.DataFrame:
    """Add derived columns; those of a column that was not published are missing, with a line in the log."""
    possible = {name: rule for name, rule in derive.items() if rule["from"] in {*table, *derive}}
    derived.check_names(possible, table, path)
    if lost := [name for name in derive if name not in possible]:
        logger.warning("%s: nothing to derive %s from (source.derive)", path, ", ".join(lost))
    return derived.add(table, possible, path)


def _groups(table: pd.DataFrame, dataset: Mapping[str, Any], path: Path) -> pd.Series:
    """Return the independent unit of each cell: the shape of a packing, columns, else the cell itself."""
    if dataset["kind"] == "packing":
        return table["CellId"].str.rsplit("_", n=1).str[0]
    unit = manifests.group_columns(dataset.get("source", {}).get("group"))
    unit = [reserved.own_name(column, table) for column in unit]
    if missing := [column for column in unit if column not in table]:
        message = (
            "%s: has no column %s (source.group): cells count as independent, so that intervals may be narrow"
        )
        logger.warning(message, path, ", ".join(missing))
        unit = []
    return manifests.groups(table, unit or ["CellId"]).fillna(table["CellId"])


def _relative_paths(values: pd.Series, path: Path, prefixes: Sequence[str], errors: pd.Series) -> pd.Series:
    """Return paths relative to the published location; one that leaves it goes into `errors`."""
    paths = pd.Series("", index=values.index, dtype=object)
    for index, value in values.items():
        try:
            paths[index] = relative_path(value, prefixes)
        except InputError as error:
            errors[index] = errors[index] or f"{path}: {error}"
    return paths


def relative_path(value: object, prefixes: Sequence[str]) -> str:
    """Return a manifest's path relative to the published location, without one of some leading folders.

    Raises
    ------
    InputError
        When it is empty, absolute, or climbs out with `..`.

    Examples
    --------
    >>> relative_path("./data/pcna/a.ply", ["data"]), relative_path("pcna/a.ply", ["data"])
    ('pcna/a.ply', 'pcna/a.ply')
    """
    name = str(manifests.without_prefix(identifiers.check_path(value), prefixes))
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        remedy = "Paths must be relative, without `..`; mend them, or name their start in published.prefixes."
        raise InputError(f"{value} leaves the published folder. {remedy}")
    return "/".join(parts)
