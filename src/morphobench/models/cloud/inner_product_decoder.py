"""Published implicit decoder: distances at query points from inner products with equivariant vectors."""

import torch
from torch import nn

from morphobench.models.cloud.vector_neurons import VectorLinear


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
    """Signed or unsigned distances at query points, invariant to rotations of queries and vectors together.

    A query p and the vectors c_m enter as |p|^2, the <p, c_m> and the <c_m, (W c)_m>; residual layers of
    width `hidden_dim` map these to one number (Deng et al. 2021; Vasan et al. 2025).
    """

    def __init__(self, n_vectors: int, hidden_dim: int) -> None:
        super().__init__()
        self.c_in = VectorLinear(n_vectors, n_vectors)
        self.fc_in = nn.Linear(2 * n_vectors + 1, hidden_dim)
        for i in range(5):
            self.add_module(f"block{i}", _Block(hidden_dim))
        self.fc_out = nn.Linear(hidden_dim, 1)

    def forward(self, queries: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Return distances (batch, n_queries), model units, at queries (batch, n_queries, 3), xyz.

        The vectors have shape (batch, n_vectors, 3), xyz.
        """
        mixed = self.c_in(vectors.transpose(1, 2)).transpose(1, 2)
        # What depends on the vectors alone is the same for all queries, so its share is computed once.
        of_square, of_product, of_vectors = self.fc_in.weight.split([1, *2 * [vectors.shape[1]]], dim=1)
        from_vectors = nn.functional.linear((vectors * mixed).sum(-1), of_vectors, self.fc_in.bias)
        along = queries @ torch.einsum("hm,bmx->bxh", of_product, vectors)
        x = along + queries.square().sum(-1, keepdim=True) * of_square.squeeze(1) + from_vectors.unsqueeze(1)
        for i in range(5):
            x = self.get_submodule(f"block{i}")(x)
        return self.fc_out(torch.relu(x)).squeeze(-1)
