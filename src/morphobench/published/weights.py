"""Weights of the published models (Vasan et al. 2025), loaded as models of this project."""

import pickle
import textwrap
from collections.abc import Mapping
from typing import NamedTuple

import torch
import yaml

from morphobench.errors import InputError
from morphobench.files import FilePath, limits
from morphobench.log import logger
from morphobench.models import create
from morphobench.models.base import Autoencoder
from morphobench.models.image.steerable_encoder import without_derived
from morphobench.published.model_config import ModelSection, parse_section

# Parameters of the published implicit model that no output depends on.
_UNUSED_OF = "rotation_invariant_pointcloud_sdf"
_UNUSED = ("encoder.pcloud.rotation.", "encoder.pcloud.embedding_head.")
_N_NAMED = 5
_YAML_REMEDY = "Give the yaml file published beside the checkpoint."


class KeyReport(NamedTuple):
    """How the tensors of a checkpoint and of a model compare; names are this project's.

    Attributes
    ----------
    matched, missing, unexpected
        In both with one shape, in the model alone, in the checkpoint alone.
    misshapen
        In both with different shapes: "name (checkpoint's shape, not the model's)".
    """

    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    misshapen: list[str]


class Converted(NamedTuple):
    """A published model in this project's terms.

    Attributes
    ----------
    model
        In eval mode, float32, with `variant` "published" where the family has one.
    section
        Family and architecture in the yaml beside the checkpoint.
    report
        How its tensors compare; nothing is missing, unexpected or misshapen.
    ignored
        Published names of tensors that no model here keeps: they follow from the architecture, or no output
        depends on them.
    """

    model: Autoencoder
    section: ModelSection
    report: KeyReport
    ignored: list[str]


def _prefixes(section: ModelSection) -> dict[str, str]:
    """Return the published prefixes of encoder and decoder, and this project's for them."""
    image = section.family.endswith("_image")
    ours = ("encoder.embedding.", "decoder.image.") if image else ("encoder.pcloud.", "decoder.pcloud.")
    published = (f"encoder.{section.encoder_key}.", f"decoder.{section.decoder_key}.")
    return dict(zip(published, ours, strict=True))


def _rename(key: str, prefixes: Mapping[str, str]) -> str:
    return next((new + key.removeprefix(old) for old, new in prefixes.items() if key.startswith(old)), key)


def translate_keys(state: Mapping[str, torch.Tensor], section: ModelSection) -> dict[str, torch.Tensor]:
    """Return the tensors of a published state dictionary under this project's names; strangers keep theirs.

    Left out are escnn's tables, which follow from the architecture, and parameters without any use.
    """
    state = without_derived(state) if section.family.endswith("_image") else state
    renamed = {_rename(key, _prefixes(section)): value for key, value in state.items()}
    unused = _UNUSED if section.family == _UNUSED_OF else ()
    return {key: value for key, value in renamed.items() if not key.startswith(unused)}


def published_state(model: Autoencoder, section: ModelSection) -> dict[str, torch.Tensor]:
    """Return a model's tensors under their published names: the inverse of `translate_keys`.

    What that leaves out is not made up.
    """
    prefixes = {ours: published for published, ours in _prefixes(section).items()}
    return {_rename(key, prefixes): value for key, value in model.state_dict().items()}


def compare_keys(stored: Mapping[str, torch.Tensor], model: Mapping[str, torch.Tensor]) -> KeyReport:
    """Compare names and shapes of a translated state dictionary with those of a model."""
    shapes = {key: (tuple(stored[key].shape), tuple(model[key].shape)) for key in model if key in stored}
    return KeyReport(
        matched=[key for key, (a, b) in shapes.items() if a == b],
        missing=[key for key in model if key not in stored],
        unexpected=[key for key in stored if key not in model],
        misshapen=[f"{key} ({a}, not {b})" for key, (a, b) in shapes.items() if a != b],
    )


def _read_state(checkpoint: FilePath) -> dict[str, torch.Tensor]:
    try:
        limits.check_checkpoint(checkpoint)
        content = torch.load(checkpoint, weights_only=True, map_location="cpu")
        state = dict(content["state_dict"])
        strangers = [key for key, value in state.items() if not isinstance(value, torch.Tensor)]
    except InputError:
        raise
    except (pickle.UnpicklingError, RecursionError) as error:
        # torch's own advice here is to execute the file.
        reason = "it is damaged, or holds more than tensors and plain data"
        raise InputError(f"{checkpoint} was not loaded: {reason}. Download it again.") from error
    except (AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        fault = f"is no Lightning checkpoint with a state_dict ({textwrap.shorten(str(error), 200)})"
        raise InputError(f"{checkpoint} {fault}. Check the path, or download it again.") from error
    if strangers:
        raise InputError(f"{checkpoint}: {strangers[0]} is no tensor. Download the checkpoint again.")
    return state


def _build(config_yaml: FilePath, grid_file: FilePath | None) -> tuple[ModelSection, Autoencoder]:
    try:
        content = limits.read_yaml(config_yaml)
        config = content.get("model") if isinstance(content, Mapping) else None
        if not isinstance(config, Mapping):
            raise InputError(f"no section `model`. {_YAML_REMEDY}")
        section = parse_section(config, grid_file)
        return section, create(section.family, **section.architecture)
    except InputError as error:
        raise InputError(f"{config_yaml}: {error}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = textwrap.shorten(str(error), 200)
        raise InputError(f"{config_yaml} could not be read ({reason}). {_YAML_REMEDY}") from error
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        fault = f"a value in its model section is of a wrong kind ({textwrap.shorten(str(error), 200)})"
        raise InputError(f"{config_yaml}: {fault}. Restore the published file.") from error


def read(checkpoint: FilePath, config_yaml: FilePath, grid_file: FilePath | None = None) -> Converted:
    """Read a published checkpoint with what is known of its tensors; see `load_published`."""
    section, model = _build(config_yaml, grid_file)
    stored = _read_state(checkpoint)
    state = translate_keys(stored, section)
    report = compare_keys(state, model.state_dict())
    faults = zip(("missing", "unexpected", "of another shape"), report[1:], strict=True)
    if named := [f"{len(keys)} {fault}: {', '.join(keys[:_N_NAMED])}" for fault, keys in faults if keys]:
        fault = f"does not hold the weights of {section.family} as {config_yaml} describes it"
        counts = f"{len(report.matched)} tensors match, {'; '.join(named)}"
        raise InputError(f"{checkpoint} {fault}: {counts}. {_YAML_REMEDY}")
    model.load_state_dict(state)
    used = {id(tensor) for tensor in state.values()}
    ignored = [key for key, tensor in stored.items() if id(tensor) not in used]
    numbers = (len(report.matched), len(ignored))
    logger.info("%s: %s, %d tensors matched, %d unused ones ignored", checkpoint, section.family, *numbers)
    return Converted(model.eval(), section, report, ignored)


def load_published(
    checkpoint: FilePath, config_yaml: FilePath, grid_file: FilePath | None = None
) -> Autoencoder:
    """Load a published model in eval mode, float32, with `variant` "published" where the family has one.

    Its embeddings, canonical and posed reconstructions are the published ones.

    Parameters
    ----------
    checkpoint
        Lightning checkpoint. Only the tensors of its state_dict are used; nothing in it is executed.
    config_yaml
        The yaml file published beside it, with a section `model`.
    grid_file
        The .npy file whose points the decoder folds (sphere and gaussian models); planes need none.

    Raises
    ------
    InputError
        When a file is damaged, foreign or describes no published model, or when a tensor is missing, left
        over or of another shape, naming it.
    """
    return read(checkpoint, config_yaml, grid_file).model
