"""Reconstruction losses: one number per sample, whatever else is in its batch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from morphobench.errors import InputError


def chamfer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the Chamfer distance: mean distance from a to the nearest of b, plus the same from b to a.

    Distances are Euclidean, not squared, and averaged, so the value is a length that does not grow with the
    number of points. (The published loss sums squared distances.)

    Parameters
    ----------
    a, b
        Shape (batch, n_points, dim), any unit; numbers of points may differ.

    Returns
    -------
    torch.Tensor
        Shape (batch,), in the unit of the points.

    Raises
    ------
    InputError
        When the shapes do not fit.
    """
    _check_clouds(a, b)
    # Only who is nearest needs all pairs; the gradient runs through the nearest pairs alone.
    with torch.no_grad():
        pairwise = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
        nearest_in_b, nearest_in_a = pairwise.argmin(dim=2), pairwise.argmin(dim=1)
    return _mean_distance(a, b, nearest_in_b) + _mean_distance(b, a, nearest_in_a)


def _mean_distance(source: torch.Tensor, target: torch.Tensor, nearest: torch.Tensor) -> torch.Tensor:
    matched = target.gather(1, nearest.unsqueeze(-1).expand(-1, -1, target.shape[-1]))
    return torch.linalg.vector_norm(source - matched, dim=-1).mean(dim=1)


def sinkhorn(a: torch.Tensor, b: torch.Tensor, *, blur: float, scaling: float) -> torch.Tensor:
    """Return the debiased Sinkhorn divergence (Feydy et al. 2019, geomloss) of uniformly weighted points.

    An approximation of the earth mover's distance with Euclidean cost (p = 1), zero for equal clouds. Every
    sample is annealed from the diameter of its own bounding box (both clouds), so its loss does not depend on
    the batch; one pair of clouds at a time, which also bounds memory by a few n_points^2.

    Parameters
    ----------
    a, b
        Shape (batch, n_points, dim), any unit; numbers of points may differ.
    blur
        Entropic scale, in the unit of the points (published 0.01).
    scaling
        Ratio of successive annealing scales, between 0 and 1 (published 0.5); nearer to 1 is slower, better.

    Returns
    -------
    torch.Tensor
        Shape (batch,), in the unit of the points.

    Raises
    ------
    InputError
        When the shapes do not fit, or `blur` or `scaling` is out of range.
    """
    _check_clouds(a, b)
    if not (blur > 0 and 0 < scaling < 1):
        raise InputError(
            f"The sinkhorn loss got blur = {blur}, scaling = {scaling}. Give blur > 0 and 0 < scaling < 1."
        )
    wanted = torch.is_grad_enabled()
    # geomloss leaves autograd switched on behind it: the guard switches it back, detaching spares the graph.
    with torch.set_grad_enabled(wanted):
        pairs = zip(a, b, strict=True) if wanted else zip(a.detach(), b.detach(), strict=True)
        return torch.cat([_sinkhorn_pair(*pair, blur=blur, scaling=scaling) for pair in pairs])


def _sinkhorn_pair(a: torch.Tensor, b: torch.Tensor, *, blur: float, scaling: float) -> torch.Tensor:
    from geomloss import SamplesLoss

    both = torch.cat((a, b)).detach()
    diameter = torch.linalg.vector_norm(both.amax(0) - both.amin(0)).item()
    loss = SamplesLoss(
        "sinkhorn",
        p=1,
        blur=blur,
        scaling=scaling,
        debias=True,
        diameter=max(diameter, blur),
        cost=_distances,
        backend="tensorized",
    )
    return loss(a.unsqueeze(0), b.unsqueeze(0))


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def mse(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference over all voxels of a sample.

    Parameters
    ----------
    a, b
        Shape (batch, ...), the same for both.

    Returns
    -------
    torch.Tensor
        Shape (batch,), in squared units of the values.

    Raises
    ------
    InputError
        When the shapes differ.
    """
    if a.shape != b.shape:
        raise InputError(
            f"The mse loss got shapes {tuple(a.shape)} and {tuple(b.shape)}, which must be equal. "
            "Check that model and data are configured for the same cube size."
        )
    return (a - b).square().flatten(1).mean(dim=1)


def _check_clouds(a: torch.Tensor, b: torch.Tensor) -> None:
    fits = a.ndim == b.ndim == 3 and len(a) == len(b) > 0 and a.shape[2] == b.shape[2]
    if not fits or 0 in (a.shape[1], b.shape[1]):
        raise InputError(
            f"A point-cloud loss got shapes {tuple(a.shape)} and {tuple(b.shape)} but needs two of "
            "(batch, n_points, dim) with equal batch and dim and at least one point. "
            "Choose loss 'mse' for cubes, or check the sampled data."
        )


LOSSES: dict[str, Callable[..., torch.Tensor]] = {"chamfer": chamfer, "sinkhorn": sinkhorn, "mse": mse}
