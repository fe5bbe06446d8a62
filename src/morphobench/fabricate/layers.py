"""Layers of a fabricated cell: regions, spots and separate pieces, as the bucket's yaml describes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy import ndimage
from scipy.spatial.transform import Rotation

from morphobench.errors import InputError
from morphobench.fabricate.body import Body, lumpy_level, semi_axes_um

_HOLE_UM = 1.2
_BLUR_UM = 0.25
# Pieces that find no room are made smaller, a little each time.
_ATTEMPTS, _DRAWS, _SHRINK = 40, 300, 0.94
_CORNERS = np.ones((3, 3, 3))


def region(body: Body, levels: Sequence[float]) -> np.ndarray:
    """Return the voxels of the cell between two levels of its nucleus, bool; see `Body.level_zyx`."""
    return (body.level_zyx >= levels[0]) & (body.level_zyx < levels[1]) & body.cell_zyx


def fill(body: Body, layer: Mapping[str, Any], rng: Generator) -> np.ndarray:
    """Return a filled region with an optional texture and dark balls, counts above background, float32."""
    signal_zyx = region(body, layer["levels"]).astype(np.float32) * layer["counts"]
    if "texture_um" in layer:
        grain = rng.normal(size=signal_zyx.shape).astype(np.float32)
        grain = ndimage.gaussian_filter(grain, layer["texture_um"] / body.spacing_um_zyx)
        signal_zyx *= (1 + 0.5 * grain / grain.std()).clip(0.1, None)
    middles = np.flatnonzero(region(body, (0, 0.6)))
    for _ in range(_number(layer.get("holes", (0, 0)), rng)):
        hole_zyx = np.ones_like(signal_zyx)
        _add_spot(hole_zyx, -1, _place(body, middles, rng), _HOLE_UM, body)
        signal_zyx *= hole_zyx.clip(0, None)
    return blurred(signal_zyx, body.spacing_um_zyx)


def blurred(signal_zyx: np.ndarray, spacing_um_zyx: np.ndarray) -> np.ndarray:
    """Return a signal as a microscope blurs it."""
    return ndimage.gaussian_filter(signal_zyx, _BLUR_UM / spacing_um_zyx)


def spots(body: Body, layer: Mapping[str, Any], rng: Generator) -> np.ndarray:
    """Return round spots, counts above background, float32.

    Of spots that overlap, the brighter one counts: the brightest voxels, which are sampled by far most often,
    are the middles of all spots.
    """
    signal_zyx = np.zeros(body.level_zyx.shape, np.float32)
    allowed = _allowed(body, layer, rng)
    for _ in range(_number(layer["number"], rng)):
        one_zyx = np.zeros_like(signal_zyx)
        place, radius_um = _place(body, allowed, rng), rng.uniform(*layer["radius_um"])
        _add_spot(one_zyx, layer["counts"], place, radius_um, body)
        np.maximum(signal_zyx, one_zyx, out=signal_zyx)
    return signal_zyx


def pieces(body: Body, layer: Mapping[str, Any], rng: Generator) -> np.ndarray:
    """Return separate closed pieces, bool: they do not touch, not even at a corner.

    Raises
    ------
    InputError
        When the region has no room for so many pieces.
    """
    number, total_um3 = _number(layer["number"], rng), rng.uniform(*layer["volume_um3"])
    allowed = _allowed(body, layer, rng)
    within = body.nucleus_zyx if layer["levels"][1] <= 1 else body.cell_zyx & ~body.nucleus_zyx
    shares = rng.dirichlet(np.full(number, 12.0))
    for attempt in range(_ATTEMPTS):
        volumes_um3 = total_um3 * shares * _SHRINK**attempt
        pieces_zyx = _pieces_of(body, volumes_um3, allowed, layer, rng)
        if pieces_zyx is not None and ndimage.label(pieces_zyx & within, _CORNERS)[1] == number:
            return pieces_zyx & within
    fault = f"no room for {number} pieces of {total_um3:.0f} um3 at levels {layer['levels']}"
    raise InputError(f"{fault}. Make them fewer or smaller in the bucket's yaml.")


def _pieces_of(
    body: Body, volumes_um3: np.ndarray, allowed: np.ndarray, layer: Mapping[str, Any], rng: Generator
) -> np.ndarray | None:
    """Return pieces of these volumes, None when there is no room."""
    longer, lumps = layer.get("elongation", 1.0), layer.get("lumps", 0.1)
    axes_um = [semi_axes_um(volume, (longer**-0.5, longer**-0.5, longer)) for volume in volumes_um3]
    reaches_um = [axes.max() * (1 + lumps) for axes in axes_um]
    middles_um = _apart(body, allowed, reaches_um, rng)
    if middles_um is None:
        return None
    pieces_zyx = np.zeros(body.level_zyx.shape, bool)
    for middle, axes, reach in zip(middles_um, axes_um, reaches_um, strict=True):
        box, offsets_um = _window(body, middle, reach)
        rotation = Rotation.random(random_state=rng).as_matrix()
        pieces_zyx[box] |= lumpy_level(offsets_um, axes, rotation, lumps, rng) < 1
    return pieces_zyx


def _apart(
    body: Body, allowed: np.ndarray, reaches_um: Sequence[float], rng: Generator
) -> list[np.ndarray] | None:
    """Draw middles so that balls of these radii leave two voxels between them; None when there is no room."""
    gap_um = 2 * body.spacing_um_zyx.max()
    middles: list[np.ndarray] = []
    for reach in reaches_um:
        for _ in range(_DRAWS):
            place = _place(body, allowed, rng)
            others = zip(middles, reaches_um, strict=False)
            if all(np.linalg.norm(place - other) > reach + r + gap_um for other, r in others):
                middles.append(place)
                break
        else:
            return None
    return middles


def _allowed(body: Body, layer: Mapping[str, Any], rng: Generator) -> np.ndarray:
    """Return flat indices of the voxels where middles may lie."""
    here = region(body, layer["levels"])
    if "cone_degrees" in layer:
        axes = zip(np.indices(here.shape), here.shape, body.spacing_um_zyx, strict=True)
        offsets_um = [(index - (n - 1) / 2) * edge for index, n, edge in axes]
        angle = rng.uniform(0, 2 * np.pi)
        along = np.cos(angle) * offsets_um[2] + np.sin(angle) * offsets_um[1]
        distance = np.linalg.norm(offsets_um, axis=0)
        here &= along > np.cos(np.deg2rad(layer["cone_degrees"])) * distance
    allowed = np.flatnonzero(here)
    if not len(allowed):
        raise InputError(f"no voxel of the cell is at levels {layer['levels']}. Widen them.")
    return allowed


def _place(body: Body, allowed: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw the middle of one of the voxels, micrometres z, y, x from the corner of the crop."""
    index = np.unravel_index(allowed[rng.integers(len(allowed))], body.level_zyx.shape)
    return (np.array(index) + 0.5) * body.spacing_um_zyx


def _add_spot(
    volume_zyx: np.ndarray, counts: float, place_um: np.ndarray, radius_um: float, body: Body
) -> None:
    """Add a Gaussian whose half width at half its height is the radius."""
    box, offsets_um = _window(body, place_um, 2.5 * radius_um)
    volume_zyx[box] += counts * 0.5 ** ((offsets_um**2).sum(axis=-1) / radius_um**2)


def _window(body: Body, place_um: np.ndarray, reach_um: float) -> tuple[tuple[slice, ...], np.ndarray]:
    """Return the voxels about a place, and the offsets of their centres from it, shape (z, y, x, 3)."""
    edges_um = body.spacing_um_zyx
    first = np.maximum(np.floor((place_um - reach_um) / edges_um), 0).astype(int)
    last = np.minimum(np.ceil((place_um + reach_um) / edges_um) + 1, body.level_zyx.shape).astype(int)
    box = tuple(map(slice, first, last))
    return box, (np.stack(np.mgrid[box], axis=-1) + 0.5) * edges_um - place_um


def _number(bounds: Sequence[int], rng: Generator) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))
