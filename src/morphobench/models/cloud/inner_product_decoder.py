"""The published implicit decoder: distances at query points from inner products with a code's vectors."""

from __future__ import annotations

import torch
from torch import nn

from morphobench.models.cloud.vector_neurons import VectorLinear

_N_BLOCKS = 5


class _Block(nn.Module):
    """Residual block of two rectified linear layers; it starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_0 = nn.Linear(width, width)
        self.fc_1 = nn.Linear(width, width)
        nn.init.zeros_(self.fc_1.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fc_1(torch.relu(self.fc_0(torch.relu(x))))


class InnerProductDecoder(nn.Module):
    """Signed or unsigned distances at query points, from what rotations of points and code leave alone.

    A query p and the vectors c_m of a code enter as |p|^2, the <p, c_m> and the <c_m, (W c)_m>; residual
    layers turn these into one number (Deng et al. 2021; Vasan et al. 2025).

    Parameters
    ----------
    n_vectors
        Vectors of a code.
    hidden_dim
        Width of the layers.
    """

    def __init__(self, n_vectors: int, hidden_dim: int) -> None:
        super().__init__()
        self.c_in = VectorLinear(n_vectors, n_vectors)
        self.fc_in = nn.Linear(2 * n_vectors + 1, hidden_dim)
        for i in range(_N_BLOCKS):
            self.add_module(f"block{i}", _Block(hidden_dim))
        self.fc_out = nn.Linear(hidden_dim, 1)

    def forward(self, queries: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Return distances at points.

        Parameters
        ----------
        queries
            Shape (batch, n_queries, 3), xyz, model units.
        vectors
            Shape (batch, n_vectors, 3), xyz.

        Returns
        -------
        torch.Tensor
            Shape (batch, n_queries), model units.
        """
        mixed = self.c_in(vectors.transpose(1, 2)).transpose(1, 2)
        # What belongs to the code alone is the same for all queries, so its share is computed once.
        of_square, of_product, of_code = self.fc_in.weight.split([1, *2 * [vectors.shape[1]]], dim=1)
        from_code = nn.functional.linear((vectors * mixed).sum(-1), of_code, self.fc_in.bias)
        along = queries @ torch.einsum("hm,bmx->bxh", of_product, vectors)
        x = along + queries.square().sum(-1, keepdim=True) * of_square.squeeze(1) + from_code.unsqueeze(1)
        for i in range(_N_BLOCKS):
            x = self.get_submodule(f"block{i}")(x)
        return self.fc_out(torch.relu(x)).squeeze(-1)
