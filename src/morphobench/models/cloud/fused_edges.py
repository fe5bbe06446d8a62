"""Edges of point clouds on a GPU: Triton kernels for neighbours and for the first vector-neuron layer.

Neither distances of all pairs nor a vector per edge and channel is written more than once. Imported only
where a GPU and Triton are. (No postponed annotations here: Triton reads them.)
"""

import torch
import triton
import triton.language as tl

_TINY = tl.constexpr(1e-12)
# Rounding of a squared length that is computed from inner products, see `vector_neurons`.
_ROUNDING = tl.constexpr(4 * torch.finfo(torch.float32).eps)
_POINTS, _CHANNELS, _SLAB = 16, 64, 256


@triton.jit
def _squares(points, out, n, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Write the squared distances of a block of pairs of points (n, 3), by exact differences."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for axis in tl.static_range(3):
        own = tl.load(points + rows * 3 + axis, rows < n, 0.0)
        other = tl.load(points + columns * 3 + axis, columns < n, 0.0)
        difference = own[:, None] - other[None, :]
        total += difference * difference
    known = (rows < n)[:, None] & (columns < n)[None, :]
    tl.store(out + rows[:, None] * n + columns[None, :], total, known)


@triton.jit
def _edge_layer(edge, feature, direction, rows, columns, inside, c, VECTORS: tl.constexpr):
    """Return x, y, z of feature and direction per point and channel, and the rounding of lengths."""
    f0 = tl.zeros((rows.shape[0], columns.shape[0]), tl.float32)
    f1, f2, d0, d1, d2, least = f0, f0, f0, f0, f0, f0
    for vector in tl.static_range(VECTORS):
        e0 = tl.load(edge + vector * 3, inside, 0.0)[:, None]
        e1 = tl.load(edge + vector * 3 + 1, inside, 0.0)[:, None]
        e2 = tl.load(edge + vector * 3 + 2, inside, 0.0)[:, None]
        to_feature = tl.load(feature + columns * VECTORS + vector, columns < c, 0.0)[None, :]
        to_direction = tl.load(direction + columns * VECTORS + vector, columns < c, 0.0)[None, :]
        f0 += e0 * to_feature
        f1 += e1 * to_feature
        f2 += e2 * to_feature
        d0 += e0 * to_direction
        d1 += e1 * to_direction
        d2 += e2 * to_direction
        least += (e0 * e0 + e1 * e1 + e2 * e2) * (_ROUNDING * to_direction * to_direction)
    return f0, f1, f2, d0, d1, d2, least


@triton.jit
def _edge_mean(
    edges, feature, direction, out, n, k, c, bend,
    VECTORS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Write the mean over edges of the rectified features for a block of points and channels of a cloud."""
    sample = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = rows < n
    known = inside[:, None] & (columns < c)[None, :]
    sum0 = tl.zeros((ROWS, COLUMNS), tl.float32)
    sum1 = tl.zeros((ROWS, COLUMNS), tl.float32)
    sum2 = tl.zeros((ROWS, COLUMNS), tl.float32)
    for neighbour in range(k):
        edge = edges + ((sample * n + rows) * k + neighbour) * (VECTORS * 3)
        f0, f1, f2, d0, d1, d2, least = _edge_layer(
            edge, feature, direction, rows, columns, inside, c, VECTORS
        )
        length = tl.maximum(d0 * d0 + d1 * d1 + d2 * d2, least) + _TINY
        share = bend * tl.minimum(f0 * d0 + f1 * d1 + f2 * d2, 0.0) / length
        sum0 += f0 + share * d0
        sum1 += f1 + share * d1
        sum2 += f2 + share * d2
    into = (sample * 3 * n + rows)[:, None] * c + columns[None, :]
    tl.store(out + into, sum0 / k, known)
    tl.store(out + into + n * c, sum1 / k, known)
    tl.store(out + into + 2 * n * c, sum2 / k, known)


@triton.jit
def _edge_mean_back(
    edges, feature, direction, gradient, of_feature, of_direction, n, k, c, bend,
    VECTORS: tl.constexpr, SLAB: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Write a slab's gradients by the weights of one of an edge's vectors."""
    sample, vector = (tl.program_id(2) // VECTORS).to(tl.int64), tl.program_id(2) % VECTORS
    slab = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    by_feature = tl.zeros((ROWS, COLUMNS), tl.float32)
    by_direction = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, SLAB, ROWS):
        rows = slab * SLAB + start + tl.arange(0, ROWS)
        inside = rows < n
        known = inside[:, None] & (columns < c)[None, :]
        at = gradient + (sample * 3 * n + rows)[:, None] * c + columns[None, :]
        g0 = tl.load(at, known, 0.0) / k
        g1 = tl.load(at + n * c, known, 0.0) / k
        g2 = tl.load(at + 2 * n * c, known, 0.0) / k
        for neighbour in range(k):
            edge = edges + ((sample * n + rows) * k + neighbour) * (VECTORS * 3)
            f0, f1, f2, d0, d1, d2, least = _edge_layer(
                edge, feature, direction, rows, columns, inside, c, VECTORS
            )
            squared = d0 * d0 + d1 * d1 + d2 * d2
            length = tl.maximum(squared, least) + _TINY
            product = f0 * d0 + f1 * d1 + f2 * d2
            share = bend * tl.minimum(product, 0.0) / length
            of_share = (g0 * d0 + g1 * d1 + g2 * d2) / length
            of_product = tl.where(product < 0, bend * of_share, 0.0)
            # From the length in the denominator, unless that is its rounding.
            along = tl.where(squared > least, 2 * share * of_share, 0.0)
            e0 = tl.load(edge + vector * 3, inside, 0.0)[:, None]
            e1 = tl.load(edge + vector * 3 + 1, inside, 0.0)[:, None]
            e2 = tl.load(edge + vector * 3 + 2, inside, 0.0)[:, None]
            by_feature += (g0 + of_product * d0) * e0
            by_feature += (g1 + of_product * d1) * e1
            by_feature += (g2 + of_product * d2) * e2
            by_direction += (share * g0 + of_product * f0 - along * d0) * e0
            by_direction += (share * g1 + of_product * f1 - along * d1) * e1
            by_direction += (share * g2 + of_product * f2 - along * d2) * e2
    into = ((slab * tl.num_programs(2) + tl.program_id(2)) * c) + columns
    tl.store(of_feature + into, tl.sum(by_feature, 0), columns < c)
    tl.store(of_direction + into, tl.sum(by_direction, 0), columns < c)


def squares(points: torch.Tensor) -> torch.Tensor:
    """Return the squared distances (n, n) between points (n, 3) on a GPU."""
    n, (rows, columns) = len(points), (16, 256)
    points = points.contiguous()
    out = points.new_empty(n, n)
    with torch.cuda.device_of(points):
        _squares[triton.cdiv(n, rows), triton.cdiv(n, columns)](points, out, n, ROWS=rows, COLUMNS=columns)
    return out


def edge_mean(
    edges: torch.Tensor, to_feature: torch.Tensor, to_direction: torch.Tensor, slope: float
) -> torch.Tensor:
    """Return `VectorLinearLeakyReLU.edge_mean` of edges (batch, n_points, k, n_in, 3 xyz), all contiguous."""
    (batch, n, k, vectors, _), c = edges.shape, len(to_feature)
    out = edges.new_empty(batch, 3, n, c)
    grid = triton.cdiv(n, _POINTS), triton.cdiv(c, _CHANNELS), batch
    blocks = {"VECTORS": vectors, "ROWS": _POINTS, "COLUMNS": _CHANNELS}
    with torch.cuda.device_of(edges):
        _edge_mean[grid](edges, to_feature, to_direction, out, n, k, c, slope - 1, **blocks)
    return out


def edge_mean_back(
    edges: torch.Tensor,
    to_feature: torch.Tensor,
    to_direction: torch.Tensor,
    gradient: torch.Tensor,
    slope: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients by both weights of `edge_mean`, from that by its output: sums over slabs."""
    (batch, n, k, vectors, _), c = edges.shape, len(to_feature)
    grid = triton.cdiv(n, _SLAB), triton.cdiv(c, _CHANNELS), batch * vectors
    partial = edges.new_empty(2, grid[0], batch, vectors, c)
    tensors = edges, to_feature, to_direction, gradient.contiguous(), *partial.unbind()
    blocks = {"VECTORS": vectors, "SLAB": _SLAB, "ROWS": _POINTS, "COLUMNS": _CHANNELS}
    with torch.cuda.device_of(edges):
        _edge_mean_back[grid](*tensors, n, k, c, slope - 1, **blocks)
    of_feature, of_direction = partial.sum((1, 2)).transpose(1, 2).contiguous().unbind()
    return of_feature, of_direction.clone()
