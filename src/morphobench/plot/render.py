"""Pictures of surfaces by pyvista, without a display; and the view and shading of surfaces without it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.colors import to_rgb

from morphobench.log import logger
from morphobench.plot import style

Mesh = tuple[np.ndarray, np.ndarray]
View = Literal["above", "side"]

_LIGHT = np.array([-0.4, 0.6, 0.7])
_AMBIENT = 0.35
# What the process that renders runs.
_PROGRAM = ["-m", __name__]


def _camera(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Return a camera's right, up and backward directions as rows, a proper rotation."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    back = np.array([-np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), -np.sin(a), 0.0])
    return np.stack([right, np.cross(back, right), back])


# From above, y upwards, as all pictures of a contact sheet; or from the front and higher.
_VIEWS = {"above": np.eye(3), "side": _camera(30, 35)}


def centred(vertices: np.ndarray) -> np.ndarray:
    """Return vertices (n, 3) with the middle of their bounding box at the origin."""
    return vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2


def to_view(vertices: np.ndarray, view: View = "side") -> np.ndarray:
    """Return vertices (n, 3) in the frame of the page: right, up, towards the reader."""
    return vertices @ _VIEWS[view].T


def shades(triangles: np.ndarray, color: str = style.SURFACE) -> np.ndarray:
    """Return the colour (m, 3) of triangles (m, 3, 3), in the frame of the page, under a soft light."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    facing = (normals / np.where(length == 0, 1, length)) @ (_LIGHT / np.linalg.norm(_LIGHT))
    strength = _AMBIENT + (1 - _AMBIENT) * np.clip(facing, 0, 1)
    return np.clip(strength[:, None] * np.array(to_rgb(color)) * 1.15, 0, 1)


def render(
    meshes: Sequence[Mesh], size: int, *, half_um: Sequence[float] | None = None, view: View = "above"
) -> list[np.ndarray] | None:
    """Render surfaces in parallel projection as pictures (size, size, 3), uint8.

    Each shows +-half_um, in the unit of the vertices; None, all at the one scale that fits. Returns None
    where VTK cannot draw, with a log line. VTK ends its process where it finds neither EGL nor OSMesa, so it
    runs in one of its own.
    """
    if not meshes:
        return []
    middle = [(centred(vertices), faces) for vertices, faces in meshes]
    reach = max(np.abs(vertices).max() for vertices, _ in middle)
    scales = [reach] * len(meshes) if half_um is None else half_um
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, ((vertices, faces), scale) in enumerate(zip(middle, scales, strict=True)):
            points = to_view(vertices, view).astype(np.float32)
            np.savez(folder / f"{i}.npz", points=points, faces=faces, scale=scale)
        # This package is on the path of the process that renders too, wherever it was started.
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": path}
        command = [sys.executable, *_PROGRAM, name, str(len(meshes)), str(size)]
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        if done.returncode:
            remedy = "Install libegl1 and libegl-mesa0, or libosmesa6."
            logger.warning("surfaces are drawn without VTK (status %d). %s", done.returncode, remedy)
            return None
        return [np.load(folder / f"{i}.npy", allow_pickle=False) for i in range(len(meshes))]


def _main(folder: Path, n: int, size: int) -> None:
    import pyvista

    plotter = pyvista.Plotter(off_screen=True, window_size=(size, size), lighting="none")
    plotter.set_background("white")
    for position, intensity in (((-2, 3, 4), 0.75), ((3, 1, 3), 0.3), ((0, -3, 2), 0.15)):
        plotter.add_light(pyvista.Light(position=position, light_type="camera light", intensity=intensity))
    plotter.enable_anti_aliasing("ssaa")
    light = {"ambient": 0.25, "diffuse": 0.9, "specular": 0.15}
    for i in range(n):
        mesh = np.load(folder / f"{i}.npz", allow_pickle=False)
        surface = pyvista.PolyData(mesh["points"], np.insert(mesh["faces"], 0, 3, axis=1).ravel())
        actor = plotter.add_mesh(surface, color=style.SURFACE, smooth_shading=True, **light)
        reach = float(mesh["scale"])
        far = float(np.abs(mesh["points"]).max()) + reach
        plotter.camera_position = [(0, 0, 2 * far), (0, 0, 0), (0, 1, 0)]
        plotter.enable_parallel_projection()
        plotter.camera.parallel_scale = reach
        plotter.camera.clipping_range = (0.1 * far, 4 * far)
        # The picture is of the last rendering, which came before the camera moved.
        plotter.render()
        np.save(folder / f"{i}.npy", plotter.screenshot(return_img=True))
        plotter.remove_actor(actor)
    plotter.close()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
