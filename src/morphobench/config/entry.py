"""Entry of the workflow for a dataset: raw images, or published files of a later stage."""

from collections.abc import Mapping
from typing import Any

from morphobench.errors import InputError

# Entries in order, and the keys of the block `published` that each reads.
ENTRIES = {
    "raw": (),
    "preprocessed": ("preprocessed",),
    "checkpoints": ("preprocessed", "checkpoints"),
    "embeddings": ("preprocessed", "embeddings"),
}
# Of these, the keys with a file for each model.
BY_MODEL = ("checkpoints", "embeddings")


def missing_for(entry: str, dataset: Mapping[str, Any]) -> list[str]:
    """Return the keys of the block `published` that a dataset lacks for an entry."""
    published = dataset.get("published")
    if published is None:
        return ["published"] if entry != "raw" else []
    missing = [f"published.{key}" for key in ENTRIES[entry] if not published.get(key)]
    for key in set(ENTRIES[entry]) & set(BY_MODEL):
        missing += [
            f"published.{key}.{model}"
            for model in dataset["models"]
            if published.get(key) and not published[key].get(model)
        ]
    return missing


def entry_of(name: str, dataset: Mapping[str, Any], everywhere: str) -> str:
    """Return a dataset's own entry, else the last one up to the global `start_from` that it has files for.

    Raises
    ------
    InputError
        When the dataset's block `published` does not describe its own entry.
    """
    own = dataset.get("start_from")
    if own is None:
        possible = list(ENTRIES)[: list(ENTRIES).index(everywhere) + 1]
        return next(entry for entry in reversed(possible) if not missing_for(entry, dataset))
    missing = missing_for(own, dataset)
    if missing:
        raise InputError(
            f"config/datasets/{name}.yaml: start_from is {own}, but {', '.join(missing)} is not given. Name "
            "the published file there, take the model out of `models`, or start from raw."
        )
    return own


def overlays(dataset: Mapping[str, Any], entry: str) -> list[Mapping[str, Any]]:
    """Return those `published.overrides` of a dataset that apply at an entry, in order."""
    if entry == "raw":
        return []
    overrides = (dataset.get("published") or {}).get("overrides") or {}
    keys = ("preprocessed", "checkpoints") if entry == "checkpoints" else ("preprocessed",)
    return [overrides[key] for key in keys if overrides.get(key)]
