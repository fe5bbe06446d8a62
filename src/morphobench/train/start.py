"""What a training starts from: seeded weights, or weights in a file."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from morphobench import models
from morphobench.errors import InputError
from morphobench.files import FilePath, read_table
from morphobench.models import weights
from morphobench.models.base import Autoencoder
from morphobench.models.cells import Cells, with_intensity_scale
from morphobench.models.input_scale import with_input_scale
from morphobench.models.inputs import INTENSITY

_SCALES = ("input_scale", "measured_scale", INTENSITY)


class Start(NamedTuple):
    """A model before its training, its configuration, and where its weights come from (None: a seed)."""

    model: Autoencoder
    model_config: dict[str, Any]
    origin: dict[str, Any] | None


def untrained(model_config: Mapping[str, Any], seed: int) -> Autoencoder:
    """Build a model with seeded weights.

    Raises
    ------
    InputError
        When its family does not read its representation.
    """
    family, representation = model_config["family"], model_config["representation"]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = models.create(family, **model_config["architecture"])
    if representation not in model.representations:
        unread = f"family {family} does not read representation {representation}"
        raise InputError(f"{unread}. Set one of {', '.join(model.representations)} in the model's yaml.")
    return model


def start(
    model_config: Mapping[str, Any],
    cells: Cells,
    seed: int,
    *,
    file: FilePath | None,
    preprocessing: Mapping[str, Any],
    dataset: str,
    manifest: FilePath,
    scale_cells: int,
) -> Start:
    """Return the model that a training begins with: seeded, or with the weights of `file`.

    Scales of points and intensities are those of the weights; without, measured on up to
    `scale_cells` of the training `cells`.

    Raises
    ------
    InputError
        When the weights are of another model, of cells preprocessed otherwise, or have seen test cells.
    """
    if not file:
        model_config = with_input_scale(model_config, cells, scale_cells)
        model_config = with_intensity_scale(model_config, cells, scale_cells)
        return Start(untrained(model_config, seed), model_config, None)
    stored = weights.read(file)
    weights.check(file, stored, model_config, preprocessing)
    weights.check_unseen(file, stored.record, dataset, read_table(manifest))
    # Those that are not set were measured on the cells of the weights.
    scales = {key: stored.model_config[key] for key in _SCALES if stored.model_config.get(key)}
    return Start(stored.model.train(), {**model_config, **scales}, weights.origin(file, stored.record))
