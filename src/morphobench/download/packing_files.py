"""Reference shapes and published packings of a dataset: names in the source, and paths of the files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.layout import positions_name
from morphobench.files.packings import SHAPE_MANIFEST, read_shapes
from morphobench.remote import Store, is_remote, local_folder, open_store
from morphobench.remote.connections import FileError

MESH_SUFFIXES = (".obj", ".ply", ".stl")


@dataclass(frozen=True)
class ShapeFiles:
    """Shapes of a shard (columns CellId, angle), and the paths of their files by name, or a file's error."""

    source: Mapping[str, Any]
    shapes: pd.DataFrame
    paths: Mapping[str, Path | FileError]

    def mesh(self, stem: str) -> Path:
        """Return the path of a shape's mesh, in whichever format it is."""
        names = [f"{self.source['shapes']}/{stem}{suffix}" for suffix in MESH_SUFFIXES]
        return self._path(next((name for name in names if name in self.paths), names[0]))

    def packing(self, name: str) -> Path:
        """Return the path of a published packing."""
        return self._path(f"{self.source['packings']}/{name}")

    def _path(self, name: str) -> Path:
        path = self.paths.get(name) or FileError(
            f"{name}: the source has no such file. Download it, or remove the shape from the source's "
            f"{SHAPE_MANIFEST}."
        )
        if isinstance(path, FileError):
            raise path
        return path


def locate(
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    manifest: str | Path | None,
    download_config: Mapping[str, Any] | None,
) -> ShapeFiles:
    """Return the shapes of a shard and their files; those of a remote source are fetched.

    Raises
    ------
    InputError
        When a folder or table is missing or wrong, or the remote source cannot be reached.
    """
    source = dataset["source"]
    if is_remote(source.get("location")):
        store = open_store(source["location"], download_config)
        shapes = _in_shard(_fetch_shapes(store, dataset), dataset, shard, n_shards)
        index = pd.read_parquet(manifest).set_index("name")
        index = index[index.index.isin(_names(dataset, shapes))]
        paths = store.fetch_each(
            list(index.index),
            dataset=dataset["name"],
            expected={name: checksum for name, checksum in index["checksum"].items() if checksum},
            sizes=index["size"].to_dict(),
        )
        return ShapeFiles(source, shapes, paths)
    root = local_folder(source.get("location"))
    if source["packings"] is not None and not (root / source["packings"]).is_dir():
        raise InputError(
            f"{root / source['packings']}: no such folder (source.packings). Download the published packings "
            "there, or set source.packings to null to make packings."
        )
    shapes = _in_shard(read_shapes(root / source["shapes"] / SHAPE_MANIFEST), dataset, shard, n_shards)
    paths = {name: root / name for name in _names(dataset, shapes)}
    return ShapeFiles(source, shapes, {name: path for name, path in paths.items() if path.is_file()})


def index(store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Index a dataset's files: name, size and checksum."""
    shapes = _chosen(_fetch_shapes(store, dataset), dataset)
    return store.describe(_names(dataset, shapes), dataset=dataset["name"])


def _fetch_shapes(store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    name = manifests.name_inside(store.location, f"{dataset['source']['shapes']}/{SHAPE_MANIFEST}")
    return read_shapes(store.fetch([name], dataset=dataset["name"])[name])


def _names(dataset: Mapping[str, Any], shapes: pd.DataFrame) -> set[str]:
    """Return the names that files of shapes may have in the source."""
    source, names = dataset["source"], set()
    for shape in shapes.itertuples(index=False):
        names |= {f"{source['shapes']}/{shape.CellId}_{shape.angle}{suffix}" for suffix in MESH_SUFFIXES}
        if source["packings"] is not None:
            packings = (positions_name(rule, shape.CellId, shape.angle) for rule in dataset["rules"])
            names |= {f"{source['packings']}/{name}" for name in packings}
    return names


def _chosen(shapes: pd.DataFrame, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Return as many shapes as make up max_cells, at least one."""
    max_cells = dataset["source"].get("max_cells")
    n_shapes = None if max_cells is None else max(1, max_cells // len(dataset["rules"]))
    return shapes[shapes["CellId"].isin(manifests.chosen(shapes["CellId"], n_shapes))]


def _in_shard(shapes: pd.DataFrame, dataset: Mapping[str, Any], shard: int, n_shards: int) -> pd.DataFrame:
    shapes = _chosen(shapes, dataset)
    return shapes[[seeds.shard_of(shape, n_shards) == shard for shape in shapes["CellId"]]]
