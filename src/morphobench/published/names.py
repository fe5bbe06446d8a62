"""Where things go in a published folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any


def manifest_name(dataset: Mapping[str, Any]) -> str:
    """Return where the manifest of preprocessed cells goes: as configured, else the published scheme."""
    name = (dataset.get("published") or {}).get("preprocessed")
    return name or f"preprocessed_data/{dataset['name']}/manifest.csv"


def name_of(dataset: Mapping[str, Any], key: str, model: str, suffix: str) -> str:
    """Return where a checkpoint or the embeddings of a model go, with this suffix."""
    name = ((dataset.get("published") or {}).get(key) or {}).get(model)
    return str(PurePosixPath(name or f"model_{key}/{dataset['name']}/{model}").with_suffix(suffix))
