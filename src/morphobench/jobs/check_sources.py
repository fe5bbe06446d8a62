"""Sources other than crops: fields of view, stacks of shapes, and packings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from morphobench.download import packing, stack
from morphobench.errors import InputError, named
from morphobench.files import headers, identifiers, images, manifests
from morphobench.files.headers import Stated
from morphobench.geometry import meshes
from morphobench.jobs.check_headers import spread
from morphobench.jobs.check_report import Report
from morphobench.remote import is_remote, open_store
from morphobench.remote.connections import FileError

Config = Mapping[str, Any]


def check_fields(report: Report, dataset: Config) -> None:
    """Check the table of fields of view, its files, and three of their headers."""
    source, fov = dataset["source"], dataset["source"]["fov"]
    path, columns = Path(source["fovs"]), ["image", *fov["label_channels"]]
    table = manifests.read(path, columns, text=["FOVId"], derive=source.get("derive"))
    manifests.check_unique(path, table["FOVId"])
    for fault in identifiers.faults(table, ["FOVId"]).loc[lambda faults: faults != ""]:
        report.remark(f"{path}: {fault}", "source.fovs")
    report.say("Manifest", f"{path}: {len(table)} fields of view, columns {', '.join(table)}")
    files = {value: manifests.inside(path.parent, value) for column in columns for value in table[column]}
    if missing := [str(file) for file in files.values() if not file.is_file()]:
        report.stop(
            f"{path}: {len(missing)} of {len(files)} files are missing, first {missing[0]}.", "source.fovs"
        )
    stated = Stated(fov.get("channel_names"), "fov.channel_names", fov.get("spacing_um_zyx"))
    for field in spread(table).to_dict("records"):
        image = files[field["image"]]
        with named(image):
            described = headers.describe(images.read_header(image), stated)
        names, edges = described.channel_names, described.spacing_um_zyx
        said = f"channels {names} (from {described.names_from}), voxel z, y, x {edges} um"
        report.say("Fields", f"{image}: {said} (from {described.spacing_from})")


def check_stack(report: Report, dataset: Config) -> None:
    """Check an array of shapes and the table beside it."""
    path = Path(dataset["source"]["stack"])
    table = manifests.read(
        path.parent / stack.TABLE, [], text=["CellId"], derive=dataset["source"].get("derive")
    )
    volumes = stack.read_volumes(path)
    said = f"{len(table)} rows, {dataset.get('n_cells')} expected, columns {', '.join(table)}"
    report.say("Manifest", f"{path}: {said}; volumes {volumes.shape}")
    if len(volumes) != len(table):
        raise InputError(
            f"{path}: {len(volumes)} volumes for {len(table)} rows. They must be the same cells."
        )


def check_packing(report: Report, dataset: Config, download_config: Config) -> int:
    """Check the table of shapes and its files, and three shapes; return the bytes to fetch."""
    source, location = dataset["source"], dataset["source"].get("location")
    if is_remote(location):
        store = open_store(location, download_config)
        index = packing.index(store, dataset)
        n_bytes = int(index["size"].clip(lower=0).sum())
        report.say("Place", f"{store.location}, reachable")
        report.say("A run would read", f"{len(index):,} files, {n_bytes / 1e9:.3f} GB (all are listed)")
        return n_bytes
    shapes, find = packing.locate(
        dataset, lambda ids: pd.Series(True, index=range(len(list(ids)))).to_numpy(), None, None
    )
    report.say(
        "Manifest", f"{len(shapes)} shapes, {len(shapes) * len(dataset['rules'])} cells by their rules"
    )
    reasons = []
    for shape in spread(shapes).itertuples():
        try:
            path = find(*packing.mesh_names(source, shape.CellId, shape.angle))
            mesh = meshes.read_closed_mesh(path)
            report.say(
                "Shapes", f"{path}: {len(mesh.vertices)} vertices, extents {mesh.extents.round(2).tolist()}"
            )
        except (InputError, FileError) as error:
            reasons.append(error)
    for reason in reasons:
        report.stop(reason, "source.shapes")
    return 0
