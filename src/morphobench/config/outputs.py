"""Outputs of `snakemake all`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from morphobench.errors import InputError


def _known(key: str, names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    strangers = [name for name in names if name not in known]
    if strangers:
        raise InputError(
            f"config/config.yaml: outputs.{key} names {', '.join(strangers)}; there are {', '.join(known)}."
        )
    return names


def paths(config: Mapping[str, Any], drawn: Sequence[str]) -> list[str]:
    """Return the files of section `outputs`; `drawn` are the figures that have a rule, such as fig2.

    Raises
    ------
    InputError
        For a data set or figure that does not exist.
    """
    named = config["outputs"]
    datasets = _known("datasets", named["datasets"], list(config["datasets"]))
    figures = drawn if named["figures"] is None else _known("figures", named["figures"], drawn)
    return [
        *(f"results/score/{dataset}/scores.parquet" for dataset in datasets),
        *(f"figures/{name}.pdf" for name in figures),
    ]
