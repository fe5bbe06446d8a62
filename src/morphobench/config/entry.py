"""Where the workflow is entered for a dataset: raw images, or what was published of a later stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from morphobench.errors import InputError

ENTRIES = ("raw", "preprocessed", "checkpoints", "embeddings")
# What of the block `published` each entry reads.
_READS = {
    "raw": (),
    "preprocessed": ("preprocessed",),
    "checkpoints": ("preprocessed", "checkpoints"),
    "embeddings": ("preprocessed", "embeddings"),
}
_BY_MODEL = ("checkpoints", "embeddings")


def missing_for(entry: str, dataset: Mapping[str, Any]) -> list[str]:
    """Return the keys of the block `published` that a dataset lacks to be entered there."""
    published = dataset.get("published")
    if published is None:
        return ["published"] if entry != "raw" else []
    missing = [f"published.{key}" for key in _READS[entry] if not published.get(key)]
    for key in set(_READS[entry]) & set(_BY_MODEL):
        missing += [
            f"published.{key}.{model}"
            for model in dataset["models"]
            if published.get(key) and not published[key].get(model)
        ]
    return missing


def entry_of(name: str, dataset: Mapping[str, Any], everywhere: str) -> str:
    """Return the entry of a dataset: its own choice, else the last one up to `everywhere` that it has.

    Parameters
    ----------
    name, dataset
        The dataset and the content of its yaml.
    everywhere
        The global `start_from`. Datasets without published files start raw, whatever it says.

    Raises
    ------
    InputError
        When the dataset itself asks for an entry that its block `published` does not describe.
    """
    own = dataset.get("start_from")
    if own is None:
        possible = ENTRIES[: ENTRIES.index(everywhere) + 1]
        return next(entry for entry in reversed(possible) if not missing_for(entry, dataset))
    missing = missing_for(own, dataset)
    if missing:
        raise InputError(
            f"config/datasets/{name}.yaml: start_from is {own}, but {', '.join(missing)} is not given. Name "
            "the published file there, take the model out of `models`, or start from raw."
        )
    return own


def overlays(dataset: Mapping[str, Any], entry: str) -> list[Mapping[str, Any]]:
    """Return `published.overrides` of a dataset that apply at this entry, in order."""
    if entry == "raw":
        return []
    overrides = (dataset.get("published") or {}).get("overrides") or {}
    keys = ("preprocessed", "checkpoints") if entry == "checkpoints" else ("preprocessed",)
    return [overrides[key] for key in keys if overrides.get(key)]


def check_entry(source: str, dataset: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    """Refuse a block `published`, or `sample.mode`, that do not fit the dataset.

    Raises
    ------
    InputError
        For models that do not exist, and for a published frame of packings that are made here.
    """
    published = dataset.get("published") or {}
    for key in _BY_MODEL:
        strangers = sorted(set(published.get(key) or {}) - set(models))
        if strangers:
            raise InputError(
                f"{source}: published.{key}: unknown model {', '.join(strangers)}; config/models has "
                f"{', '.join(models)}."
            )
    reference = dataset["sample"].get("mode") == "reference"
    if dataset["kind"] == "packing" and reference and dataset["start_from"] == "raw":
        raise InputError(
            f"{source}: sample.mode reference is for published packings with their published weights. Take "
            "it out, or set start_from to preprocessed or checkpoints."
        )


def check_seeds(seeds: Sequence[int], datasets: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse several training seeds where models were trained already, once.

    Raises
    ------
    InputError
        Naming the datasets.
    """
    trained = [name for name, dataset in datasets.items() if dataset["start_from"] in _BY_MODEL]
    if trained and len(seeds) > 1:
        raise InputError(
            f"config/config.yaml: train.seeds lists {len(seeds)} seeds, but {', '.join(trained)} start from "
            "published models, which were trained once. Give one seed."
        )
