"""Sinkhorn divergence on a GPU: Triton kernels that never write a distance to memory.

A step of the annealing reads points and potentials and computes distances and exponentials in registers, so
that arithmetic bounds it, not memory. Imported only where a GPU and Triton are. (No postponed annotations
here: Triton reads them.)
"""

import math

import torch
import triton
import triton.language as tl

_LOG2_E = tl.constexpr(math.log2(math.e))
_ROWS, _COLUMNS = 32, 128


@triton.jit
def _distances(a, b, rows, columns, inside, known, WIDE: tl.constexpr):
    """Return differences along x, y, z and distances of points of shape (n, 3 or, if WIDE, 4)."""
    width: tl.constexpr = 4 if WIDE else 3
    own, other = a + rows * width, b + columns * width
    dx = tl.load(own, inside, 0.0)[:, None] - tl.load(other, known, 0.0)[None, :]
    dy = tl.load(own + 1, inside, 0.0)[:, None] - tl.load(other + 1, known, 0.0)[None, :]
    dz = tl.load(own + 2, inside, 0.0)[:, None] - tl.load(other + 2, known, 0.0)[None, :]
    squares = dx * dx + dy * dy + dz * dz
    dw = dx
    if WIDE:
        dw = tl.load(own + 3, inside, 0.0)[:, None] - tl.load(other + 3, known, 0.0)[None, :]
        squares += dw * dw
    return dx, dy, dz, dw, tl.sqrt(squares)


@triton.jit
def _soft_least(
    a, b, potential, scales, out, n, m, WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Write -scale log mean_j exp((potential_j - |a_i - b_j|) / scale) for a block of rows of one sample."""
    sample = tl.program_id(1).to(tl.int64)
    width: tl.constexpr = 4 if WIDE else 3
    a += sample * n * width
    b += sample * m * width
    potential += sample * m
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = rows < n
    scale = tl.load(scales + sample)
    largest = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(0, m, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        known = columns < m
        _, _, _, _, distances = _distances(a, b, rows, columns, inside, known, WIDE)
        exponents = (tl.load(potential + columns, known, 0.0)[None, :] - distances) * (_LOG2_E / scale)
        exponents = tl.where(known[None, :], exponents, float("-inf"))
        # The running maximum of this row: no exponential overflows, however far the potentials are off.
        larger = tl.maximum(largest, tl.max(exponents, 1))
        total = total * tl.exp2(largest - larger) + tl.sum(tl.exp2(exponents - larger[:, None]), 1)
        largest = larger
    mean = (largest + tl.log2(total / m)) / _LOG2_E
    tl.store(out + sample * n + rows, -scale * mean, inside)


@triton.jit
def _mean_pull(
    a, b, last, potential, scales, out, n, m, WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Write the gradient of the sum of `last` by the points of a, for a block of rows of one sample."""
    sample = tl.program_id(1).to(tl.int64)
    width: tl.constexpr = 4 if WIDE else 3
    a += sample * n * width
    b += sample * m * width
    potential += sample * m
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = rows < n
    factor = _LOG2_E / tl.load(scales + sample)
    own = tl.load(last + sample * n + rows, inside, 0.0)
    x = tl.zeros((ROWS,), tl.float32)
    y = tl.zeros((ROWS,), tl.float32)
    z = tl.zeros((ROWS,), tl.float32)
    w = tl.zeros((ROWS,), tl.float32)
    for start in range(0, m, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        known = columns < m
        dx, dy, dz, dw, distances = _distances(a, b, rows, columns, inside, known, WIDE)
        exponents = (tl.load(potential + columns, known, 0.0)[None, :] - distances + own[:, None]) * factor
        # Equal points pull nowhere.
        apart = known[None, :] & (distances > 0)
        share = tl.where(apart, tl.exp2(exponents) / tl.where(apart, distances, 1.0), 0.0)
        x += tl.sum(share * dx, 1)
        y += tl.sum(share * dy, 1)
        z += tl.sum(share * dz, 1)
        if WIDE:
            w += tl.sum(share * dw, 1)
    out += sample * n * width + rows * width
    tl.store(out, x / m, inside)
    tl.store(out + 1, y / m, inside)
    tl.store(out + 2, z / m, inside)
    if WIDE:
        tl.store(out + 3, w / m, inside)


def _launch(
    kernel: triton.JITFunction, a: torch.Tensor, b: torch.Tensor, *rest: torch.Tensor
) -> torch.Tensor:
    (batch, n, width), m = a.shape, b.shape[1]
    sizes = {"WIDE": width == 4, "ROWS": _ROWS, "COLUMNS": _COLUMNS}
    with torch.cuda.device_of(a):
        kernel[triton.cdiv(n, _ROWS), batch](a, b, *rest, n, m, **sizes, num_warps=4)
    return rest[-1]


@torch.no_grad()
def divergence(
    a: torch.Tensor, b: torch.Tensor, schedules: list[list[float]], need_gradient: tuple[bool, bool]
) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """Return the debiased Sinkhorn divergences (batch,) of clouds, and their gradients by a and b, or None.

    Clouds have shape (batch, n_points, 3 or 4), float32, contiguous, on one GPU. A schedule is a sample's
    entropic scales, falling to the blur; samples may have unequally many. Gradients as in `sinkhorn`.
    """
    n_steps = max(map(len, schedules))
    # A sample with fewer steps waits at its first scale.
    waits = [n_steps - len(schedule) for schedule in schedules]
    padded = [[schedule[0]] * wait + schedule for schedule, wait in zip(schedules, waits, strict=True)]
    scales = torch.tensor(padded, dtype=torch.float32).T.contiguous().to(a.device)
    begun = torch.tensor(waits).to(a.device).unsqueeze(1) <= torch.arange(n_steps, device=a.device)
    # Potentials on a and b against the other cloud, then against their own; and the index of their partner.
    sides, partners = ((a, b), (b, a), (a, a), (b, b)), (1, 0, 2, 3)

    def stepped(potentials: list[torch.Tensor], scale: torch.Tensor) -> list[torch.Tensor]:
        pairs = zip(sides, partners, strict=True)
        rows = ((a, b, potentials[partner], scale, a.new_empty(a.shape[:2])) for (a, b), partner in pairs)
        return [_launch(_soft_least, *row) for row in rows]

    potentials = stepped([own.new_zeros(own.shape[:2]) for own, _ in sides], scales[0])
    for scale, active in zip(scales, begun.T.unsqueeze(-1), strict=True):
        pairs = zip(potentials, stepped(potentials, scale), strict=True)
        potentials = [torch.where(active, (before + after) / 2, before) for before, after in pairs]
    last = stepped(potentials, scales[-1])
    values = (last[0] - last[2]).mean(1) + (last[1] - last[3]).mean(1)

    def pulled(i: int) -> torch.Tensor:
        rest = (last[i], potentials[partners[i]], scales[-1], torch.empty_like(sides[i][0]))
        return _launch(_mean_pull, *sides[i], *rest)

    differences = [pulled(i) - pulled(i + 2) if needed else None for i, needed in enumerate(need_gradient)]
    return values, [None if x is None else x / x.shape[1] for x in differences]
