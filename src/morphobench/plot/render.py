"""Pictures of surfaces by pyvista, without a display."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from morphobench.log import logger

Mesh = tuple[np.ndarray, np.ndarray]

_COLOR = "#56B4E9"


def render(meshes: Sequence[Mesh], size: int) -> list[np.ndarray] | None:
    """Render surfaces as seen along the optical axis, all at one scale.

    VTK ends its process where it finds neither EGL nor OSMesa, so it works in one of its own.

    Parameters
    ----------
    meshes
        Vertices (n, 3), x, y, z, and faces (m, 3).
    size
        Pixels per side.

    Returns
    -------
    list of numpy.ndarray or None
        Pictures (size, size, 3), uint8; None where VTK cannot draw, which is logged with the remedy.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, (vertices, faces) in enumerate(meshes):
            np.savez(folder / f"{i}.npz", vertices=vertices, faces=faces)
        arguments = [sys.executable, "-m", __name__, name, str(len(meshes)), str(size)]
        # This package is on the path of the process that renders too, wherever it was started.
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            arguments, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False
        )
        if done.returncode:
            logger.warning(
                "surfaces are drawn as points: VTK could not render (status %d). Install libegl1 and "
                "libegl-mesa0, or libosmesa6.",
                done.returncode,
            )
            return None
        return [np.load(folder / f"{i}.npy", allow_pickle=False) for i in range(len(meshes))]


def _main(folder: Path, n: int, size: int) -> None:
    import pyvista

    meshes = [np.load(folder / f"{i}.npz", allow_pickle=False) for i in range(n)]
    reach = max(np.abs(mesh["vertices"] - _middle(mesh["vertices"])).max() for mesh in meshes)
    for i, mesh in enumerate(meshes):
        plotter = pyvista.Plotter(off_screen=True, window_size=(size, size))
        plotter.set_background("white")
        faces = np.insert(mesh["faces"], 0, 3, axis=1).ravel()
        surface = pyvista.PolyData(mesh["vertices"].astype(np.float32), faces)
        plotter.add_mesh(surface, color=_COLOR, smooth_shading=False, specular=0.2)
        middle = _middle(mesh["vertices"])
        # From above, y upwards, as all pictures of a sheet; the parallel view keeps lengths.
        plotter.camera_position = [middle + [0, 0, 4 * reach], middle, (0, 1, 0)]
        plotter.enable_parallel_projection()
        plotter.camera.parallel_scale = reach
        np.save(folder / f"{i}.npy", plotter.screenshot(return_img=True))
        plotter.close()


def _middle(vertices: np.ndarray) -> np.ndarray:
    return (vertices.min(axis=0) + vertices.max(axis=0)) / 2


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
