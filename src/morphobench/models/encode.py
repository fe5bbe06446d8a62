"""One batch through an encoder: embeddings, poses, and what the decoder reads."""

import torch

from morphobench.models.base import Autoencoder


def encode_batch(model: Autoencoder, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Encode a batch; float32.

    Returns `z`, (batch, D); of models with one, `pose`, (batch, 3, 3); of the implicit model `vectors`, what
    its decoder reads in the canonical frame, (batch, D, 3).
    """
    embedding = model.encode_with_pose(x)
    encoded = {"z": embedding.z}
    if embedding.pose is not None:
        encoded["pose"] = embedding.pose
    if type(model).decoder_input is not Autoencoder.decoder_input:
        encoded["vectors"] = model.decoder_input(x) @ embedding.pose
    return {name: value.float() for name, value in encoded.items()}
