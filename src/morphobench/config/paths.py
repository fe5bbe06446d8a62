"""Paths in the configuration: ~ stands for the home folder, and no path is one of Windows."""

import copy
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphobench.errors import InputError

# Data that come with the workflow, also where it is deployed elsewhere.
_RESOURCES, _CLONE = "workflow/resources/", Path(__file__).parents[3]
# Keys of paths that start from the folder of the clone, or are absolute.
OF_CONFIG = ("download.cache",)
OF_MODEL = ("architecture.grid_file",)
OF_DATASET = (
    *(f"source.{key}" for key in ("location", "cells", "fovs", "stack", "stack_table", "shapes")),
    *(f"source.{key}" for key in ("packings", "meshes", "point_tables")),
    "weights_from",
    "published.location",
    "scale_factor.file",
    "analyse.drugs.cellprofiler",
)


def expanded(config: Mapping[str, Any], keys: tuple[str, ...], source: str) -> dict[str, Any]:
    """Return a configuration whose paths have their ~ expanded; InputError for what is no path here."""
    config = copy.deepcopy(dict(config))
    for key in keys:
        *above, last = key.split(".")
        section: Any = config
        for part in above:
            section = section.get(part) if isinstance(section, Mapping) else None
        if isinstance(section, dict) and isinstance(section.get(last), str):
            section[last] = _expanded(section[last], f"{source}: {key}")
    return config


def _expanded(value: str, place: str) -> str:
    if re.match(r"[A-Za-z]:[\\/]", value) or ("\\" in value and "/" not in value):
        remedy = "Write it with / , from the clone on or from the root (on WSL, C: is /mnt/c)."
        raise InputError(f"{place} is {value!r}, a path of Windows. {remedy}")
    path = os.path.expanduser(value)
    if path.startswith("~"):
        raise InputError(f"{place} is {value!r}, but there is no such user. Write the whole path.")
    if path.startswith(_RESOURCES) and not Path(path).exists():
        return str(_CLONE / path)
    return path
