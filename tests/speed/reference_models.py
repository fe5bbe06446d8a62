"""The published algorithms, written plainly: what the speed table and its equality column compare with.

Every edge, distance and field is a full tensor, as in the published code (Vasan et al. 2025); clarity comes
before speed. Parameters have the published names, so that weights of `morphobench.models` load. The one
deviation: the cross product of a frame names its axis, without which batches of three come out wrong.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.nn import functional

from morphobench.models.image.clebsch_gordan import provide_py3nj

provide_py3nj()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from escnn import gspaces
    from escnn import nn as steerable
    from geomloss import SamplesLoss

TINY = 1e-12


def squared_distances(a, b):
    """Expand |a - b|^2 for clouds (batch, n, 3) and (batch, m, 3): one full matrix per sample."""
    return a.square().sum(-1)[:, :, None] - 2 * a @ b.transpose(1, 2) + b.square().sum(-1)[:, None]


def chamfer(a, b):
    """Chamfer distance of the project's definition (mean distances) from one full matrix."""
    pairs = squared_distances(a, b).clamp_min(1e-12).sqrt()
    return pairs.min(dim=2).values.mean(1) + pairs.min(dim=1).values.mean(1)


def sinkhorn(a, b, *, blur, scaling):
    """Sinkhorn divergence as published: all pairs at once, annealed from the diameter of the batch."""
    return SamplesLoss("sinkhorn", p=1, blur=blur, scaling=scaling, backend="tensorized")(a, b)


def edge_features(points, k):
    """(batch, n, 3) to (batch, 3 vectors, 3 xyz, n, k): x_j - x_i, x_j x x_i and x_i, held for every edge."""
    batch, n, _ = points.shape
    neighbours = (-squared_distances(points, points)).topk(k, dim=-1).indices
    flat = (neighbours + torch.arange(batch, device=points.device)[:, None, None] * n).reshape(-1)
    others = points.reshape(-1, 3)[flat].view(batch, n, k, 3)
    centres = points.view(batch, n, 1, 3).repeat(1, 1, k, 1)
    vectors = torch.stack((others - centres, torch.linalg.cross(others, centres, dim=-1), centres), dim=3)
    return vectors.permute(0, 3, 4, 1, 2).contiguous()


def leaky_relu(x, direction, slope):
    """Leaky rectifier of vector neurons on (batch, channels, 3, ...), with its mask spelt out."""
    along = (x * direction).sum(2, keepdim=True)
    keep = (along >= 0).to(x)
    length = direction.square().sum(2, keepdim=True)
    bent = keep * x + (1 - keep) * (x - along / (length + TINY) * direction)
    return slope * x + (1 - slope) * bent


class Mix(nn.Module):
    """One matrix over channels: there and back by transposition."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out, bias=False)

    def forward(self, x):
        return self.linear(x.transpose(1, -1)).transpose(1, -1)


class Bend(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.map_to_dir = nn.Linear(channels, channels, bias=False)

    def forward(self, x):
        return leaky_relu(x, self.map_to_dir(x.transpose(1, -1)).transpose(1, -1), slope=0.0)


class MixBend(nn.Module):
    def __init__(self, n_in, n_out, slope):
        super().__init__()
        self.map_to_feat, self.map_to_dir, self.slope = Mix(n_in, n_out), Mix(n_in, n_out), slope

    def forward(self, x):
        return leaky_relu(self.map_to_feat(x), self.map_to_dir(x), self.slope)


class Frame(nn.Module):
    """(batch, channels, 3) to rotations with columns u1, u2, u3."""

    def __init__(self, channels):
        super().__init__()
        self.vn1 = MixBend(channels, channels // 2, slope=0.2)
        self.vn2 = MixBend(channels // 2, channels // 4, slope=0.2)
        self.vn_lin = Mix(channels // 4, 2)

    def forward(self, x):
        return torch.stack(gram_schmidt(*self.vn_lin(self.vn2(self.vn1(x))).unbind(1), TINY), dim=2)


def gram_schmidt(first, second, tiny):
    u1 = first / (first.norm(dim=-1, keepdim=True) + tiny)
    across = second - (second * u1).sum(-1, keepdim=True) * u1
    u2 = across / (across.norm(dim=-1, keepdim=True) + tiny)
    return u1, u2, torch.linalg.cross(u1, u2, dim=-1)


class VectorEncoder(nn.Module):
    """DGCNN of vector neurons: points (batch, n, 3) to an embedding and a rotation."""

    def __init__(self, latent_dim, hidden_dim, k):
        super().__init__()
        self.k, wide = k, 2 * hidden_dim
        later = [nn.Sequential(Bend(wide), Mix(wide, hidden_dim)) for _ in range(3)]
        second = nn.Sequential(Mix(hidden_dim, wide), Bend(wide), Mix(wide, hidden_dim))
        self.convs = nn.ModuleList([MixBend(3, hidden_dim, slope=0.0), second, *later])
        self.final_conv = nn.Sequential(Bend(8 * hidden_dim), Mix(8 * hidden_dim, latent_dim))
        self.rotation = Frame(latent_dim)
        self.embedding_head = Mix(latent_dim, latent_dim)

    def forward(self, points):
        layers = [self.convs[0](edge_features(points, self.k)).mean(dim=-1)]
        for conv in self.convs[1:4]:
            local = conv(layers[-1])
            layers.append(torch.cat((local.mean(-1, keepdim=True).expand_as(local), local), dim=1))
        layers.append(self.convs[4](layers[-1]))
        vectors = self.final_conv(torch.cat(layers, dim=1)).mean(dim=-1)
        rotation = self.rotation(vectors)
        return self.embedding_head(vectors @ rotation).norm(dim=2), rotation


class FoldingDecoder(nn.Module):
    """FoldingNet with the embedding copied to every point."""

    def __init__(self, latent_dim, hidden_dim, grid):
        super().__init__()
        self.project = nn.Linear(latent_dim, hidden_dim, bias=False)
        self.grid = grid
        self.folding1, self.folding2 = (
            nn.Sequential(
                nn.Linear(hidden_dim + n, hidden_dim),
                nn.ReLU(),
                nn.Linear(hidden_dim, hidden_dim),
                nn.ReLU(),
                nn.Linear(hidden_dim, 3),
            )
            for n in (grid.shape[1], 3)
        )

    def forward(self, z):
        copies = self.project(z)[:, None].repeat(1, len(self.grid), 1)
        folded = self.folding1(torch.cat((copies, self.grid.expand(len(z), -1, -1)), dim=-1))
        return self.folding2(torch.cat((copies, folded), dim=-1))


class PointcloudModel(nn.Module):
    """The rotation-invariant point-cloud model with the weights of ours; latent and folding widths differ."""

    def __init__(self, model, hidden_dim, folding_hidden, k):
        super().__init__()
        self.encoder = VectorEncoder(model.latent_dim, hidden_dim, k)
        self.decoder = FoldingDecoder(model.latent_dim, folding_hidden, model.decoder["pcloud"].grid)
        self.encoder.load_state_dict(model.encoder["pcloud"].state_dict())
        self.decoder.load_state_dict(model.decoder["pcloud"].state_dict())

    def encode(self, points):
        return self.encoder(points)[0]

    def forward(self, points):
        z, rotation = self.encoder(points)
        return self.decoder(z) @ rotation.transpose(1, 2)


SPACE = gspaces.rot3dOnR3(maximum_frequency=8)


def fields(n_scalars, n_vectors):
    return steerable.FieldType(SPACE, n_scalars * [SPACE.trivial_repr] + n_vectors * [SPACE.irrep(1)])


class Branched(nn.Module):
    """One escnn layer for scalars, one for vectors: the features are cut apart and joined again."""

    def __init__(self, n, for_scalars, for_vectors):
        super().__init__()
        self.types = fields(n, 0), fields(0, n)
        self.merging = nn.ModuleDict({"submodule_0": for_scalars, "submodule_1": for_vectors})

    def forward(self, x):
        n = self.types[0].size
        parts = x.tensor[:, :n], x.tensor[:, n:]
        done = [
            layer(kind(part))
            for layer, kind, part in zip(self.merging.values(), self.types, parts, strict=True)
        ]
        return x.type(torch.cat([part.tensor for part in done], dim=1))


class Unit(nn.Module):
    """Convolution at full size, then the pooling, then normalisation and non-linearity of n fields each."""

    def __init__(self, n_in, n_out, kernel_size, stride=1, n=0, padding_mode="zeros"):
        super().__init__()
        settings = {"padding": kernel_size // 2, "padding_mode": padding_mode, "initialize": False}
        self.net = nn.ModuleDict({"0": steerable.R3Conv(n_in, n_out, kernel_size, **settings)})
        if stride == 2:
            pool = steerable.PointwiseAvgPoolAntialiased3D(n_out, sigma=0.33, stride=2, padding=1)
            self.net["1"] = pool
        if n:
            scalars, vectors = fields(n, 0), fields(0, n)
            norms = steerable.IIDBatchNorm3d(scalars), steerable.NormBatchNorm(vectors)
            self.net["2"] = Branched(n, *norms)
            self.net["3"] = Branched(n, steerable.ReLU(scalars), steerable.NormNonLinearity(vectors))

    def forward(self, x):
        for layer in self.net.values():
            x = layer(x)
        return x


class Block(nn.Module):
    def __init__(self, n_in, n, stride, n_units, padding_mode):
        super().__init__()
        n_out, mode = fields(n, n), {"padding_mode": padding_mode}
        units = [Unit(n_in, n_out, 3, stride, n, **mode)]
        units += [Unit(n_out, n_out, 3, 1, n, **mode) for _ in range(n_units - 1)]
        self.conv = nn.ModuleList(units)
        self.residual = None
        if stride == 2:
            self.residual = Unit(n_in, n_out, 3, stride, **mode)
        elif n_in != n_out:
            self.residual = Unit(n_in, n_out, 1)

    def forward(self, x):
        beside = x if self.residual is None else self.residual(x)
        for unit in self.conv:
            x = unit(x)
        return x + beside


class SteerableEncoder(nn.Module):
    """The escnn encoder: cubes (batch, 1, s, s, s) to an embedding and two vectors (components x, y, z)."""

    def __init__(self, latent_dim, channels, strides, n_units):
        super().__init__()
        self.latent_dim = latent_dim
        kinds = [fields(1, 0), *(fields(n, n) for n in channels)]
        blocks = [
            Block(kinds[i], n, stride, n_units, "zeros" if i else "replicate")
            for i, (n, stride) in enumerate(zip(channels, strides, strict=True))
        ]
        self.net = nn.Sequential(*blocks, Unit(kinds[-1], fields(latent_dim, 2), 1))
        self.kind = kinds[0]

    def forward(self, cubes):
        means = self.net(self.kind(cubes)).tensor.mean((2, 3, 4))
        vectors = means[:, self.latent_dim :].view(-1, 2, 3)
        return means[:, : self.latent_dim], vectors[:, :, [2, 0, 1]]


class ImageModel(nn.Module):
    """The rotation-invariant image model with the weights of ours, and ours' (ordinary) decoder."""

    def __init__(self, model, channels, strides, n_units):
        super().__init__()
        self.encoder = SteerableEncoder(model.latent_dim, channels, strides, n_units)
        found = self.encoder.load_state_dict(model.encoder["embedding"].state_dict(), strict=False)
        tables = ("_basisexpansion", "bias_expansion", "filter", "expanded_bias", "irrep_0_avg")
        tables += ("change_of_basis", "indices", "eps", "num_batches_tracked")
        lost = [key for key in found.missing_keys if not any(table in key for table in tables)]
        if lost or found.unexpected_keys:
            raise RuntimeError(f"weights do not fit: {lost}, {found.unexpected_keys}")
        self.decoder = model.decoder["image"]

    def encode(self, cubes):
        return self.encoder(cubes)[0]

    def forward(self, cubes):
        z, vectors = self.encoder(cubes)
        rows = torch.stack(gram_schmidt(*vectors.unbind(1), 1e-8), dim=1)
        flip = torch.diag(rows.new_tensor([1.0, -1.0, -1.0]))
        decoded = self.decoder(z)
        theta = functional.pad(flip @ rows @ flip, [0, 1])
        grid = functional.affine_grid(theta, list(decoded.shape), align_corners=False)
        return functional.grid_sample(decoded, grid, align_corners=False)
