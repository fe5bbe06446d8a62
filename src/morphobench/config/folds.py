"""Trainings of a data set: one for each seed, or one for each seed and fold of those that declare folds."""

from collections.abc import Mapping
from typing import Any

from morphobench.errors import InputError


def trainings(config: Mapping[str, Any], dataset: str, seed: int | str) -> list[str]:
    """Return the trainings of one seed, as their folders are named: 42, or 42/fold-0, 42/fold-1, ...

    Examples
    --------
    >>> trainings({"datasets": {"cells": {"folds": 2}}}, "cells", 42)
    ['42/fold-0', '42/fold-1']
    """
    n_folds = config["datasets"][dataset].get("folds")
    return [f"{seed}/fold-{fold}" for fold in range(n_folds)] if n_folds else [str(seed)]


def of_fold(config: Mapping[str, Any], folder: str, dataset: str, training: str, name: str) -> str:
    """Return the path of a file that all trainings of a fold share: `folder`/`dataset`[/fold-0]/`name`.

    Raises
    ------
    InputError
        For a training that the data set does not have.
    """
    seed, _, fold = training.partition("/")
    known = trainings(config, dataset, seed)
    if training not in known:
        remedy = (
            f"Ask for one of seed-{', seed-'.join(known)}, or change folds in config/datasets/{dataset}.yaml."
        )
        raise InputError(f"{dataset} has no training seed-{training}. {remedy}")
    return "/".join(filter(None, (folder, dataset, fold, name)))
