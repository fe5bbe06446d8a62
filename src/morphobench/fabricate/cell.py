"""One fabricated cell: its volumes by role, intact or odd."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from morphobench.fabricate import layers
from morphobench.fabricate.body import Body, make_body

_BACKGROUND, _CAMERA_NOISE, _SHOT_NOISE = 400.0, 2.0, 0.1
_DNA = {"levels": (0, 1), "counts": 500.0, "texture_um": 0.8}
_MEMBRANE_COUNTS = 800.0


class Cell(NamedTuple):
    """A fabricated cell.

    Attributes
    ----------
    volumes
        By role, all of shape (z, y, x): camera counts as uint16 (structure, dna, membrane, and noise alone),
        masks as uint8 of 0 and 1 (nucleus_mask, cell_mask, structure_mask).
    spacing_um_zyx
        Edges of a voxel, micrometres.
    """

    volumes: dict[str, np.ndarray]
    spacing_um_zyx: tuple[float, float, float]


def make_cell(look: Mapping[str, Any], spacing_um_zyx: Sequence[float], rng: np.random.Generator) -> Cell:
    """Make a cell of a class that looks as its `nucleus` and `layers` in the bucket's yaml say.

    The structure's mask is the union of its pieces; without any, what is above half the brightest.

    Raises
    ------
    InputError
        When a layer finds no room in the cell.
    """
    nucleus = dict(look["nucleus"])
    body = make_body(rng.uniform(*nucleus.pop("volume_um3")), spacing_um_zyx, rng, **nucleus)
    signal_zyx, structure_zyx = _structure(body, look["layers"], rng)
    edge_zyx = (body.cell_zyx & ~ndimage.binary_erosion(body.cell_zyx)).astype(np.float32)
    membrane_zyx = layers.blurred(edge_zyx, body.spacing_um_zyx) * _MEMBRANE_COUNTS
    signals = {"structure": signal_zyx, "dna": layers.fill(body, _DNA, rng)}
    signals |= {"membrane": membrane_zyx, "noise": np.zeros_like(signal_zyx)}
    volumes = {role: _camera(signal, rng) for role, signal in signals.items()}
    masks = {"nucleus": body.nucleus_zyx, "cell": body.cell_zyx, "structure": structure_zyx}
    volumes |= {f"{name}_mask": mask_zyx.astype(np.uint8) for name, mask_zyx in masks.items()}
    return Cell(volumes, tuple(map(float, spacing_um_zyx)))


def cut_through(cell: Cell) -> Cell:
    """Return the cell as if the crop ended within its nucleus, as at the border of a field of view."""
    columns = np.flatnonzero(cell.volumes["nucleus_mask"].any(axis=(0, 1)))
    first = columns[0] + max(1, len(columns) // 6)
    return cell._replace(volumes={role: volume[:, :, first:] for role, volume in cell.volumes.items()})


def without_masks(cell: Cell) -> Cell:
    """Return the cell with nothing segmented."""
    empty = {role: np.zeros_like(v) for role, v in cell.volumes.items() if role.endswith("_mask")}
    return cell._replace(volumes=cell.volumes | empty)


def _structure(
    body: Body, described: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the structure's counts above background, and its mask."""
    signal_zyx = np.zeros(body.level_zyx.shape, np.float32)
    mask_zyx = np.zeros(signal_zyx.shape, bool)
    for layer in described:
        if layer["layer"] == "pieces":
            pieces_zyx = layers.pieces(body, layer, rng)
            mask_zyx |= pieces_zyx
            signal_zyx += layers.blurred(pieces_zyx * np.float32(layer["counts"]), body.spacing_um_zyx)
        else:
            signal_zyx += getattr(layers, layer["layer"])(body, layer, rng)
    if mask_zyx.any() or not signal_zyx.any():
        return signal_zyx, mask_zyx
    return signal_zyx, (signal_zyx > signal_zyx.max() / 2) & body.cell_zyx


def _camera(signal_zyx: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the counts of a camera, with background and noise."""
    noise = rng.normal(size=signal_zyx.shape) * (_CAMERA_NOISE + _SHOT_NOISE * np.sqrt(signal_zyx))
    return (_BACKGROUND + signal_zyx + noise).round().clip(0, 65535).astype(np.uint16)
