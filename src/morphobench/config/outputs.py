"""Outputs of `snakemake all`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphobench.config import figures as all_figures
from morphobench.config.checks import check_known
from morphobench.config.schema import OVERLAYS, file_of


def paths(config: Mapping[str, Any]) -> list[str]:
    """Return the files of section `outputs`; without a list of figures, all of config/figures.

    Raises
    ------
    InputError
        For a data set or figure that does not exist.
    """
    datasets, figures = config["outputs"]["datasets"], config["outputs"]["figures"]
    known = {"datasets": config["datasets"], "figures": all_figures.names(config)}
    for key, kind, names in (("datasets", "dataset", datasets), ("figures", "figure", figures or [])):
        file = file_of(OVERLAYS[0], ["outputs", key], config["outputs"][key], Path())
        check_known(f"{file}: outputs.{key}", kind, names, known[key])
    return [
        *(f"results/score/{dataset}/scores.parquet" for dataset in datasets),
        *(f"figures/{name}.pdf" for name in (config["figures"] if figures is None else figures)),
    ]
