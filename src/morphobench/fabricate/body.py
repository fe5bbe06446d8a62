"""The body of a fabricated cell: a nucleus within a cell, both lumpy ellipsoids rotated about z."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

# Margin of a crop around its cell, and how far outlines stray from ellipsoids.
_MARGIN_UM = 1.0
_LUMPS = 0.08
_N_WAVES = 4
_WAVE = 3.0


class Body(NamedTuple):
    """Where each voxel of a crop lies in its cell.

    Attributes
    ----------
    spacing_um_zyx
        Edges of a voxel along z, y, x, micrometres, shape (3,).
    level_zyx, outer_zyx
        Distance from the middle of the nucleus, or of the cell, as a share of its radius in that direction:
        0 to 1 within, more outside; float32.
    """

    spacing_um_zyx: np.ndarray
    level_zyx: np.ndarray
    outer_zyx: np.ndarray

    @property
    def nucleus_zyx(self) -> np.ndarray:
        """The nucleus, bool, shape (z, y, x)."""
        return self.level_zyx < 1

    @property
    def cell_zyx(self) -> np.ndarray:
        """The cell with its nucleus, bool, shape (z, y, x)."""
        return self.outer_zyx < 1


def make_body(
    volume_um3: float,
    spacing_um_zyx: Sequence[float],
    rng: Generator,
    *,
    proportions_zyx: Sequence[float],
    cell_scale_zyx: Sequence[float],
) -> Body:
    """Make a cell around a nucleus, rotated by a random angle about z, in a crop with a margin.

    Parameters
    ----------
    volume_um3
        Of the nucleus, before its lumps, cubic micrometres.
    spacing_um_zyx
        Edges of a voxel, micrometres.
    rng
        Source of randomness.
    proportions_zyx
        Semi-axes of the nucleus relative to each other: thickness, width, length.
    cell_scale_zyx
        Semi-axes of the cell relative to those of the nucleus.
    """
    spacing = np.asarray(spacing_um_zyx, dtype=float)
    semi_axes = semi_axes_um(volume_um3, proportions_zyx)
    outer_axes = semi_axes * cell_scale_zyx
    angle, rotation = rng.uniform(0, np.pi), np.eye(3)
    rotation[1:, 1:] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    reach_um = np.linalg.norm(rotation.T * outer_axes, axis=1) * (1 + _LUMPS) + _MARGIN_UM
    half = np.ceil(reach_um / spacing).astype(int)
    offsets_um = [(np.arange(2 * n + 1) - n) * edge for n, edge in zip(half, spacing, strict=True)]
    grid_um = np.stack(np.meshgrid(*offsets_um, indexing="ij"), axis=-1)
    levels = [lumpy_level(grid_um, axes, rotation, _LUMPS, rng) for axes in (semi_axes, outer_axes)]
    # The cell holds its nucleus wherever their lumps would cross.
    return Body(spacing, levels[0], np.minimum(levels[1], levels[0]))


def semi_axes_um(volume_um3: float, proportions: Sequence[float]) -> np.ndarray:
    """Return the semi-axes of an ellipsoid of a volume, micrometres, in the given proportions."""
    proportions = np.asarray(proportions, dtype=float)
    return proportions * (volume_um3 / (4 / 3 * np.pi * proportions.prod())) ** (1 / 3)


def lumpy_level(
    offsets_um: np.ndarray, semi_axes: np.ndarray, rotation: np.ndarray, lumps: float, rng: Generator
) -> np.ndarray:
    """Return distances from the middle of a lumpy ellipsoid as shares of its radius; float32, shape (...).

    Parameters
    ----------
    offsets_um
        Places relative to the middle, z, y, x, shape (..., 3).
    semi_axes
        Micrometres, shape (3,).
    rotation
        From the ellipsoid's axes to z, y, x, shape (3, 3).
    lumps
        Largest relative difference of a radius from the ellipsoid's: sums of waves over the directions, so
        the shape stays in one piece.
    rng
        Source of randomness.
    """
    scaled = (offsets_um @ rotation / semi_axes).astype(np.float32)
    level = np.linalg.norm(scaled, axis=-1)
    direction = scaled / np.maximum(level, np.float32(1e-6))[..., None]
    waves = rng.normal(0, _WAVE / np.sqrt(3), (_N_WAVES, 3)).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, _N_WAVES).astype(np.float32)
    bumps = np.cos(direction @ waves.T + phases).mean(axis=-1)
    return level / (1 + np.float32(lumps) * bumps)
