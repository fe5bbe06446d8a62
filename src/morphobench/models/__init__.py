"""Models: one module per family, built from keyword arguments, saved as tensors and JSON text."""

import importlib
import inspect
import io
import json
import pickle
import textwrap
from collections.abc import Mapping
from typing import Any

import torch

from morphobench.errors import InputError
from morphobench.files import FilePath, atomic_file, limits
from morphobench.models.base import Autoencoder

FAMILIES = {
    "classical_pointcloud": "ClassicalPointcloud",
    "rotation_invariant_pointcloud": "RotationInvariantPointcloud",
    "classical_image": "ClassicalImage",
    "rotation_invariant_image": "RotationInvariantImage",
    "rotation_invariant_pointcloud_sdf": "RotationInvariantPointcloudSDF",
}
# Families that no training changes.
WEIGHTLESS = {"harmonic_surface": "HarmonicSurface"}


def create(family: str, **architecture: Any) -> Autoencoder:
    """Build an untrained model of a family, trained or weightless, from the keyword arguments of its class.

    Raises
    ------
    InputError
        For an unknown family or keyword, naming the known ones.
    """
    classes = FAMILIES | WEIGHTLESS
    if family not in classes:
        raise InputError(f"unknown model family {family!r}; known: {', '.join(FAMILIES)}.")
    cls = getattr(importlib.import_module(f"{__name__}.{family}"), classes[family])
    known = list(inspect.signature(cls).parameters)
    unknown = [key for key in architecture if key not in known]
    if unknown:
        raise InputError(f"{family}: unknown architecture key {unknown[0]!r}; known: {', '.join(known)}.")
    return cls(**architecture)


def save(model: Autoencoder, model_config: Mapping[str, Any], path: FilePath) -> None:
    """Save weights and the content of the model's yaml as tensors and JSON text."""
    save_state(model.state_dict(), model_config, path)


def save_state(state: Mapping[str, torch.Tensor], model_config: Mapping[str, Any], path: FilePath) -> None:
    """Save the tensors of a model, of whatever precision, as `save` does."""
    content = {"model_config": json.dumps(model_config, sort_keys=True), "state_dict": state}
    # Written to a file, the archive would carry the temporary name, and its bytes would differ every time.
    archive = io.BytesIO()
    torch.save(content, archive)
    with atomic_file(path) as part:
        part.write_bytes(archive.getvalue())


def load(path: FilePath) -> tuple[Autoencoder, dict[str, Any]]:
    """Load a model that `save` wrote, in eval mode, with its configuration. Nothing in it is executed.

    Raises
    ------
    InputError
        When the file is no model of this project or its tensors do not fit.
    """
    try:
        limits.check_checkpoint(path)
        content = torch.load(path, weights_only=True, map_location="cpu")
        model_config = json.loads(content["model_config"])
        model = create(model_config["family"], **model_config["architecture"])
        model.load_state_dict(content["state_dict"])
    except Exception as error:  # a damaged or foreign file fails in as many ways as there are bytes in it
        # torch's own advice for a pickle that it refuses is to execute it.
        refused = isinstance(error, pickle.UnpicklingError)
        reason = "it holds more than tensors and text" if refused else textwrap.shorten(str(error), 300)
        raise InputError(f"{path} is not a model of this project ({reason}). Train it again.") from error
    return model.eval(), model_config
