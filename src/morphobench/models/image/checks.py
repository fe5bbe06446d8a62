"""Checks that the image models share: of their construction and of each batch."""

from collections.abc import Sequence

import torch

from morphobench.errors import InputError


def check_architecture(
    size: int, latent_dim: int, channels: Sequence[int], strides: Sequence[int], num_res_units: int
) -> None:
    """Raise an InputError for constructor arguments of an image model that do not fit together."""
    if len(channels) != len(strides) or len(channels) < 2:
        raise InputError(
            f"image model: channels has {len(channels)} entries and strides {len(strides)}. "
            "Give one channel number and one stride for each block, two blocks at least."
        )
    if not set(strides) <= {1, 2}:
        raise InputError(f"image model: strides = {list(strides)}. Each stride must be 1 or 2.")
    counts = {"size": size, "latent_dim": latent_dim, "num_res_units": num_res_units}
    counts |= {f"channels[{i}]": n for i, n in enumerate(channels)}
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"image model: {name} = {value}. Give a whole number above 0.")


def check_cubes(x: torch.Tensor, size: int) -> None:
    """Raise an InputError unless cubes have shape (batch, 1, size, size, size), a batch and finite values."""
    if x.ndim != 5 or tuple(x.shape[1:]) != (1, size, size, size):
        raise InputError(
            f"image batch has shape {tuple(x.shape)}, the model reads (batch, 1, {size}, {size}, {size}). "
            "Add the channel axis, crop or pad the cubes, or build the model with their size."
        )
    if len(x) == 0:
        raise InputError("image batch is empty: check that the split and the shard hold cells.")
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bad.any():
        raise InputError(
            f"image batch: {int(bad.sum())} of {len(x)} cubes hold NaN or infinite values, the first at row "
            f"{int(bad.nonzero()[0])}. Remake these cubes or leave the cells out."
        )


def check_embeddings(z: torch.Tensor, latent_dim: int) -> None:
    """Raise an InputError unless embeddings have shape (batch, latent_dim)."""
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise InputError(
            f"embeddings have shape {tuple(z.shape)}, the model decodes (batch, {latent_dim}). "
            "Decode embeddings with the model that made them."
        )
