"""What a model reads of one cell in memory, made by the functions of stages align, mask and sample."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from morphobench import seeds
from morphobench.align import inplane
from morphobench.errors import InputError
from morphobench.files import images
from morphobench.geometry import labels, surface_points
from morphobench.geometry.overlap import Mesh
from morphobench.mask.polymorphic import measure_structure
from morphobench.mask.scale_factor import factor_of
from morphobench.models.inputs import INTENSITY
from morphobench.sample import distances
from morphobench.sample.polymorphic import check_mesh

Spacing = float | Sequence[float] | None


class Draws(NamedTuple):
    """Seed and name of a data set, by which the workflow draws at random from its cells."""

    seed: int
    dataset: str

    @property
    def subsample_seed(self) -> int:
        """Seed of the points that stage `embed` subsamples."""
        return seeds.integer(self.seed, self.dataset, "embed")

    def generator(self, cell_id: str) -> np.random.Generator:
        """Return the generator of a cell in stage `sample`."""
        return seeds.generator(self.seed, self.dataset, "sample", cell_id)


def arrays(
    cell: np.ndarray | Mesh,
    spacing_um: Spacing,
    model_config: Mapping[str, Any],
    record: Mapping[str, Any],
    draws: Draws,
    cell_id: str,
) -> dict[str, np.ndarray]:
    """Return the arrays of a cell that a model reads, of shape (1, ...), as stage `sample` stores them.

    Raises
    ------
    InputError
        When the cell is no input of the model.
    """
    representation = model_config["representation"]
    if representation == "points":
        found = _points(cell, spacing_um, model_config)
    elif representation == "cube":
        found = {"cube": _array(cell, 3, "a cube (s, s, s)")}
    else:
        mesh = _mesh(cell, spacing_um, record)
        found = _shape(mesh, model_config, record, draws.generator(cell_id))
    return {name: array[np.newaxis] for name, array in found.items()}


def _array(cell: Any, ndim: int, what: str) -> np.ndarray:
    array = np.asarray(cell) if not isinstance(cell, tuple) else None
    if array is None or array.ndim != ndim or not array.size or not np.isfinite(array).all():
        found = "a mesh" if array is None else f"shape {array.shape}"
        raise InputError(f"the model reads {what} of finite numbers, not {found}. Convert the cell.")
    return array


def _points(cell: Any, spacing_um: Spacing, model_config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    intensity = model_config.get(INTENSITY) or {}
    if intensity.get("structure_norms"):
        raise InputError("the model reads intensities in ranges of structures. Embed by weights_from.")
    weighted = (model_config.get("subsample") or {}).get("weight") == INTENSITY
    n_columns = 4 if intensity or weighted else 3
    points = _array(cell, 2, f"points (n, {n_columns})")
    if points.shape[1] != n_columns:
        raise InputError(f"the model reads points (n, {n_columns}), not {points.shape}. Check the columns.")
    unit = np.broadcast_to(1.0 if spacing_um is None else np.asarray(spacing_um, dtype=float), 3)
    found = {"points_um": (points[:, :3] * unit).astype(np.float32)}
    return found | ({INTENSITY: points[:, 3].astype(np.float32)} if n_columns == 4 else {})


def _mesh(cell: Any, spacing_um: Spacing, record: Mapping[str, Any]) -> Mesh:
    """Return a mesh, micrometres, x, y, z, of a mesh or of a segmentation (z, y, x)."""
    if not isinstance(cell, tuple):
        return _mesh_of_volume(_array(cell, 3, "a volume (z, y, x) or a mesh"), spacing_um, record)
    vertices, faces = (np.asarray(part) for part in cell)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        shapes = f"vertices {vertices.shape} and faces {faces.shape}"
        raise InputError(f"a mesh has vertices (n, 3) and faces (m, 3), not {shapes}. Convert it.")
    vertices_um = vertices * (1.0 if spacing_um is None else spacing_um)
    check_mesh(vertices_um, faces)
    return vertices_um.astype(np.float32), faces


def _mesh_of_volume(volume_zyx: np.ndarray, spacing_um: Spacing, record: Mapping[str, Any]) -> Mesh:
    sections = record["sections"]
    if spacing_um is None:
        raise InputError("the size of a volume's voxels is not given. Set spacing_um, micrometres.")
    if not sections or sections["align"]["enabled"]:
        why = "the training laid cells along x by a mask of their own" if sections else "nothing is recorded"
        raise InputError(f"{why}. Give meshes in the frame of the training, or embed by weights_from.")
    edges = (np.broadcast_to(np.asarray(spacing_um, dtype=float), 3), sections["voxel_um"])
    occupancy = images.resample_isotropic(labels.occupancy(volume_zyx), *edges, order=1)
    own = images.resample_isotropic(labels.foreground(volume_zyx).view(np.uint8), *edges, order=0)
    inside = labels.foreground(occupancy) & (own > 0)
    if not inside.any():
        raise InputError("the segmentation is empty. Check it, or leave the cell out.")
    # As stage `align` crops: whether a slice is the first one counts where holes are filled by slices.
    center, margin = inplane.center_zyx(own), sections["align"]["margin_voxel"]
    box = inplane.rotated_box(own, 0.0, center, margin=margin)
    fill, voxel_um = sections["mask"]["fill_holes"], sections["voxel_um"]
    _, vertices_um, faces, _ = measure_structure(inside[box], fill, voxel_um)
    return vertices_um.astype(np.float32), faces


def _shape(
    mesh: Mesh, model_config: Mapping[str, Any], record: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    vertices_um, faces = mesh
    sample = record["sections"].get("sample")
    if not sample:
        raise InputError("the record does not say how cells were sampled. Train the weights again.")
    reference, representation = sample["mode"] == "reference", model_config["representation"]
    if representation == "surface":
        points, _ = surface_points.surface_points(
            surface_points.unit_cube(vertices_um)[0], faces, sample["n_surface"], rng
        )
        points = points.astype(np.float16).astype(np.float32) if reference else points
        # The encoder reads no query points.
        n_queries = (model_config.get("subsample") or {}).get("n_queries", 1)
        blank = np.zeros((n_queries, 3), np.float32)
        return {"surface": points, "queries": blank, "distances": blank[:, 0]}
    place = {"resolution": sample["resolution"], "scale_factor": _factor(vertices_um, record)}
    sdf = distances.signed_distance_grid(vertices_um, faces, **place, reference=reference)
    if representation == "sdf":
        return {"sdf": sdf}
    if reference:
        return {"seg": distances.reference_segmentation_grid(vertices_um, faces, **place)}
    return {"seg": distances.segmentation_grid(sdf)}


def _factor(vertices_um: np.ndarray, record: Mapping[str, Any]) -> float:
    sections = record["sections"]
    how = sections["scale_factor"]
    if how["mode"] == "global":
        return record["measured"]["scale_factor"]
    extent_um = np.ptp(vertices_um.astype(np.float64), axis=0).max()
    known = {"resolution": sections["sample"]["resolution"], "margin_voxel": how["margin_voxel"]}
    return float(factor_of(extent_um, sections["voxel_um"], **known, reference=how.get("reference", False)))
