"""Reference shapes and published packings of a dataset: names in the source, and paths of the files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench.download.crops import InShard
from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.layout import positions_name
from morphobench.files.packings import SHAPE_MANIFEST, read_shapes
from morphobench.remote import Store, is_remote, local_folder, open_store
from morphobench.remote.connections import FileError, checked


def locate(
    dataset: Mapping[str, Any],
    in_shard: InShard,
    manifest: str | Path | None,
    download_config: Mapping[str, Any] | None,
) -> tuple[pd.DataFrame, Callable[..., Path]]:
    """Locate the files of a shard's shapes; those of a remote source are fetched.

    Returns
    -------
    shapes
        Columns CellId and angle.
    find
        Returns the path of the first of some names that the source has; a `FileError` when it has none.

    Raises
    ------
    InputError
        When a folder or table is missing or wrong, or the remote source cannot be reached.
    """
    source, location = dataset["source"], dataset["source"].get("location")
    if is_remote(location):
        store = open_store(location, download_config)
        shapes = _fetch_shapes(store, dataset)
        shapes = shapes[in_shard(shapes["CellId"])]
        index = pd.read_parquet(manifest).set_index("name")
        listed = index[index.index.isin(_names(dataset, shapes))].to_dict()
        known = {"expected": listed["checksum"], "sizes": listed["size"]}
        paths = store.fetch_each(list(listed["size"]), dataset=dataset["name"], **known)
    else:
        root = local_folder(location)
        if source["packings"] is not None and not (root / source["packings"]).is_dir():
            raise InputError(
                f"{root / source['packings']}: no such folder (source.packings). Download the published "
                "packings there, or set source.packings to null to make packings."
            )
        shapes = _chosen(read_shapes(root / source["shapes"] / SHAPE_MANIFEST), dataset)
        shapes = shapes[in_shard(shapes["CellId"])]
        paths = {name: root / name for name in _names(dataset, shapes) if (root / name).is_file()}

    def find(*names: str) -> Path:
        name = next((name for name in names if name in paths), names[0])
        reason = "the source has no such file. Download it, or remove the shape from the source's"
        return checked(paths.get(name) or FileError(f"{name}: {reason} {SHAPE_MANIFEST}."))

    return shapes, find


def mesh_names(source: Mapping[str, Any], shape: str, angle: str) -> list[str]:
    """Return the names that a shape's mesh may have in the source, by its format."""
    return [f"{source['shapes']}/{shape}_{angle}{suffix}" for suffix in (".obj", ".ply", ".stl")]


def index(store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Index a dataset's files: name, size and checksum."""
    return store.describe(_names(dataset, _fetch_shapes(store, dataset)), dataset=dataset["name"])


def _fetch_shapes(store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    name = manifests.name_inside(store.location, f"{dataset['source']['shapes']}/{SHAPE_MANIFEST}")
    return _chosen(read_shapes(store.fetch([name], dataset=dataset["name"])[name]), dataset)


def _names(dataset: Mapping[str, Any], shapes: pd.DataFrame) -> set[str]:
    """Return the names that files of shapes may have in the source."""
    source, names = dataset["source"], set()
    for shape in shapes.itertuples(index=False):
        names.update(mesh_names(source, shape.CellId, shape.angle))
        if source["packings"] is not None:
            packings = (positions_name(rule, shape.CellId, shape.angle) for rule in dataset["rules"])
            names |= {f"{source['packings']}/{name}" for name in packings}
    return names


def _chosen(shapes: pd.DataFrame, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Return as many shapes as make up max_cells, at least one."""
    max_cells = dataset["source"].get("max_cells")
    n_shapes = None if max_cells is None else max(1, max_cells // len(dataset["rules"]))
    return shapes[shapes["CellId"].isin(manifests.chosen(shapes["CellId"], n_shapes))]
