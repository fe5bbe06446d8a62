"""Trained weights with their record: read, written, and checked against the model and cells they meet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from morphobench import models
from morphobench.errors import InputError
from morphobench.files import FilePath, weights, write_json
from morphobench.log import logger
from morphobench.models.base import Autoencoder
from morphobench.models.input_scale import AUTO
from morphobench.models.inputs import INTENSITY

# Keys of a model's yaml that say what a model is and reads.
_KIND = ("family", "representation")
_INPUTS = ("input_scale", "z_score")
_N_NAMED = 5


class Weights(NamedTuple):
    """A trained model in eval mode, the content of its yaml, and its record."""

    model: Autoencoder
    model_config: dict[str, Any]
    record: dict[str, Any]


def read(path: FilePath) -> Weights:
    """Read weights and their record; nothing in either is executed.

    Raises
    ------
    InputError
        See `weights.read_record` and `models.load`.
    """
    record = weights.read_record(path)
    return Weights(*models.load(path), record)


def write(path: FilePath, stored: Weights, *, half: bool) -> None:
    """Write weights and their record beside them; `half`, tensors of half precision where that holds them."""
    state = stored.model.state_dict()
    tensors = {name: _halved(value) for name, value in state.items()} if half else state
    models.save_state(tensors, stored.model_config, path)
    write_json({**stored.record, "sha256": weights.sha256(path)}, weights.record_of(path))


def _halved(value: torch.Tensor) -> torch.Tensor:
    halved = value.half() if value.is_floating_point() else value
    # Half precision ends at 65,504; a variance may be larger.
    return halved if torch.isfinite(halved).all() else value


def check(
    path: FilePath,
    stored: Weights,
    model_config: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    *,
    architecture: bool = True,
) -> None:
    """Refuse weights of another kind of model, or of cells preprocessed otherwise, naming every difference.

    `model_config` is the content of a model's yaml, `preprocessing` that of its cells
    (`weights.preprocessing`). Without `architecture` the weights bring their own, and the scale of inputs.
    """
    keys = (*_KIND, *(("architecture", *_INPUTS) if architecture else ()))
    one, other = ({key: config.get(key) for key in keys} for config in (stored.model_config, model_config))
    if architecture:
        # What would be measured is that of the weights.
        if other["input_scale"] == AUTO:
            other["input_scale"] = one["input_scale"]
        one[INTENSITY], other[INTENSITY] = map(_intensity, (stored.model_config, model_config))
        if other[INTENSITY] and other[INTENSITY]["input_scale"] is None:
            other[INTENSITY]["input_scale"] = one[INTENSITY].get("input_scale")
    found = weights.differences(one, other)
    found += weights.differences(stored.record["preprocessing"], preprocessing)
    if found:
        where = f"{path} was trained for another model or other cells: {'; '.join(found)}"
        raise InputError(f"{where}. Set the same, or train without these weights.")


def _intensity(model_config: Mapping[str, Any]) -> dict[str, Any]:
    keys, own = ("input_scale", "structure_norms"), model_config.get(INTENSITY) or {}
    return {key: own.get(key) for key in keys} if own else {}


def check_unseen(path: FilePath, record: Mapping[str, Any], dataset: str, manifest: pd.DataFrame) -> None:
    """Refuse weights that have seen groups of test cells of the same data set; of another, warn.

    Validation cells count: they choose the epoch.
    """
    seen = {group for groups in record["groups"].values() for group in groups}
    test = manifest[manifest["success"].astype(bool) & (manifest["split"] == "test")]
    common = sorted(seen & set(test["group"].astype(str)))
    if not common:
        return
    named = ", ".join(common[:_N_NAMED])
    found = f"{path} was trained on {len(common)} groups of cells that are test cells of {dataset}: {named}"
    if record["dataset"] == dataset:
        raise InputError(f"{found}. Take the same seed and shares (sample.split), or train without them.")
    logger.warning("%s; if these are the same cells of %s, scores are too good", found, record["dataset"])


def origin(path: FilePath, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record of a later model says of the weights that it starts from."""
    keys = ("dataset", "model", "seed", "epochs", "cpu_s", "gpu_hours", "device", "sha256")
    return {"file": str(Path(path)), **{key: record.get(key) for key in keys}}
