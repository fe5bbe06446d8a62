"""Names that a data set takes from its local table and images: checked while a run is planned.

A column, a value or a channel that is not there is said before a job runs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.download import crops, fields, listed, stack
from morphobench.download.named_files import LISTED
from morphobench.errors import InputError, named
from morphobench.files import headers, images, manifests, reserved, values
from morphobench.jobs import check_headers
from morphobench.jobs.check_report import hint
from morphobench.log import logger
from morphobench.remote import Folder, local_folder, open_store

Config = Mapping[str, Any]
# Values without which an analysis has nothing to compare, or other cells than meant.
_STRICT = ("analyse.keep", "analyse.drugs.control")


class Named(NamedTuple):
    """Values that a key of the configuration takes from a column."""

    key: str
    column: str | None
    values: list[Any]


def named_values(dataset: Config) -> Iterator[Named]:
    """Yield the values that the configuration names of columns: classes, outliers, filters, conditions."""
    for label, variants in (dataset.get("classes") or {}).items():
        lists = [variant.get(key) or [] for variant in variants.values() for key in ("keep", "leave_out")]
        lists += [merged for variant in variants.values() for merged in (variant.get("merge") or {}).values()]
        yield Named(f"classes.{label}", label, [value for listed in lists for value in listed])
    outlier, analyse = dataset.get("outlier") or {}, dataset.get("analyse") or {}
    listed = [*(outlier.get("inlier") or []), *(outlier.get("outlier") or [])]
    yield Named("outlier", outlier.get("column"), listed)
    for column, kept in (analyse.get("keep") or {}).items():
        yield Named(f"analyse.keep.{column}", column, list(kept))
    if drugs := analyse.get("drugs"):
        column = drugs["condition"]
        yield Named("analyse.drugs.control", column, [drugs["control"]])
        listed = [*(drugs.get("names") or {}), *sum((drugs.get("families") or {}).values(), [])]
        yield Named("analyse.drugs", column, listed)


def absent_values(cells: pd.DataFrame, dataset: Config) -> Iterator[tuple[Named, str]]:
    """Yield the values in the configuration that no cell has, and what to say of them."""
    for one in named_values(dataset):
        if one.column not in cells or not cells[one.column].notna().any():
            continue
        if absent := list(dict.fromkeys(values.absent(cells[one.column], one.values))):
            found = f"(found {', '.join(sorted(values.listed(cells[one.column]).split(', ')))})"
            yield one, f"no cell has {one.column} {', '.join(absent)} {found}. Is it spelt so?"


def check(dataset: Config) -> None:
    """Check the columns, values and channels that a local source of raw images must have.

    Raises
    ------
    InputError
        Naming table or image, and the key of the configuration.
    """
    source = dataset["source"]
    place = f"config/datasets/{dataset['name']}.yaml"
    if source.get("fovs"):
        path, table = Path(source["fovs"]), fields.read_table(source, crops.reserved_names(dataset))
        made = {"CellId"}
    elif source.get("stack"):
        path = stack.table_path(source)
        table, made = stack.read_table(source, crops.reserved_names(dataset)), set()
        if not Path(source["stack"]).is_file():
            raise InputError(f"{source['stack']}: no such file. Point source.stack at the shapes.")
    elif source.get("cells"):
        path = local_folder(source.get("location")) / source["cells"]
        table, made = crops.select(path, dataset, optional=list(dataset.get("needs") or {})), set()
    elif form := next((form for form in LISTED if source.get(form)), None):
        path, made = Path(source[form]), set()
        table = listed.read_table(source, form, LISTED[form], crops.reserved_names(dataset))
    else:
        return
    _check_columns(path, table, dataset, made)
    for one, reason in absent_values(table, dataset):
        if one.key.startswith(_STRICT) and not source.get("max_cells"):
            raise InputError(f"{path}: {reason} ({one.key} in {place})")
        logger.warning("%s: %s (%s in %s)", path, reason, one.key, place)
    if "channels" in dataset:
        _check_channels(path, table, dataset)


def _check_columns(path: Path, table: pd.DataFrame, dataset: Config, made: set[str]) -> None:
    there = {*map(str, table), *reserved.measured(dataset["kind"]), *made}
    for column, key in dataset["needs"].items():
        if column not in there and reserved.own_name(column, table) not in there:
            said = f"{path}: column {column} ({key}) is missing; add it, or mend {key}"
            columns = manifests.columns_of(path)
            raise InputError(f"{said} ({manifests.found(columns)}).{hint(column, columns)}")
    for column, key in dataset["numbers"].items():
        if column not in table or not table[column].notna().any():
            continue
        if not np.isfinite(values.numbers(table[column], f"{path}: column {column} ({key})")).any():
            first = table[column].dropna().iloc[0]
            raise InputError(f"{path}: column {column} ({key}) has no number, first {first!r}. Mend {key}.")


def _check_channels(path: Path, table: pd.DataFrame, dataset: Config) -> None:
    """Raise an InputError when none of three images has the channels in use; jobs tell of unreadable ones."""
    reasons, n_read = [], 0
    for row in check_headers.spread(table).to_dict("records"):
        try:
            described = _described(path, row, dataset)
        except InputError:
            continue
        n_read += 1
        try:
            check_headers.check_channels(described, dataset, ", ".join(map(str, described)))
        except InputError as error:
            reasons.append(error)
    if reasons and len(reasons) == n_read:
        raise reasons[0]


def _described(path: Path, row: Config, dataset: Config) -> dict[Path, headers.Described]:
    """Return what is taken of a cell's or a field's images; a field's label images are their columns."""
    source = dataset["source"]
    if source.get("stack"):
        raise InputError("its channel has the name of source.channel")
    if source.get("fovs"):
        fov = source["fov"]
        first, *labels = fields.file_columns(source)
        image = manifests.inside(path.parent, row[first], absolute=True)
        own = fov.get("channel_names") or ([first] if first != "image" else None)
        described = _channels(image, headers.Stated(own, "source.fov.channel_names"))
        names = [*described.channel_names, *labels]
        return {image: described._replace(channel_names=names)}
    store = (
        open_store(source["location"], {}) if source.get("location") else check_headers.AnyFolder(path.parent)
    )
    found = {}
    for kind, name in check_headers.needed(store, row, dataset).items():
        file = store.fetch([name], dataset=dataset["name"])[name] if isinstance(store, Folder) else Path(name)
        found[file] = _channels(file, headers.stated(row, source, kind))
    return found


def _channels(file: Path, stated: headers.Stated) -> headers.Described:
    """Describe an image by its channels alone: its voxels are of no interest here, whoever states them."""
    alone = headers.Stated(stated.channel_names, stated.names_from, [1.0, 1.0, 1.0])
    with named(file):
        return headers.describe(images.read_header(file)._replace(spacing_um_zyx=None), alone)
