"""Point-cloud autoencoder without symmetry: DGCNN encoder (Wang et al. 2019), FoldingNet decoder."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from morphobench.models.base import Embedding
from morphobench.models.cloud.base import PointcloudAutoencoder
from morphobench.models.cloud.folding import FoldingNet, Start, make_grid
from morphobench.models.cloud.graph import gather_neighbours, nearest_features, nearest_points
from morphobench.models.priors import Prior

_SLOPE = 0.2


class EdgeConv(nn.Sequential):
    """Edge convolution with batch normalisation, leaky rectifier and maximum over neighbours.

    The published order: convolve every edge [f_j - f_i, f_i], normalise, rectify, take the maximum. Here the
    convolution acts on points before they are gathered; normalisation and rectifier, which are monotonic, act
    after the maximum. Channels of negative weight are negated beforehand, so that their maximum is the right
    one. Results are the same.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(nn.Conv2d(2 * n_in, n_out, kernel_size=1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, features: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_points, n_in) and indices (batch, n_points, k) to (batch, n_points, n_out)."""
        convolution, norm = self
        signs = torch.where(norm.weight < 0, -1.0, 1.0).to(norm.weight)
        of_offset, of_centre = (convolution.weight.flatten(1) * signs.unsqueeze(1)).chunk(2, dim=1)
        gathered = gather_neighbours(F.linear(features, of_offset), neighbours)
        centre = F.linear(features, of_centre - of_offset)
        mean, variance = _statistics(norm, gathered, centre, signs)
        scale = norm.weight * signs * (variance + norm.eps).rsqrt()
        highest = gathered.max(dim=2).values + centre
        return F.leaky_relu((highest - mean) * scale + norm.bias, _SLOPE)


def _statistics(
    norm: nn.BatchNorm2d, gathered: torch.Tensor, centre: torch.Tensor, signs: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance over all edges of gathered (b, n, k, c) + centre (b, n, c), as `norm` would.

    In training they come from the edges, by the law of total variance, and update the running ones.
    """
    if not norm.training:
        return norm.running_mean * signs, norm.running_var
    inner_mean = gathered.mean(dim=2)
    inner_variance = (gathered - inner_mean.unsqueeze(2)).square().mean(dim=(0, 1, 2))
    outer_variance, mean = torch.var_mean(inner_mean + centre, dim=(0, 1), correction=0)
    variance = inner_variance + outer_variance
    n_edges = gathered[..., 0].numel()
    with torch.no_grad():
        norm.num_batches_tracked += 1
        # The running values stay in float32, whatever precision the batch has.
        unbiased = variance * n_edges / max(n_edges - 1, 1)
        norm.running_mean.lerp_((mean * signs).to(norm.running_mean), norm.momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var), norm.momentum)
    return mean, variance


class ScalarEncoder(nn.Module):
    """DGCNN on plain coordinates; the graph of k neighbours is rebuilt in the features of every layer.

    The four layers have 1, 1, 2 and 4 times `hidden_dim` channels.
    """

    def __init__(self, latent_dim: int, hidden_dim: int, k: int) -> None:
        super().__init__()
        widths = [3, hidden_dim, hidden_dim, 2 * hidden_dim, 4 * hidden_dim]
        total = sum(widths[1:])
        self.k = k
        self.convs = nn.ModuleList(EdgeConv(*pair) for pair in zip(widths, widths[1:], strict=False))
        mix = nn.Conv1d(total, total, kernel_size=1, bias=False)
        self.final_conv = nn.Sequential(mix, nn.BatchNorm1d(total), nn.LeakyReLU(_SLOPE))
        self.embedding_head = nn.Linear(total, latent_dim)

    def forward(self, points: torch.Tensor) -> Embedding:
        """Encode points of shape (batch, n_points, 3); there is no pose."""
        features, layers = points, []
        for conv in self.convs:
            nearest = nearest_features if layers else nearest_points
            features = conv(features, nearest(features, self.k))
            layers.append(features)
        pooled = self.final_conv(torch.cat(layers, dim=-1).transpose(1, 2)).amax(dim=-1)
        return Embedding(self.embedding_head(pooled), None)


class ClassicalPointcloud(PointcloudAutoencoder):
    """Autoencoder of point clouds without symmetry or pose; defaults are the published widths."""

    def __init__(
        self,
        *,
        latent_dim: int = 256,
        hidden_dim: int = 64,
        k: int = 20,
        n_output_points: int = 2048,
        grid: str = "sphere",
        grid_file: str | None = None,
        folding_hidden: int = 512,
        decoder_start: Start = "default",
        prior: Prior = "identity",
    ) -> None:
        points = make_grid(grid, n_output_points, grid_file)
        encoder = ScalarEncoder(latent_dim, hidden_dim, k)
        decoder = FoldingNet(latent_dim, folding_hidden, points, start=decoder_start)
        super().__init__(encoder, decoder, prior)
