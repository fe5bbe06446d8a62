"""Data sets that take trained weights from another data set or a folder: what they inherit, and checks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphobench.config.entry import entry_of, overlays
from morphobench.config.schema import merge
from morphobench.errors import InputError, named
from morphobench.files import frozen, weights

# Besides how cells are preprocessed, what a data set takes from another one.
_MODELS = ("models", "benchmark", "analysis_model")
_OF_PACKINGS = ("rules", "packing")


def inherit(datasets: dict[str, Any], everywhere: str, seed: int) -> dict[str, Any]:
    """Return data sets, by name, with what those with `weights_from` leave out, taken from their weights.

    `everywhere` is the entry of the whole configuration, `seed` that of the training.

    Raises
    ------
    InputError
        When the weights of a folder are missing or no weights, or nothing was frozen.
    """
    completed = dict(datasets)
    for name, dataset in datasets.items():
        if dataset.get("freeze"):
            dataset = {**dataset, "weights_from": _frozen(name, dataset)}
        if origin := dataset.get("weights_from"):
            with named(f"config/datasets/{name}.yaml: weights_from {origin}"):
                if origin in datasets:
                    taken = _of_dataset(origin, datasets[origin], everywhere)
                else:
                    taken = _of_folder(dataset, seed)
            if weights.has_meshes(dataset):
                taken = weights.of_meshes(taken)
            completed[name] = {**taken, **dataset}
    return completed


def _frozen(name: str, dataset: Mapping[str, Any]) -> str:
    """Return the folder of weights of a frozen data set."""
    source, folder = f"config/datasets/{name}.yaml", frozen.folder(name)
    if dataset.get("weights_from"):
        raise InputError(
            f"{source}: freeze does not go with weights_from: weights are in {folder}. Take it out."
        )
    if not (folder / frozen.MANIFEST).is_file():
        order = f"Take freeze out, run `make freeze DATASET={name}`, set it again, then add cells"
        raise InputError(f"{source}: freeze is set, and nothing is frozen in {folder}. {order}.")
    return str(folder)


def _of_dataset(name: str, origin: dict[str, Any], everywhere: str) -> dict[str, Any]:
    # As it is at its own entry: published weights read published forms.
    for overlay in overlays(origin, entry_of(name, origin, everywhere)):
        origin = merge(origin, overlay)
    keys = [*weights.SECTIONS, *_MODELS, *(_OF_PACKINGS if origin.get("kind") == "packing" else ())]
    return {key: origin[key] for key in keys if key in origin}


def _of_folder(dataset: Mapping[str, Any], seed: int) -> dict[str, Any]:
    folder, chosen = Path(dataset["weights_from"]).expanduser(), dataset.get("models") or []
    if not folder.is_dir():
        raise InputError("no data set of that name, and no such folder. Correct it.")
    if not chosen:
        raise InputError("weights of a folder go by model. Name theirs under `models`.")
    return weights.read_record(weights.find(folder, chosen[0], seed))["sections"]


def check(name: str, datasets: Mapping[str, Any], models: Mapping[str, Any], seeds: list[int]) -> None:
    """Check a resolved data set against the weights that it starts from or takes.

    Raises
    ------
    InputError
        When weights are missing, or were trained on cells that are preprocessed otherwise.
    """
    dataset, source = datasets[name], f"config/datasets/{name}.yaml"
    if unknown := sorted(set(dataset.get("start_weights") or {}) - set(models)):
        raise InputError(f"{source}: start_weights: unknown model {unknown[0]!r}.")
    origin = dataset.get("weights_from")
    if not origin:
        return
    key = "freeze" if dataset.get("freeze") else "weights_from"
    others = {other: dataset.get(other) for other in ("start_weights", "folds")}
    others["start_from"] = None if dataset["start_from"] == "raw" else dataset["start_from"]
    if clash := next((other for other, value in others.items() if value), None):
        raise InputError(f"{source}: {key} does not go with {clash}. Take one of them out.")
    with named(f"{source}: {key} {origin}"):
        if origin in datasets:
            _check_dataset(dataset, datasets[origin], models)
        else:
            _check_folder(dataset, models, seeds)


def _check_dataset(dataset: Mapping[str, Any], origin: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    if origin.get("weights_from") or origin["start_from"] == "embeddings":
        has = f"has weights_from {origin['weights_from']}" if origin.get("weights_from") else "has none"
        raise InputError(f"the data set trains no weights: it {has}. Name the one that does.")
    for model in dataset["models"]:
        if model not in origin["models"]:
            raise InputError(f"it has no model {model}. Take it out of models, or add it there.")
        representation = models[model]["representation"]
        _check_same(model, *(weights.preprocessing(one, representation) for one in (origin, dataset)))


def _check_folder(dataset: Mapping[str, Any], models: Mapping[str, Any], seeds: list[int]) -> None:
    for model in dataset["models"]:
        for seed in seeds:
            record = weights.read_record(weights.find(dataset["weights_from"], model, seed))
            own = weights.preprocessing(dataset, models[model]["representation"])
            _check_same(model, record["preprocessing"], own)


def _check_same(model: str, trained: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    if found := weights.differences(trained, own):
        reason = f"the cells of {model} were preprocessed otherwise: {'; '.join(found)}"
        raise InputError(f"{reason}. Take these keys out, or set the same.")
