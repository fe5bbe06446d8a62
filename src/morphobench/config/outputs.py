"""What `snakemake all` makes."""

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
    """Return the files that section `outputs` of the configuration asks for.

    Parameters
    ----------
    config
        The checked configuration.
    drawn
        Figures that have a rule, such as fig2; all of them where `outputs.figures` is null.

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
