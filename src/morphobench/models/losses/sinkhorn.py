"""Debiased Sinkhorn divergence of point clouds, with its gradient."""

import math
from collections.abc import Iterator
from typing import NamedTuple, Self

import torch

from morphobench.errors import InputError
from morphobench.models import kernels
from morphobench.models.losses.pairs import comparable, pair_distances, rows_per_block

# Sums of exponentials beyond this, or its inverse, have lost digits to the clamp or to overflow.
_LEAST_SUM = 1e-25


def sinkhorn(a: torch.Tensor, b: torch.Tensor, *, blur: float, scaling: float) -> torch.Tensor:
    """Return the debiased Sinkhorn divergence (Feydy et al. 2019, geomloss) of uniformly weighted points.

    An approximation of the earth mover's distance with Euclidean cost (p = 1), zero for equal clouds; for
    clouds (batch, n_points, dim), in their unit, shape (batch,); numbers of points may differ. `blur` is the
    entropic scale in that unit (published 0.01), `scaling` the ratio of successive annealing scales
    (published 0.5; nearer to 1 is slower, better).

    Every sample is annealed from the diameter of its own bounding box (both clouds), so its loss does not
    depend on the batch; one pair of clouds at a time, which bounds memory by about n_points^2. The gradient
    is that of the last dual step with the potentials before it held fixed (the convention of geomloss), once
    differentiable. NaN for clouds with NaN or infinite coordinates.

    Raises
    ------
    InputError
        When the shapes do not fit, or `blur` or `scaling` is out of range.
    """
    a, b = comparable(a, b)
    if not (blur > 0 and 0 < scaling < 1):
        raise InputError(f"sinkhorn: blur = {blur}, scaling = {scaling}. Give blur > 0, 0 < scaling < 1.")
    if a.shape[2] in (3, 4) and kernels.fits(a):
        return _fused(a, b, blur=blur, scaling=scaling)
    return torch.stack([_sinkhorn_pair(*pair, blur=blur, scaling=scaling) for pair in zip(a, b, strict=True)])


def _fused(a: torch.Tensor, b: torch.Tensor, *, blur: float, scaling: float) -> torch.Tensor:
    from morphobench.models.losses import fused_sinkhorn

    both = torch.cat((a.detach(), b.detach()), dim=1)
    diameters = torch.linalg.vector_norm(both.amax(1) - both.amin(1), dim=-1).tolist()
    finite = [diameter if math.isfinite(diameter) else blur for diameter in diameters]
    schedules = [_annealing(diameter, blur, scaling) for diameter in finite]
    need_gradient = tuple(torch.is_grad_enabled() and cloud.requires_grad for cloud in (a, b))
    clouds = (a.detach().contiguous(), b.detach().contiguous())
    value, gradients = fused_sinkhorn.divergence(*clouds, schedules, need_gradient)
    for points, gradient in zip((a, b), gradients, strict=True):
        if gradient is not None:
            # The term added is exactly zero; only its derivative is not.
            value = value + (gradient * (points - points.detach())).flatten(1).sum(1)
    return value * value.new_tensor([1.0 if math.isfinite(diameter) else math.nan for diameter in diameters])


def _sinkhorn_pair(a: torch.Tensor, b: torch.Tensor, *, blur: float, scaling: float) -> torch.Tensor:
    fixed_a, fixed_b = a.detach(), b.detach()
    both = torch.cat((fixed_a, fixed_b))
    diameter = torch.linalg.vector_norm(both.amax(0) - both.amin(0)).item()
    if not math.isfinite(diameter):
        return (a.sum() + b.sum()) * math.nan
    scales = _annealing(diameter, blur, scaling)
    pairs = ((fixed_a, fixed_b), (fixed_a, fixed_a), (fixed_b, fixed_b))
    across, within_a, within_b = (_Potentials.solve(*pair, scales) for pair in pairs)
    value = (across.last_f - within_a.last_f).mean() + (across.last_g - within_b.last_f).mean()
    sides = ((a, fixed_b, across.last_f, across.g, within_a), (b, fixed_a, across.last_g, across.f, within_b))
    for points, others, last, potential, within in sides:
        if points.requires_grad and torch.is_grad_enabled():
            own = points.detach()
            pull = _pull(own, others, last, potential, blur) - _pull(own, own, within.last_f, within.f, blur)
            # The term added is exactly zero; only its derivative is not.
            value = value + (pull / len(own) * (points - own)).sum()
    return value


def _annealing(diameter: float, blur: float, scaling: float) -> list[float]:
    """Return the entropic scales from the diameter of both clouds down to the blur, as geomloss for p = 1."""
    diameter = max(diameter, blur)
    n_steps = math.ceil(math.log(blur / diameter) / math.log(scaling))
    return [diameter, *(diameter * scaling**step for step in range(n_steps)), blur]


class _Costs(NamedTuple):
    """Distances in blocks of rows that fit the cache; within one cloud only from the diagonal rightwards."""

    blocks: list[torch.Tensor]
    symmetric: bool

    @classmethod
    def between(cls, a: torch.Tensor, b: torch.Tensor) -> Self:
        symmetric, rows = a is b, rows_per_block(len(b), b.device)
        starts = range(0, len(a), rows)
        blocks = [pair_distances(a[i : i + rows], b[i if symmetric else 0 :]) for i in starts]
        return cls(blocks, symmetric)

    def parts(self) -> Iterator[tuple[slice, slice, slice, torch.Tensor]]:
        """Yield rows, columns, the columns that no other part holds as rows, and the distances."""
        start = 0
        for block in self.blocks:
            stop, first = start + len(block), start if self.symmetric else 0
            yield slice(start, stop), slice(first, None), slice(stop if self.symmetric else 0, None), block
            start = stop


def _plan(f: torch.Tensor, g: torch.Tensor, distances: torch.Tensor, scale: float) -> torch.Tensor:
    """Return exp((f_i + g_j - C_ij) / scale)."""
    exponents = torch.sub(g / scale, distances, alpha=1 / scale).add_((f / scale).unsqueeze(1))
    # Clamped above the subnormal numbers, which processors handle many times slower.
    return exponents.clamp_(min=-80.0).exp_()


def _dual_step(
    costs: _Costs, f: torch.Tensor, g: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -scale log mean_j exp((g_j - C_ij) / scale) and the same of f over i.

    Both follow from the means over rows and columns of one matrix exp((f_i + g_j - C_ij) / scale), with half
    of the exponentials; within one cloud, where f = g, symmetry spares half again.
    """
    row_sums = torch.zeros_like(f)
    column_sums = row_sums if costs.symmetric else torch.zeros_like(g)
    for rows, columns, mirrored, block in costs.parts():
        plan = _plan(f[rows], g[columns], block, scale)
        row_sums[rows] += plan.sum(1)
        column_sums[mirrored] += plan[:, mirrored.start - columns.start :].sum(0)
    extremes = torch.stack((*row_sums.aminmax(), *column_sums.aminmax())).tolist()
    if not (min(extremes) > _LEAST_SUM and max(extremes) < 1 / _LEAST_SUM):
        return _exact_dual_step(costs, f, g, scale)
    return f - scale * (row_sums / len(g)).log(), g - scale * (column_sums / len(f)).log()


def _exact_dual_step(
    costs: _Costs, f: torch.Tensor, g: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `_dual_step` without overflow for any potentials: two logarithmic sums with their maxima."""
    row_sums = torch.full_like(f, -math.inf)
    column_sums = row_sums if costs.symmetric else torch.full_like(g, -math.inf)
    for rows, columns, mirrored, block in costs.parts():
        of_rows = torch.logsumexp((g[columns] - block) / scale, dim=1)
        row_sums[rows] = torch.logaddexp(row_sums[rows], of_rows)
        beyond = block[:, mirrored.start - columns.start :]
        of_columns = torch.logsumexp((f[rows].unsqueeze(1) - beyond) / scale, dim=0)
        column_sums[mirrored] = torch.logaddexp(column_sums[mirrored], of_columns)
    return scale * (math.log(len(g)) - row_sums), scale * (math.log(len(f)) - column_sums)


class _Potentials(NamedTuple):
    """Dual potentials before (f, g) and after (last_f, last_g) the last step."""

    f: torch.Tensor
    g: torch.Tensor
    last_f: torch.Tensor
    last_g: torch.Tensor

    @classmethod
    def solve(cls, a: torch.Tensor, b: torch.Tensor, scales: list[float]) -> Self:
        """Anneal: a full step at the first scale, averaged steps at every scale, a full one at the last."""
        costs = _Costs.between(a, b)
        f, g = _dual_step(costs, a.new_zeros(len(a)), b.new_zeros(len(b)), scales[0])
        for scale in scales:
            next_f, next_g = _dual_step(costs, f, g, scale)
            f, g = (f + next_f) / 2, (g + next_g) / 2
        return cls(f, g, *_dual_step(costs, f, g, scales[-1]))


def _pull(
    points: torch.Tensor, others: torch.Tensor, last: torch.Tensor, potential: torch.Tensor, scale: float
) -> torch.Tensor:
    """Return the gradient of the sum of `last` by `points`: the mean direction away from received mass."""
    pulls = torch.empty_like(points)
    tiny = torch.finfo(points.dtype).tiny ** 0.5
    n_rows = rows_per_block(len(others), points.device)
    for start in range(0, len(points), n_rows):
        part = slice(start, start + n_rows)
        distances = pair_distances(points[part], others)
        # Divided by the distance it is the weight of a difference; equal points pull nowhere.
        share = _plan(last[part], potential, distances, scale).div_(distances.clamp_(min=tiny))
        for axis in range(points.shape[1]):
            pulls[part, axis] = (points[part, axis, None] - others[:, axis]).mul_(share).sum(1)
    return pulls / len(others)
