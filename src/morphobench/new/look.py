"""Look at a folder, a table or a file, and draft the data set that it holds."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from morphobench.errors import InputError, named
from morphobench.files import hdf_images, point_files
from morphobench.new import columns, found, images, pairs, points, shapes

_FORMS = "images with label images, meshes (PLY, OBJ, OFF, STL), tables of points or an array of volumes"


def draft_of(place: Path) -> found.Draft:
    """Return the data set in a folder, or that a table or another file holds.

    Raises
    ------
    InputError
        When there is nothing, or what there is cannot become one.
    """
    if not place.exists():
        raise InputError(f"{place}: no such file or folder. Point FROM at your folder or table.")
    if place.is_dir() and found.suffix(place) != ".zarr":
        return _of_folder(place)
    if found.suffix(place) in found.STACKS:
        return _of_stack(place)
    if arrays := _arrays([place]):
        return images.draft(pairs.pairs_of(arrays, place.parent), place.parent)
    if found.suffix(place) in found.POINTS:
        return points.draft([place], found.listing([place], place.parent, "points"))
    if found.suffix(place) in found.TABLES:
        return _of_table(place)
    raise InputError(
        f"{place}: one file of a data set. Point FROM at its folder, or at a table of its files."
    )


def _of_folder(folder: Path) -> found.Draft:
    files = found.files_below(folder)
    by_form = _by_form(files)
    tables = [file for file in files if found.suffix(file) in found.TABLES]
    metadata = _metadata_table(folder, tables, sum(map(len, by_form.values())))
    if metadata is not None and columns.file_columns(columns.read_table(metadata), folder):
        return _of_table(metadata)
    if not any(by_form.values()):
        by_form["points"] = [file for file in tables if _has_points(file)]
        if tables and not by_form["points"]:
            # Says what its columns are.
            return _of_table(tables[0])
    form, own = max(by_form.items(), key=lambda item: len(item[1]))
    if not own:
        raise InputError(f"{folder}: {_endings(files)}. It needs {_FORMS}.")
    if form == "stacks":
        if len(own) > 1:
            raise InputError(f"{folder}: {len(own)} arrays ({own[0].name}, ...). Point FROM at one of them.")
        return _of_stack(own[0])
    if form == "images":
        paired = pairs.pairs_of(own, folder)
        return images.draft(paired, folder, _joined([pair.first for pair in paired], folder, metadata))
    listed = found.listing(own, folder, "mesh" if form == "meshes" else "points")
    extra = _joined(own, folder, metadata)
    if extra is not None:
        listed = listed.join(extra[extra.columns.difference(listed.columns, sort=False)])
    return shapes.draft_of_meshes(own, listed) if form == "meshes" else points.draft(own, listed)


def _by_form(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Return meshes, images, arrays of volumes and tables of points among files, but for tables of text."""
    endings = {
        "meshes": found.MESHES,
        "images": found.IMAGES,
        "stacks": found.STACKS,
        "points": found.POINTS,
    }
    by_form = {
        form: [file for file in files if found.suffix(file) in known] for form, known in endings.items()
    }
    arrays = _arrays(by_form["points"])
    with_arrays = {hdf_images.file_of(array) for array in arrays}
    points_alone = [file for file in by_form["points"] if file not in with_arrays]
    return {**by_form, "images": by_form["images"] + arrays, "points": points_alone}


def _endings(files: Sequence[Path]) -> str:
    """Say what endings files have, of which none can be used."""
    most = Counter(map(found.suffix, files)).most_common(5)
    counted = ", ".join(f"{n} {ending or 'without ending'}" for ending, n in most)
    return f"nothing to use among {counted}" if files else "empty"


def _arrays(files: Sequence[Path]) -> list[Path]:
    """Return the volumes in HDF5 files, as paths of their own."""
    stored = (file for file in files if found.suffix(file) in hdf_images.SUFFIXES)
    return [array for file in stored for array in hdf_images.arrays_of(file)]


def _metadata_table(folder: Path, tables: Sequence[Path], n_files: int) -> Path | None:
    """Return the table at the top of a folder that is none of points, where it is the only one."""
    top = [file for file in tables if file.parent == folder]
    if not n_files and len(tables) > 1:
        top = [file for file in top if not _has_points(file)]
    return top[0] if len(top) == 1 and (n_files or len(tables) > 1) else None


def _has_points(file: Path) -> bool:
    try:
        return columns.coordinates(point_files.columns_of(file)) is not None
    except InputError:
        return False


def _joined(files: Sequence[Path], folder: Path, table: Path | None) -> pd.DataFrame | None:
    """Return the rows of a table of metadata that belong to files, by a column with their names.

    Without such a table, the first folders of the files where they differ, as `class`; or None.
    """
    classes = [found.class_of(file, folder) for file in files]
    own = pd.DataFrame({"class": classes}) if len(set(classes)) > 1 else None
    if table is None:
        return own
    metadata, stems = columns.read_table(table), [found.identifier(file, file.parent) for file in files]
    for column in metadata:
        keys = metadata[column].map(lambda value: os.path.splitext(os.path.basename(str(value)))[0])
        if keys.is_unique and set(stems) & set(keys):
            rows = metadata.set_index(keys).reindex(stems).reset_index(drop=True)
            rows = rows.rename(columns={column: f"{column}_in_table"} if column == "CellId" else {})
            return rows if own is None else rows.assign(**dict(own))
    return own


def _of_table(path: Path) -> found.Draft:
    """Return the data set of a table that names files, or that is itself the points of many cells."""
    with named(path):
        table = columns.read_table(path)
        files = columns.file_columns(table, path.parent)
        if not files:
            if columns.coordinates(list(map(str, table))):
                return points.draft([path], found.listing([path], path.parent, "points"))
            there = ", ".join(map(str, table))[:300]
            raise InputError(
                f"no column names files, and none holds x and y (found {there}). Name them in its first row."
            )
    endings = set(files.values())
    located = {column: [path.parent / value for value in table[column].fillna("")] for column in files}
    if endings <= set(found.IMAGES):
        return _of_images(path, table, located)
    if len(files) > 1:
        raise InputError(f"{path}: columns {', '.join(files)} all name files. Keep the one to use.")
    ((column, own),) = located.items()
    is_mesh = endings <= set(found.MESHES)
    target = "mesh" if is_mesh else "points"
    listed = found.listing(own, path.parent, target).drop(columns="class", errors="ignore")
    if (ids := columns.id_column(table, "CellId", [column])) is not None:
        listed["CellId"] = table[ids]
    rest = table.drop(columns=[column, "CellId"], errors="ignore")
    listed = listed.join(rest[rest.columns.difference(listed.columns, sort=False)])
    return shapes.draft_of_meshes(own, listed) if is_mesh else points.draft(own, listed)


def _of_images(path: Path, table: pd.DataFrame, located: dict[str, list[Path]]) -> found.Draft:
    by_label = {column: pairs.names_labels(column, files) for column, files in located.items()}
    raw = [column for column, is_label in by_label.items() if not is_label]
    segmented = [column for column in located if column not in raw]
    if len(raw) > 1:
        raise InputError(f"{path}: columns {', '.join(raw)} name images. Keep one, with all channels.")
    paired = [
        pairs.Pair(located[raw[0]][i] if raw else None, {name: located[name][i] for name in segmented})
        for i in range(len(table))
    ]
    if not segmented:
        paired = _with_labels_beside(path, raw[0], located[raw[0]])
    rest = table.drop(columns=list(located))
    for target in ("CellId", "FOVId"):
        if target not in rest and (ids := columns.id_column(rest, target, [])) is not None:
            rest[target] = rest[ids]
    return images.draft(paired, path.parent, rest)


def _with_labels_beside(path: Path, column: str, files: list[Path]) -> list[pairs.Pair]:
    """Pair the images of a table with label images below its folder, by their names."""
    there = [file for file in found.files_below(path.parent) if found.suffix(file) in found.IMAGES]
    by_image = {
        os.path.abspath(pair.image): pair for pair in pairs.pairs_of(there, path.parent) if pair.image
    }
    if missing := [file for file in files if os.path.abspath(file) not in by_image]:
        reason = f"column {column} names images, no column label images, and none is called as {missing[0]}"
        raise InputError(f"{path}: {reason}. Segment the cells, and add a column such as {column}_label.")
    return [by_image[os.path.abspath(file)] for file in files]


def _of_stack(path: Path) -> found.Draft:
    beside = shapes.table_beside(path)
    table = columns.read_table(beside) if beside else None
    if table is not None and "CellId" not in table:
        ids = columns.id_column(table, "CellId", [])
        own = table[ids] if ids else [f"{path.stem}_{number:05d}" for number in range(len(table))]
        table = table.assign(CellId=own)
    return shapes.draft_of_stack(path, table)
