"""Weights trained on other cells, taken as they are: nothing is trained."""

from collections.abc import Mapping
from typing import Any

from morphobench import models
from morphobench.files import FilePath, read_table, write_json
from morphobench.files.weights import sha256
from morphobench.log import logger
from morphobench.models import weights


def run(
    weights_in: FilePath,
    manifest: FilePath,
    *,
    model_out: FilePath,
    record_out: FilePath,
    dataset: str,
    model_config: Mapping[str, Any],
    cells_config: Mapping[str, Any],
) -> None:
    """Write weights, in single precision, and their record for a data set whose cells they embed.

    Architecture, scale of inputs and factor of intensities are those of the weights.

    Raises
    ------
    InputError
        When the weights are of another kind of model, of cells preprocessed otherwise, or have seen test
        cells of this data set.
    """
    stored = weights.read(weights_in)
    weights.check(weights_in, stored, model_config, cells_config["preprocessing"], architecture=False)
    weights.check_unseen(weights_in, stored.record, dataset, read_table(manifest))
    models.save(stored.model, {**model_config, **stored.model_config}, model_out)
    own: dict[str, Any] = {"sha256": sha256(model_out)}
    if stored.record["dataset"] != dataset:
        own["weights_from"] = weights.origin(weights_in, stored.record)
        # Of a model that is not trained here there is no cost of training.
        own |= {"train_s": None, "gpu_hours": None, "cpu_s": None}
    write_json({**stored.record, **own}, record_out)
    logger.info("weights of %s, trained on %s", weights_in, stored.record["dataset"])
