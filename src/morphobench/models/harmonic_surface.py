"""Spherical-harmonic surface: an autoencoder without weights, for volumes of signed distances."""

from functools import cache
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from morphobench.geometry.harmonics import real_harmonics, sphere_nodes
from morphobench.models.base import Autoencoder, Embedding
from morphobench.models.inputs import check_batch

# Nodes along z beyond those that the largest degree needs, for what a surface has of higher ones.
_MORE_NODES = 9
# Steps of a ray per voxel, and of the grid of directions on which radii are decoded, along each half circle.
_STEPS = 2
_N_POLAR = 91
_TINY = 1e-6


class HarmonicSurface(Autoencoder):
    """Radius of the surface about its centre of mass, in real spherical harmonics up to `degree`.

    The embedding holds the coefficients in the frame of the principal axes, voxels, then the centre in that
    frame. In each direction the radius is that of the sector with the volume that the shape has along the
    ray: the surface itself where it is star-shaped, a projection of the same volume elsewhere. So folds,
    holes and pieces are lost.

    The pose are the principal axes of the volume, longest first, the first two towards the longer tail.

    Parameters
    ----------
    size
        Edge of the volumes, odd; the origin is the middle voxel. Distances are in voxels.
    degree
        Largest degree.

    Notes
    -----
    Source: SPHARM, Brechbuehler et al. 1995, of which this is the radial form, aligned by moments instead of
    the first-order ellipsoid.
    """

    representations: ClassVar[tuple[str, ...]] = ("sdf",)

    def __init__(self, *, size: int, degree: int = 12) -> None:
        super().__init__()
        self.size, self.degree = size, degree
        self.latent_dim = (degree + 1) ** 2 + 3

    def infer(self, x: torch.Tensor) -> Embedding:
        """Encode signed distances (batch, 1, s, s, s), see `Autoencoder.infer`."""
        check_batch(x, "volumes", ("batch", 1, *[self.size] * 3), "; set architecture.size")
        occupancy = (0.5 - x).clamp(0, 1)
        centre, pose = _principal_frame(occupancy[:, 0], self._grid(x))
        unit, expand = (part.to(x) for part in _encoder_nodes(self.degree))
        radius = self._radii(occupancy, centre, unit @ pose.transpose(1, 2))
        return Embedding(torch.cat([radius @ expand, _rotate_back(centre[:, None], pose)[:, 0]], dim=1), pose)

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        """Decode radii into distances along rays, (batch, 1, s, s, s), see `Autoencoder.decode`."""
        coefficients, centre = z[:, :-3], z[:, -3:]
        points = self._grid(z).reshape(1, -1, 3).expand(len(z), -1, 3)
        points = points if pose is None else _rotate_back(points, pose)
        points = points - centre[:, None]
        distance = points.norm(dim=-1)
        radius = _radius_at(coefficients @ _decoder_harmonics(self.degree).to(z), points, distance)
        return (distance - radius).reshape(len(z), 1, *[self.size] * 3)

    def _grid(self, like: torch.Tensor) -> torch.Tensor:
        """Return the voxels as x, y, z from the middle, shape (s, s, s, 3)."""
        steps = torch.arange(self.size, device=like.device, dtype=like.dtype) - self.size // 2
        return torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")[::-1], dim=-1)

    def _radii(self, occupancy: torch.Tensor, centre: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        """Return the radius of the sector of the same volume along each ray, shape (batch, n)."""
        n_steps = int(np.ceil(_STEPS * self.size * np.sqrt(3) / 2))
        ends = torch.arange(n_steps + 1, device=unit.device, dtype=unit.dtype) / _STEPS
        middles = (ends[1:] + ends[:-1]) / 2
        points = centre[:, None, None] + unit[:, :, None] * middles[:, None]
        # The grid of `grid_sample` goes from -1 to 1 between the middles of the first and the last voxel.
        places = (points / (self.size // 2))[:, None]
        inside = F.grid_sample(occupancy, places, align_corners=True)[:, 0, 0]
        cubes = ends[1:] ** 3 - ends[:-1] ** 3
        return (inside @ cubes).clamp_min(0) ** (1 / 3)


def _rotate_back(points: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Rotate points (batch, n, 3) by the inverse of the poses (batch, 3, 3)."""
    return points @ pose


def _principal_frame(weights: torch.Tensor, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return centre of mass (batch, 3) and principal axes (batch, 3, 3), x = R x_canonical."""
    flat, points = weights.flatten(1).double(), grid.reshape(-1, 3).double()
    flat = flat / flat.sum(dim=1, keepdim=True).clamp_min(_TINY)
    centre = flat @ points
    centred = points - centre[:, None]
    _, axes = torch.linalg.eigh(torch.einsum("bn,bni,bnj->bij", flat, centred, centred))
    axes = axes.flip(-1)
    skewness = torch.einsum("bn,bni->bi", flat, (centred @ axes) ** 3)
    axes = axes * torch.where(skewness < 0, -1.0, 1.0)[:, None]
    third = torch.linalg.cross(axes[..., 0], axes[..., 1])
    return centre.to(weights), torch.stack([axes[..., 0], axes[..., 1], third], dim=-1).to(weights)


@cache
def _encoder_nodes(degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return directions (n, 3), and the matrix (n, (degree + 1)^2) from values there to coefficients."""
    unit, weights = sphere_nodes(degree + _MORE_NODES)
    expand = real_harmonics(unit, np.ones(len(unit)), degree) * weights
    return torch.from_numpy(unit), torch.from_numpy(expand.T.copy())


@cache
def _decoder_harmonics(degree: int) -> torch.Tensor:
    """Return harmonics on a grid of directions, polar angle by azimuth, ((degree + 1)^2, n)."""
    polar, azimuth = np.linspace(0, np.pi, _N_POLAR), np.linspace(-np.pi, np.pi, 2 * _N_POLAR - 1)
    polar, azimuth = (part.ravel() for part in np.meshgrid(polar, azimuth, indexing="ij"))
    flat = np.sin(polar)
    unit = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.cos(polar)], axis=-1)
    return torch.from_numpy(real_harmonics(unit, np.ones(len(unit)), degree))


def _radius_at(radii: torch.Tensor, points: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
    """Interpolate radii on the grid of directions at those of points (batch, n, 3), shape (batch, n)."""
    polar = torch.arccos((points[..., 2] / distance.clamp_min(_TINY)).clamp(-1, 1))
    azimuth = torch.atan2(points[..., 1], points[..., 0])
    places = torch.stack([azimuth / np.pi, polar * (2 / np.pi) - 1], dim=-1)[:, None]
    pictures = radii.reshape(len(radii), 1, _N_POLAR, 2 * _N_POLAR - 1)
    return F.grid_sample(pictures, places, align_corners=True)[:, 0, 0]
