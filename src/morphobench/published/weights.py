"""Checkpoints of the published models (Vasan et al. 2025), loaded as models of this project."""

from __future__ import annotations

import logging
import pickle
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from morphobench.errors import InputError
from morphobench.models import create
from morphobench.models.base import Autoencoder
from morphobench.models.image.steerable_encoder import without_derived
from morphobench.published.model_config import Described, describe

logger = logging.getLogger(__name__)

# Parameters of the published implicit model that no output depends on.
_UNUSED = {
    "rotation_invariant_pointcloud_sdf": ("encoder.pcloud.rotation.", "encoder.pcloud.embedding_head.")
}
_N_NAMED = 5


class KeyReport(NamedTuple):
    """How the tensors of a checkpoint and of a model compare; names are this project's.

    Attributes
    ----------
    matched
        In both, with one shape.
    missing
        In the model alone.
    unexpected
        In the checkpoint alone.
    misshapen
        In both with different shapes: "name (checkpoint's shape, not the model's)".
    """

    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]


def translate_keys(state: Mapping[str, torch.Tensor], described: Described) -> dict[str, torch.Tensor]:
    """Rename the tensors of a published state dictionary, and drop what no model here keeps.

    Dropped are escnn's tables, which follow from the architecture, and parameters without any use.

    Parameters
    ----------
    state
        Published names to tensors (or to anything, which is kept).
    described
        The model that the checkpoint's configuration describes.

    Returns
    -------
    dict
        This project's names to the same tensors; strangers keep their names.
    """
    image = described.family.endswith("_image")
    renamed = {
        f"encoder.{described.encoder_key}.": "encoder.embedding." if image else "encoder.pcloud.",
        f"decoder.{described.decoder_key}.": "decoder.image." if image else "decoder.pcloud.",
    }
    translated = {}
    for key, value in (without_derived(state) if image else state).items():
        ours = next((new + key.removeprefix(old) for old, new in renamed.items() if key.startswith(old)), key)
        if not ours.startswith(_UNUSED.get(described.family, ())):
            translated[ours] = value
    return translated


def compare_keys(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> KeyReport:
    """Compare names and shapes of a translated state dictionary with those of a model."""
    common = [key for key in wanted if key in found]
    shapes = {key: (tuple(found[key].shape), tuple(wanted[key].shape)) for key in common}
    return KeyReport(
        matched=[key for key, (given, needed) in shapes.items() if given == needed],
        missing=[key for key in wanted if key not in found],
        unexpected=[key for key in found if key not in wanted],
        misshapen=[f"{key} ({a}, not {b})" for key, (a, b) in shapes.items() if a != b],
    )


def _read_state(checkpoint: str | Path) -> dict[str, torch.Tensor]:
    try:
        content = torch.load(checkpoint, weights_only=True, map_location="cpu")
        state = dict(content["state_dict"])
        strangers = [key for key, value in state.items() if not isinstance(value, torch.Tensor)]
    except pickle.UnpicklingError as error:
        # torch's own advice here is to execute the file.
        reason = "it is damaged, or holds more than tensors and plain data"
        raise InputError(f"{checkpoint} was not loaded: {reason}. Download it again.") from error
    except (AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        reason = textwrap.shorten(str(error), 200)
        raise InputError(
            f"{checkpoint} is no Lightning checkpoint with a state_dict ({reason}). "
            "Check the path, or download it again."
        ) from error
    if strangers:
        raise InputError(f"{checkpoint}: {strangers[0]} is no tensor. Download the checkpoint again.")
    return state


def _read_config(config_yaml: str | Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(Path(config_yaml).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            f"{config_yaml} could not be read ({textwrap.shorten(str(error), 200)}). "
            "Give the yaml file published beside the checkpoint."
        ) from error
    if not isinstance(content, Mapping) or not isinstance(content.get("model"), Mapping):
        raise InputError(
            f"{config_yaml} has no section `model`. Give the yaml file published beside the checkpoint."
        )
    return content["model"]


def _build(config_yaml: str | Path, grid_file: str | Path | None) -> tuple[Described, Autoencoder]:
    config = _read_config(config_yaml)
    try:
        described = describe(config, grid_file)
        return described, create(described.family, **described.architecture)
    except InputError as error:
        raise InputError(f"{config_yaml}: {error}") from error
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = textwrap.shorten(str(error), 200)
        raise InputError(
            f"{config_yaml}: its model section has a value of a wrong kind ({reason}). "
            "Restore the published file."
        ) from error


class Converted(NamedTuple):
    """A published model in this project's terms.

    Attributes
    ----------
    model
        In eval mode, float32, with `variant` "published" where the family has one.
    described
        What the yaml beside the checkpoint says of it.
    report
        How its tensors compare; nothing is missing, unexpected or misshapen.
    ignored
        Published names of tensors that no model here keeps, because they follow from the architecture or no
        output depends on them.
    """

    model: Autoencoder
    described: Described
    report: KeyReport
    ignored: list[str]


def read(checkpoint: str | Path, config_yaml: str | Path, grid_file: str | Path | None = None) -> Converted:
    """Read a published checkpoint; for parameters and errors see `load_published`."""
    described, model = _build(config_yaml, grid_file)
    given = _read_state(checkpoint)
    state = translate_keys(given, described)
    report = compare_keys(state, model.state_dict())
    faults = {
        "missing": report.missing,
        "unexpected": report.unexpected,
        "of another shape": report.misshapen,
    }
    if any(faults.values()):
        named = "; ".join(
            f"{len(keys)} {fault}: {', '.join(keys[:_N_NAMED])}" for fault, keys in faults.items() if keys
        )
        raise InputError(
            f"{checkpoint} does not hold the weights of {described.family} as {config_yaml} describes it: "
            f"{len(report.matched)} tensors match, {named}. "
            "Give the yaml file published beside the checkpoint."
        )
    model.load_state_dict(state)
    kept = {id(tensor) for tensor in state.values()}
    ignored = [key for key, tensor in given.items() if id(tensor) not in kept]
    logger.info(
        "%s: %s, all %d tensors matched, %d derived or unused ones ignored",
        *(checkpoint, described.family, len(report.matched), len(ignored)),
    )
    return Converted(model.eval(), described, report, ignored)


def load_published(
    checkpoint: str | Path, config_yaml: str | Path, grid_file: str | Path | None = None
) -> Autoencoder:
    """Load a published model in eval mode, with `variant` "published" where the family has one.

    Parameters
    ----------
    checkpoint
        Lightning checkpoint. Only the tensors of its state_dict are used; nothing in it is executed.
    config_yaml
        The yaml file published beside it, with a section `model`.
    grid_file
        The .npy file whose points the decoder folds (sphere and gaussian models); planes need none.

    Returns
    -------
    Autoencoder
        In float32. Embeddings, canonical and posed reconstructions are the published ones.

    Raises
    ------
    InputError
        When a file is damaged, foreign or describes no published model, or when a tensor is missing, left
        over or of another shape, naming it.
    """
    return read(checkpoint, config_yaml, grid_file).model
