"""Vector-neuron layers on a GPU: Triton kernels that keep rectifiers, edges and distances in registers.

Each reads its input once and writes its output once, so that the matrix products between them bound a step,
not memory. Features have shape (batch, 3 xyz, n_points, channels). Imported only where a GPU and Triton are.
(No postponed annotations here: Triton reads them.)
"""

import torch
import triton
import triton.language as tl

_TINY = tl.constexpr(1e-12)
# Points and channels of a block, and points whose sums one program adds up.
_POINTS, _CHANNELS, _SLAB = 16, 64, 256


@triton.jit
def _features(constant, local, sample, axis, rows, columns, known, n, m, c):
    """Return a component of features: the first m channels are the same for all points of a sample."""
    of_constant = (columns < m)[None, :] & known
    of_local = (columns >= m)[None, :] & known
    plane = sample * 3 + axis
    first = tl.load(constant + plane * m + columns[None, :] + 0 * rows[:, None], of_constant, 0.0)
    other = tl.load(local + (plane * n + rows)[:, None] * c + (columns - m)[None, :], of_local, 0.0)
    return first.to(tl.float32) + other.to(tl.float32)


@triton.jit
def _directions(directions, shift, plane, rows, columns, known, n, width):
    """Return a component of directions (batch * 3, n, width) plus shift (batch * 3, width)."""
    at = (plane * n + rows)[:, None] * width + columns[None, :]
    own = tl.load(directions + at, known, 0.0).to(tl.float32)
    return own + tl.load(shift + plane * width + columns[None, :] + 0 * rows[:, None], known, 0.0).to(
        tl.float32
    )


@triton.jit
def _rectify(
    constant, local, directions, shift, out, n, m, c, bend, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """Write features + share * directions for a block of points and channels of a sample."""
    sample = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    known = (rows < n)[:, None] & (columns < m + c)[None, :]
    x0 = _features(constant, local, sample, 0, rows, columns, known, n, m, c)
    x1 = _features(constant, local, sample, 1, rows, columns, known, n, m, c)
    x2 = _features(constant, local, sample, 2, rows, columns, known, n, m, c)
    d0 = _directions(directions, shift, sample * 3, rows, columns, known, n, m + c)
    d1 = _directions(directions, shift, sample * 3 + 1, rows, columns, known, n, m + c)
    d2 = _directions(directions, shift, sample * 3 + 2, rows, columns, known, n, m + c)
    against = tl.minimum(x0 * d0 + x1 * d1 + x2 * d2, 0.0)
    share = bend * against / (d0 * d0 + d1 * d1 + d2 * d2 + _TINY)
    at = (sample * 3 * n + rows)[:, None] * (m + c) + columns[None, :]
    step = n * (m + c)
    tl.store(out + at, x0 + share * d0, known)
    tl.store(out + at + step, x1 + share * d1, known)
    tl.store(out + at + 2 * step, x2 + share * d2, known)


@triton.jit
def _rectify_back(
    constant, local, directions, shift, gradient, of_constant, of_local, of_directions, of_shift,
    n, m, c, bend, by_sample, by_axis, by_row,
    SLAB: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of a slab of points: of what all points share, the sum over the slab."""
    sample, slab = tl.program_id(2).to(tl.int64), tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    sum0 = tl.zeros((COLUMNS,), tl.float32)
    sum1 = tl.zeros((COLUMNS,), tl.float32)
    sum2 = tl.zeros((COLUMNS,), tl.float32)
    shift0 = tl.zeros((COLUMNS,), tl.float32)
    shift1 = tl.zeros((COLUMNS,), tl.float32)
    shift2 = tl.zeros((COLUMNS,), tl.float32)
    for start in range(0, SLAB, ROWS):
        rows = slab * SLAB + start + tl.arange(0, ROWS)
        known = (rows < n)[:, None] & (columns < m + c)[None, :]
        x0 = _features(constant, local, sample, 0, rows, columns, known, n, m, c)
        x1 = _features(constant, local, sample, 1, rows, columns, known, n, m, c)
        x2 = _features(constant, local, sample, 2, rows, columns, known, n, m, c)
        d0 = _directions(directions, shift, sample * 3, rows, columns, known, n, m + c)
        d1 = _directions(directions, shift, sample * 3 + 1, rows, columns, known, n, m + c)
        d2 = _directions(directions, shift, sample * 3 + 2, rows, columns, known, n, m + c)
        of = gradient + sample * by_sample + rows[:, None] * by_row + columns[None, :]
        g0 = tl.load(of, known, 0.0).to(tl.float32)
        g1 = tl.load(of + by_axis, known, 0.0).to(tl.float32)
        g2 = tl.load(of + 2 * by_axis, known, 0.0).to(tl.float32)
        length = d0 * d0 + d1 * d1 + d2 * d2 + _TINY
        product = x0 * d0 + x1 * d1 + x2 * d2
        share = bend * tl.minimum(product, 0.0) / length
        of_share = (g0 * d0 + g1 * d1 + g2 * d2) / length
        of_product = tl.where(product < 0, bend * of_share, 0.0)
        # From the length in the denominator.
        along = 2 * share * of_share
        into = (sample * 3 * n + rows)[:, None] * (m + c) + columns[None, :]
        step = n * (m + c)
        r0 = share * g0 + of_product * x0 - along * d0
        r1 = share * g1 + of_product * x1 - along * d1
        r2 = share * g2 + of_product * x2 - along * d2
        tl.store(of_directions + into, r0, known)
        tl.store(of_directions + into + step, r1, known)
        tl.store(of_directions + into + 2 * step, r2, known)
        shift0 += tl.sum(r0, 0)
        shift1 += tl.sum(r1, 0)
        shift2 += tl.sum(r2, 0)
        g0 += of_product * d0
        g1 += of_product * d1
        g2 += of_product * d2
        own = known & (columns >= m)[None, :]
        into = (sample * 3 * n + rows)[:, None] * c + (columns - m)[None, :]
        tl.store(of_local + into, g0, own)
        tl.store(of_local + into + n * c, g1, own)
        tl.store(of_local + into + 2 * n * c, g2, own)
        sum0 += tl.sum(g0, 0)
        sum1 += tl.sum(g1, 0)
        sum2 += tl.sum(g2, 0)
    plane = (slab * tl.num_programs(2) + sample) * 3
    into = of_constant + plane * m + columns
    tl.store(into, sum0, columns < m)
    tl.store(into + m, sum1, columns < m)
    tl.store(into + 2 * m, sum2, columns < m)
    into = of_shift + plane * (m + c) + columns
    tl.store(into, shift0, columns < m + c)
    tl.store(into + m + c, shift1, columns < m + c)
    tl.store(into + 2 * (m + c), shift2, columns < m + c)


def _sizes(constant: torch.Tensor, local: torch.Tensor) -> tuple[int, int, int, int]:
    """Return the numbers of samples, points, channels that all points share, and others."""
    return len(local), local.shape[2], constant.shape[-1], local.shape[-1]


def rectify(
    constant: torch.Tensor, local: torch.Tensor, directions: torch.Tensor, shift: torch.Tensor, slope: float
) -> torch.Tensor:
    """Return features, rectified along directions + shift; the first channels are `constant` over points.

    Shapes (batch, 3, 1, m), (batch, 3, n_points, c), (batch, 3, n_points, m + c) and (batch, 3, 1, m + c),
    contiguous, on one GPU.
    """
    batch, n, m, c = _sizes(constant, local)
    out = torch.empty_like(directions)
    grid = triton.cdiv(n, _POINTS), triton.cdiv(m + c, _CHANNELS), batch
    blocks = {"ROWS": _POINTS, "COLUMNS": _CHANNELS}
    with torch.cuda.device_of(local):
        _rectify[grid](constant, local, directions, shift, out, n, m, c, slope - 1, **blocks)
    return out


def rectify_back(
    constant: torch.Tensor,
    local: torch.Tensor,
    directions: torch.Tensor,
    shift: torch.Tensor,
    gradient: torch.Tensor,
    slope: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients by the four inputs of `rectify`, from that by its output."""
    batch, n, m, c = _sizes(constant, local)
    if gradient.stride(3) != 1:
        gradient = gradient.contiguous()
    grid = triton.cdiv(n, _SLAB), triton.cdiv(m + c, _CHANNELS), batch
    by_slab = [torch.empty(grid[0], batch, 3, 1, width, device=local.device) for width in (m, m + c)]
    of_local, of_directions = torch.empty_like(local), torch.empty_like(directions)
    tensors = constant, local, directions, shift, gradient, by_slab[0], of_local, of_directions, by_slab[1]
    blocks = {"SLAB": _SLAB, "ROWS": _POINTS, "COLUMNS": _CHANNELS}
    with torch.cuda.device_of(local):
        _rectify_back[grid](*tensors, n, m, c, slope - 1, *gradient.stride()[:3], **blocks)
    of_constant, of_shift = (partial.sum(0).to(constant) for partial in by_slab)
    return of_constant, of_local, of_directions, of_shift
