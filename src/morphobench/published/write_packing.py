"""Packings in the published layout: positions, shapes of nuclei, and images of both."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from morphobench import files
from morphobench.files.layout import NUCLEI, PACKINGS, SHAPES, positions_name, stored_cloud
from morphobench.geometry import meshes
from morphobench.geometry.packing import rasterise
from morphobench.log import logger
from morphobench.published.packing import FIGURES, image_name


def write(
    folder: Path,
    root: PurePosixPath,
    cells: pd.DataFrame,
    shards: Mapping[str, Sequence[str | Path]],
    dataset: Mapping[str, Any],
) -> dict[str, list[str]]:
    """Write the files of every cell.

    Positions and shapes are those of stage `download`, in packing units. Images show the nucleus and the
    spheres in sub-voxels of the cubes, centred on the nucleus.

    Parameters
    ----------
    folder, root
        Folder of the manifest, and its name in the published folder.
    cells
        Rows of the manifest, all of cells that were sampled.
    shards
        Shard folders of stages `download` and `mask`, in the order of the manifest's shard numbers.
    dataset
        Key sample of its configuration.

    Returns
    -------
    dict
        No further columns: published names follow from rule, shape and angle.
    """
    (folder / FIGURES).mkdir(parents=True)
    (folder / SHAPES).mkdir()
    shapes = [pd.read_csv(Path(s) / SHAPES / "manifest.csv", dtype=str) for s in shards["download"]]
    files.write_table(pd.concat(shapes, ignore_index=True), folder / SHAPES / "manifest.csv")
    cube = dataset["sample"]["cube"]
    size = cube["size"] * cube["oversample"]

    @lru_cache(maxsize=1)
    def nucleus(shard: int, group: str) -> np.ndarray:
        mesh = meshes.read_closed_mesh(Path(shards["mask"][shard]) / NUCLEI / f"{group}.ply")
        return inside_grid(mesh.vertices, mesh.faces, size, cube["side_um"])

    masked = [files.read_cells(shard).set_index("CellId") for shard in shards["mask"]]
    for number, row in enumerate(cells.sort_values(["shard", "group"]).to_dict("records"), start=1):
        raw, parts = Path(shards["download"][row["shard"]]), (row["rule"], row["group"], row["angle"])
        shape = f"{SHAPES}/{row['group']}_{row['angle']}.obj"
        for name in (f"{PACKINGS}/{positions_name(*parts)}", shape):
            shutil.copyfile(raw / name, folder / name)
        cloud_um = stored_cloud(shards["mask"][row["shard"]], masked[row["shard"]].loc[row["CellId"]])
        spheres = rasterise(
            cloud_um, size=size, side_um=cube["side_um"], radius_um=cube["radius_um"], oversample=1
        )
        image = to_image(nucleus(row["shard"], row["group"]), spheres)
        tifffile.imwrite(
            folder / FIGURES / image_name(*parts),
            image,
            compression="zlib",
            metadata={"axes": "ZCYX", "Channel": {"Name": ["nucleus", "pcna"]}},
        )
        if number % 100 == 0 or number == len(cells):
            logger.info("published %d of %d cells", number, len(cells))
    return {}


def to_image(nucleus_zyx: np.ndarray, spheres_zyx: np.ndarray) -> np.ndarray:
    """Return two cubes of this project as one image of the published axes: packing y, channel, z, x.

    Empty planes at both ends of the depth, the last axis, are cut off as far as both ends allow.

    Parameters
    ----------
    nucleus_zyx, spheres_zyx
        Shape (s, s, s), zero or not.

    Returns
    -------
    numpy.ndarray
        Shape (s, 2, s, depth), uint8, 0 and 255.
    """
    both = np.stack([nucleus_zyx, spheres_zyx]) > 0
    used = np.flatnonzero(both.any(axis=(0, 2, 3)))
    size = both.shape[1]
    cut = min(used[0], size - 1 - used[-1]) if len(used) else 0
    # Ours x, y, z are the packing's y, z, x.
    return np.ascontiguousarray(both[:, cut : size - cut].transpose(3, 0, 2, 1), dtype=np.uint8) * 255


def inside_grid(vertices_um: np.ndarray, faces: np.ndarray, size: int, side_um: float) -> np.ndarray:
    """Tell which voxels of a centred cube have their centre in a closed mesh.

    Parameters
    ----------
    vertices_um, faces
        The mesh, x, y, z, micrometres.
    size, side_um
        Voxels per side, and the side in micrometres.

    Returns
    -------
    numpy.ndarray
        Shape (size, size, size), axes z, y, x, bool.
    """
    import pyvista as pv
    import vtk

    edge_um = side_um / size
    first_um = (edge_um - side_um) / 2
    mesh = pv.PolyData.from_regular_faces(np.asarray(vertices_um, dtype=np.float64), np.asarray(faces))
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(mesh)
    stencil.SetOutputSpacing([edge_um] * 3)
    stencil.SetOutputOrigin([first_um] * 3)
    stencil.SetOutputWholeExtent([0, size - 1] * 3)
    image = pv.ImageData(dimensions=(size,) * 3, spacing=(edge_um,) * 3, origin=(first_um,) * 3)
    image.point_data["inside"] = np.ones(size**3, dtype=np.uint8)
    cut = vtk.vtkImageStencil()
    cut.SetInputData(image)
    cut.SetStencilConnection(stencil.GetOutputPort())
    cut.SetBackgroundValue(0)
    cut.Update()
    found = pv.wrap(cut.GetOutput()).point_data.active_scalars
    return np.asarray(found).reshape((size,) * 3) > 0
