"""Outputs of `snakemake all`."""

from collections.abc import Mapping, Sequence
from typing import Any

from morphobench.config.checks import check_known


def paths(config: Mapping[str, Any], drawn: Sequence[str]) -> list[str]:
    """Return the files of section `outputs`; `drawn` are the figures that have a rule, such as fig2.

    Raises
    ------
    InputError
        For a data set or figure that does not exist.
    """
    datasets, figures = config["outputs"]["datasets"], config["outputs"]["figures"]
    check_known("config/config.yaml: outputs.datasets", "dataset", datasets, config["datasets"])
    check_known("config/config.yaml: outputs.figures", "figure", figures or [], drawn)
    return [
        *(f"results/score/{dataset}/scores.parquet" for dataset in datasets),
        *(f"figures/{name}.pdf" for name in (drawn if figures is None else figures)),
    ]
