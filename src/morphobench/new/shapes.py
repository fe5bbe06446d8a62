"""Meshes, and arrays of segmented volumes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.download.stack import TABLE, read_volumes
from morphobench.errors import InputError
from morphobench.geometry import meshes
from morphobench.new import bodies, found

# Micrometres that a cell or an organelle may be long. A unit that makes meshes longer or shorter is asked.
_LIKELY_UM = (0.1, 200.0)
_MESH_UNITS = {1000.0: "millimetres", 0.001: "nanometres", 1.0: "micrometres"}
_MAX_OPEN = 0.2


def draft_of_meshes(files: Sequence[Path], table: pd.DataFrame) -> found.Draft:
    """Return the data set of some mesh files, of which `table` has a row each (CellId, mesh, metadata)."""
    some = found.spread(files)
    read = [meshes.read_mesh(file) for file in some]
    longest = max(float(np.max(mesh.extents)) for mesh in read)
    typical = float(np.median([np.max(mesh.extents) for mesh in read]))
    n_open = sum(not mesh.is_watertight for mesh in read)
    endings = ", ".join(sorted({found.suffix(file) for file in files}))
    unit, comment = _unit(typical)
    likely = unit or _likely(typical)
    source = [
        "  mesh:",
        f"    unit_um: {unit or 'FILL'}{comment}",
        f"    max_open: {_MAX_OPEN}             # share of a surface that may be missing, and is closed",
        "  group: CellId               # the unit whose cells are not independent, such as an animal",
    ]
    remarks = [
        f"{len(files)} meshes ({endings}), {n_open} of {len(some)} read are open",
        f"a typical one is {typical:.3g} units long, the longest {longest:.3g}",
    ]
    body = bodies.of_meshes(longest * likely)
    return found.Draft("polymorphic", table, source, "meshes", "", body, len(files), len(files), remarks)


def _likely(typical: float) -> float:
    """Return the micrometres per unit with which a length is one of a cell."""
    low, high = _LIKELY_UM
    return next((unit for unit in _MESH_UNITS if low <= typical * unit <= high), 1.0)


def _unit(typical: float) -> tuple[float | None, str]:
    """Return the micrometres per unit of meshes, None where they are asked, and the comment."""
    if _LIKELY_UM[0] <= typical <= _LIKELY_UM[1]:
        return 1.0, f"              # taken for micrometres: a typical mesh is {typical:.3g} long"
    likely = _likely(typical)
    others = ", ".join(f"{unit:g} ({name}: {typical * unit:.3g} um)" for unit, name in _MESH_UNITS.items())
    said = f"micrometres per unit: {others}"
    return None, f"             # {said}; likely {likely:g}, for which voxel_um is below"


def draft_of_stack(path: Path, table: pd.DataFrame | None) -> found.Draft:
    """Return the data set of one array of segmented volumes; `table` has a row each, None for none."""
    volumes = read_volumes(path)
    if table is not None and len(table) != len(volumes):
        reason = f"holds {len(volumes)} volumes, but its table has {len(table)} rows"
        raise InputError(f"{path}: {reason}. They must be the same cells in the same order.")
    if table is None:
        table = pd.DataFrame({"CellId": [f"{path.stem}_{number:05d}" for number in range(len(volumes))]})
    inside = [np.argwhere(volume) for volume in volumes[:: max(1, len(volumes) // found.N_SAMPLED)]]
    extents_zyx = np.array([np.ptp(where, axis=0) + 1 for where in inside if len(where)])
    n_voxels = np.array([len(where) for where in inside if len(where)])
    if not len(extents_zyx):
        raise InputError(f"{path}: all volumes tried are empty. Export them again.")
    source = [
        "  channel: shape",
        f"  spacing_um_zyx: {bodies.spacing(None)}; [1, 1, 1] counts in voxels",
        "  group: CellId               # the unit whose cells are not independent",
    ]
    remarks = [
        f"{len(volumes)} volumes of shape {volumes.shape[1:]} (z, y, x)",
        f"a typical shape is {np.median(extents_zyx.max(axis=1)):.0f} voxels long, of unknown size",
    ]
    body = bodies.of_segmentations(bodies.Sizes(None, extents_zyx, n_voxels))
    channels = bodies.channels("shape", "shape")
    table.attrs["stack"] = str(path.absolute())
    return found.Draft(
        "polymorphic", table, source, "stack", channels, body, len(volumes), len(volumes), remarks
    )


def table_beside(path: Path) -> Path | None:
    """Return the table beside an array, if there is one."""
    names = (TABLE, f"{path.stem}.csv", f"{path.stem}.tsv", f"{path.stem}.parquet")
    return next((path.parent / name for name in names if (path.parent / name).is_file()), None)
