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
    missing = []
    for key in ENTRIES[entry]:
        if not published.get(key):
            missing.append(f"published.{key}")
        elif key in BY_MODEL:
            models = [model for model in dataset["models"] if not published[key].get(model)]
            missing += [f"published.{key}.{model}" for model in models]
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
    if missing := missing_for(own, dataset):
        reason = f"start_from is {own}, but {', '.join(missing)} is not given"
        remedy = "Name the published file there, take the model out of `models`, or start from raw."
        raise InputError(f"config/datasets/{name}.yaml: {reason}. {remedy}")
    return own


def overlays(dataset: Mapping[str, Any], entry: str) -> list[Mapping[str, Any]]:
    """Return those `published.overrides` of a dataset that apply at an entry, in order."""
    overrides = (dataset.get("published") or {}).get("overrides") or {}
    return [overrides[key] for key in ENTRIES[entry] if overrides.get(key)]
