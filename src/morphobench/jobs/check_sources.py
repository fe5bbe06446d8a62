"""Sources other than crops: fields of view, stacks of shapes, and packings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.download import fields, listed, packing, stack
from morphobench.download.crops import shard_filter
from morphobench.download.named_files import LISTED
from morphobench.errors import InputError, named
from morphobench.files import headers, identifiers, images, manifests, point_files
from morphobench.files.headers import Stated
from morphobench.files.layout import positions_name
from morphobench.geometry import meshes
from morphobench.jobs.check_headers import spread
from morphobench.jobs.check_report import Report
from morphobench.remote import Store, is_remote, open_store

Config = Mapping[str, Any]


def check_fields(report: Report, dataset: Config) -> None:
    """Check the table of fields of view, its files, and three of their headers."""
    source, fov = dataset["source"], dataset["source"]["fov"]
    path, columns = Path(source["fovs"]), fields.file_columns(source)
    table = fields.read_table(source)
    for fault in identifiers.faults(table, ["FOVId"]).loc[lambda faults: faults != ""]:
        report.remark(f"{path}: {fault}", "source.fovs")
    report.say("Manifest", f"{path}: {len(table)} fields of view, columns {', '.join(table)}")
    files = {
        value: manifests.inside(path.parent, value, absolute=True)
        for column in columns
        for value in table[column]
    }
    if missing := [str(file) for file in files.values() if not images.exists(file)]:
        report.stop(
            f"{path}: {len(missing)} of {len(files)} files are missing, first {missing[0]}.", "source.fovs"
        )
    stated = Stated(fov.get("channel_names"), "fov.channel_names", fov.get("spacing_um_zyx"))
    for field in spread(table).to_dict("records"):
        image = files[field[columns[0]]]
        with named(image):
            described = headers.describe(images.read_header(image), stated)
        names, edges = described.channel_names, described.spacing_um_zyx
        said = f"channels {names} (from {described.names_from}), voxel z, y, x {edges} um"
        report.say("Fields", f"{image}: {said} (from {described.spacing_from})")


def check_stack(report: Report, dataset: Config) -> None:
    """Check an array of shapes and the table beside it."""
    path = Path(dataset["source"]["stack"])
    table = stack.read_table(dataset["source"])
    volumes = stack.read_volumes(path)
    said = f"{len(table)} rows, {dataset.get('n_cells')} expected, columns {', '.join(table)}"
    report.say("Manifest", f"{path}: {said}; volumes {volumes.shape}")
    if len(volumes) != len(table):
        raise InputError(
            f"{path}: {len(volumes)} volumes for {len(table)} rows. They must be the same cells."
        )


def check_listed(report: Report, dataset: Config, form: str) -> None:
    """Check the table of meshes or of tables of points, and read three of its files."""
    source, column = dataset["source"], LISTED[form]
    path, table = Path(source[form]), listed.read_table(source, form, column)
    report.say("Manifest", f"{path}: {len(table)} rows, columns {', '.join(table)}")
    for row in spread(table).to_dict("records"):
        file = listed.checked(row, path, column)
        if form == "meshes":
            mesh = meshes.read_mesh(file)
            sides_um = mesh.extents * source["mesh"]["unit_um"]
            report.say("Meshes", f"{file}: {len(mesh.faces)} faces, sides x, y, z {sides_um.round(3)} um")
        else:
            points_um = point_files.read(file, source["points"]).points_um
            sides_um = np.ptp(points_um, axis=0).round(3) if len(points_um) else "no"
            report.say("Points", f"{file}: {len(points_um)} points, sides x, y, z {sides_um} um")


def check_packing(report: Report, dataset: Config, download_config: Config, most_failed: float) -> int:
    """Check the table of shapes and its files, and three shapes; return the bytes to fetch."""
    location = dataset["source"].get("location")
    if is_remote(location):
        return _check_remote_packing(report, dataset, open_store(location, download_config), most_failed)
    shapes, find = packing.locate(dataset, shard_filter(0, 1), None, None)
    _say_shapes(report, len(shapes), dataset)
    for shape in spread(shapes).itertuples():
        try:
            path = find(*packing.mesh_names(dataset["source"], shape.CellId, shape.angle))
            mesh = meshes.read_closed_mesh(path)
        except InputError as error:
            report.stop(error, "source.shapes")
        else:
            extents = mesh.extents.round(2).tolist()
            report.say("Shapes", f"{path}: {len(mesh.vertices)} vertices, extents {extents}")
    return 0


def _check_remote_packing(report: Report, dataset: Config, store: Store, most_failed: float) -> int:
    """Check that each shape has its mesh, and each cell its packing; return the bytes of all."""
    source = dataset["source"]
    shapes, index = packing.fetch_shapes(store, dataset), packing.index(store, dataset)
    there, n_bytes = set(index["name"]), int(index["size"].clip(lower=0).sum())
    _say_shapes(report, len(shapes), dataset)
    report.say("Place", f"{store.location}, reachable")
    report.say("A run would read", f"{len(index):,} files, {n_bytes / 1e9:.3f} GB (all are listed)")
    wanted = [packing.mesh_names(source, shape.CellId, shape.angle) for shape in shapes.itertuples()]
    if source["packings"] is not None:
        rows = [(shape, rule) for shape in shapes.itertuples() for rule in dataset["rules"]]
        names = (positions_name(rule, shape.CellId, shape.angle) for shape, rule in rows)
        wanted += [[f"{source['packings']}/{name}"] for name in names]
    if missing := [names[0] for names in wanted if not there & set(names)]:
        note = report.stop if len(missing) > most_failed * len(wanted) else report.remark
        reason = f"{len(missing)} of {len(wanted)} files are missing, first {missing[0]}"
        note(
            f"{store.location}: {reason}. Restore them, or mend the names of shapes or rules.",
            "source.packings",
        )
    return n_bytes


def _say_shapes(report: Report, n_shapes: int, dataset: Config) -> None:
    n_cells, expected = n_shapes * len(dataset["rules"]), dataset.get("n_cells")
    report.say("Manifest", f"{n_shapes} shapes, {n_cells} cells by their rules, {expected} expected")
