"""Reference shapes and published packings: which files a dataset has, and where they are once fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import seeds
from morphobench.download.remote import is_remote, local_folder, open_store
from morphobench.download.remote.connections import FileError
from morphobench.download.remote.store import Store
from morphobench.errors import InputError
from morphobench.files import manifests
from morphobench.files.layout import positions_name
from morphobench.files.packings import SHAPE_MANIFEST, read_shapes

MESH_SUFFIXES = (".obj", ".ply", ".stl")


@dataclass(frozen=True)
class Found:
    """The shapes of a shard, and their files.

    Attributes
    ----------
    shapes
        Columns CellId and angle, as text.
    meshes, packings
        Where the files of this name are, or why they are not here; a folder knows its files itself.
    """

    shapes: pd.DataFrame
    meshes: Path | Mapping[str, Path | FileError]
    packings: Path | Mapping[str, Path | FileError]

    def mesh(self, stem: str) -> Path:
        """Return the mesh of a shape, in whichever format it is; where there is none, where one should be."""
        names = [f"{stem}{suffix}" for suffix in MESH_SUFFIXES]
        if isinstance(self.meshes, Path):
            paths = [self.meshes / name for name in names]
            return next((path for path in paths if path.is_file()), paths[0])
        return _or_raise(next((self.meshes[name] for name in names if name in self.meshes), None), names[0])

    def packing(self, name: str) -> Path:
        """Return a published packing."""
        if not isinstance(self.packings, Path):
            return _or_raise(self.packings.get(name), name)
        path = self.packings / name
        if not path.is_file():
            raise InputError(
                f"{path}: no such packing. Download it, or remove the shape from the source's "
                f"{SHAPE_MANIFEST}."
            )
        return path


def here(
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    manifest: str | Path | None,
    settings: Mapping[str, Any] | None,
) -> Found:
    """Return the shapes of a shard; files of a remote source are fetched first.

    Raises
    ------
    InputError
        When a folder or table is missing or wrong, or the remote source cannot be had.
    """
    source = dataset["source"]
    if not is_remote(source.get("location")):
        root = local_folder(source.get("location"))
        packings = root / source["packings"] if source["packings"] is not None else Path()
        if not packings.is_dir():
            raise InputError(
                f"{packings}: no such folder (source.packings). Download the published packings there, or "
                "set source.packings to null to make packings."
            )
        shapes = read_shapes(root / source["shapes"] / SHAPE_MANIFEST)
        return Found(_mine(shapes, dataset, shard, n_shards), root / source["shapes"], packings)
    table = pd.read_parquet(manifest)
    store = open_store(source["location"], settings)
    shapes = _mine(_shapes(store, dataset), dataset, shard, n_shards)
    table = table[table["name"].isin(_candidates(dataset, shapes))]
    known = table.set_index("name")
    paths = store.fetch_each(
        list(table["name"]),
        dataset=dataset["name"],
        expected={name: checksum for name, checksum in known["checksum"].items() if checksum},
        sizes=known["size"].to_dict(),
    )
    files = {name.rpartition("/")[2]: path for name, path in paths.items()}
    return Found(shapes, files, files)


def index(store: Store, dataset: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return name, size and checksum of a dataset's files: as the index, and as what is fetched."""
    shapes = _chosen(_shapes(store, dataset), dataset)
    found = store.describe(_candidates(dataset, shapes), dataset=dataset["name"])
    return found, found


def _shapes(store: Store, dataset: Mapping[str, Any]) -> pd.DataFrame:
    name = manifests.name_inside(store.location, f"{dataset['source']['shapes']}/{SHAPE_MANIFEST}")
    return read_shapes(store.fetch([name], dataset=dataset["name"])[name])


def _candidates(dataset: Mapping[str, Any], shapes: pd.DataFrame) -> set[str]:
    """Return the names that the files of shapes may have."""
    source, names = dataset["source"], set()
    for shape in shapes.itertuples(index=False):
        names |= {f"{source['shapes']}/{shape.CellId}_{shape.angle}{suffix}" for suffix in MESH_SUFFIXES}
        if source["packings"] is not None:
            of_rules = (positions_name(rule, shape.CellId, shape.angle) for rule in dataset["rules"])
            names |= {f"{source['packings']}/{name}" for name in of_rules}
    return names


def _chosen(shapes: pd.DataFrame, dataset: Mapping[str, Any]) -> pd.DataFrame:
    """Return as many shapes as make up max_cells, at least one."""
    most = dataset["source"].get("max_cells")
    n_shapes = None if most is None else max(1, most // len(dataset["rules"]))
    return shapes[shapes["CellId"].isin(manifests.chosen(shapes["CellId"], n_shapes))]


def _mine(shapes: pd.DataFrame, dataset: Mapping[str, Any], shard: int, n_shards: int) -> pd.DataFrame:
    shapes = _chosen(shapes, dataset)
    return shapes[[seeds.shard_of(shape, n_shards) == shard for shape in shapes["CellId"]]]


def _or_raise(path: Path | FileError | None, name: str) -> Path:
    if path is None:
        raise FileError(f"{name}: the source has no such file. Remove the shape from its {SHAPE_MANIFEST}.")
    if isinstance(path, FileError):
        raise path
    return path
