"""Numbers that others printed for these data sets: config/published_values.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphobench.config import checks
from morphobench.config.schema import read_yaml, validate

FILE = Path("config/published_values.yaml")


def read(root: Path, datasets: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row per value: dataset, metric, method, value, source, comparable, differs.

    An InputError names what is wrong with the file, such as an unknown data set.
    """
    entries = read_yaml(root / FILE)
    validate(entries, "published_values", str(FILE), root)
    checks.check_known(str(FILE), "dataset", [entry["dataset"] for entry in entries["entries"]], datasets)
    return [
        {"metric": metric, "method": method, "value": value}
        | {key: entry[key] for key in ("dataset", "source", "comparable", "differs")}
        for entry in entries["entries"]
        for metric, by_method in entry["values"].items()
        for method, value in by_method.items()
    ]


def of_dataset(config: Mapping[str, Any], dataset: str, *, comparable: bool = False) -> list[dict[str, Any]]:
    """Return the rows of one data set, with `comparable` only those a figure may draw as lines."""
    rows = [row for row in config["published_values"] if row["dataset"] == dataset]
    return [row for row in rows if row["comparable"]] if comparable else rows
