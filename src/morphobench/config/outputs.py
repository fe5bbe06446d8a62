"""Outputs of `snakemake all`."""

from collections.abc import Mapping
from typing import Any

from morphobench.config.checks import check_known


def paths(config: Mapping[str, Any]) -> list[str]:
    """Return the files of section `outputs`; without a list of figures, all of config/figures.

    Raises
    ------
    InputError
        For a data set or figure that does not exist.
    """
    datasets, figures = config["outputs"]["datasets"], config["outputs"]["figures"]
    check_known("config/config.yaml: outputs.datasets", "dataset", datasets, config["datasets"])
    check_known("config/config.yaml: outputs.figures", "figure", figures or [], config["figures"])
    return [
        *(f"results/score/{dataset}/scores.parquet" for dataset in datasets),
        *(f"figures/{name}.pdf" for name in (config["figures"] if figures is None else figures)),
    ]
