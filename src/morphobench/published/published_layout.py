"""Models of this project in the published layout: names of tensors, and the yaml beside a checkpoint."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from morphobench.models import FAMILIES
from morphobench.models.base import Autoencoder
from morphobench.models.cloud import folding
from morphobench.published.model_config import Described, describe

_IMAGE = "cyto_dl.models.vae.ImageVAE"
_CLOUD = "cyto_dl.models.vae.PointCloudVAE"
_ENCODER = "cyto_dl.nn.point_cloud.DGCNN"
_FOLDING = "cyto_dl.nn.point_cloud.FoldingNet"
_IMPLICIT = "pointcloudutils.networks.DecoderInner"
# Where decoders are evaluated: no part of a published model, or published as a file of its own.
_WITHOUT_MEANING = ("grid", "grid_file", "n_output_points", "grid_size", "half_extent")


def describable(family: str, architecture: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the section `model` of a published yaml that stands for a model, if there is one.

    Parameters
    ----------
    family, architecture
        As for `morphobench.models.create`.

    Returns
    -------
    dict or None
        Plain data; None for a model that no published class can be configured to be, such as one with a
        gaussian prior, or with corrected intensity layers.
    """
    full = _complete(family, architecture)
    if full.get("prior", "identity") != "identity":
        return None
    section = _image(family, full) if family.endswith("_image") else _cloud(family, full)
    back = describe(section, "grid.npy")
    theirs = _complete(back.family, back.architecture)
    if not full.get("intensity"):
        # It matters with intensity alone.
        theirs.pop("variant", None)
        full.pop("variant", None)
    same = all(theirs[key] == value for key, value in full.items() if key not in _WITHOUT_MEANING)
    return section if same and back.family == family else None


def _complete(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return every argument of a family's class, lists as lists."""
    module = __import__(f"morphobench.models.{family}", fromlist=[family])
    parameters = inspect.signature(getattr(module, FAMILIES[family])).parameters
    full = {name: parameter.default for name, parameter in parameters.items()} | dict(architecture)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in full.items()}


def _image(family: str, full: Mapping[str, Any]) -> dict[str, Any]:
    channels, strides, invariant = full["channels"], full["strides"], family.startswith("rotation")
    return {
        "_target_": _IMAGE,
        "latent_dim": full["latent_dim"],
        "in_shape": [1, full["size"], full["size"], full["size"]],
        "spatial_dims": 3,
        "channels": channels,
        "strides": strides,
        "kernel_size": 3,
        "num_res_units": full["num_res_units"],
        "decoder_channels": channels[:0:-1],
        "decoder_strides": strides[-2::-1],
        "x_label": "image",
        "group": "so3" if invariant else None,
        "background_value": full.get("background", 0.0),
        "mask_output": full.get("mask_output", False),
    }


def _cloud(family: str, full: Mapping[str, Any]) -> dict[str, Any]:
    vector = family != "classical_pointcloud"
    encoder = {
        "_target_": _ENCODER,
        "num_features": full["latent_dim"],
        "hidden_dim": full["hidden_dim"],
        "k": full["k"],
        "mode": "vector" if vector else "scalar",
        "include_cross": vector,
        "include_coords": True,
        "scalar_inds": 4 if full.get("intensity") else None,
    }
    if "decoder_hidden" in full:
        encoder["neural_implicit"] = True
        inner = {"_target_": _IMPLICIT, "dim": 3, "c_dim": full["latent_dim"], "leaky": False}
        decoder = inner | {"hidden_size": full["decoder_hidden"]}
    else:
        decoder = {
            "_target_": _FOLDING,
            "input_dim": full["latent_dim"],
            "hidden_dim": full["folding_hidden"],
            "num_output_points": full["n_output_points"],
            "num_coords": 4 if full.get("intensity") else 3,
            "std": folding.EXTENT,
            # Whatever is no plane is a file in the published layout.
            "shape": "plane" if full["grid"] == "plane" and full["grid_file"] is None else "sphere",
        }
    return {
        "_target_": _CLOUD,
        "x_label": "pcloud",
        "encoder": {"pcloud": encoder},
        "decoder": {"pcloud": decoder},
        "get_rotation": family == "rotation_invariant_pointcloud",
    }


def published_state(model: Autoencoder, described: Described) -> dict[str, torch.Tensor]:
    """Return a model's tensors under their published names: the inverse of `published.translate_keys`.

    Tables that published classes derive from the architecture, and their unused parameters, are not made up.
    """
    image = described.family.endswith("_image")
    renamed = {
        "encoder.embedding." if image else "encoder.pcloud.": f"encoder.{described.encoder_key}.",
        "decoder.image." if image else "decoder.pcloud.": f"decoder.{described.decoder_key}.",
    }
    return {
        next((new + key.removeprefix(old) for old, new in renamed.items() if key.startswith(old)), key): value
        for key, value in model.state_dict().items()
    }


def grid_of(family: str, architecture: Mapping[str, Any]) -> np.ndarray | None:
    """Return the points that a model's decoder folds where they are no plane, shape (n, 3); else None."""
    full = _complete(family, architecture)
    if "grid" not in full or (full["grid"] == "plane" and full["grid_file"] is None):
        return None
    return folding.make_grid(full["grid"], full["n_output_points"], full["grid_file"])
