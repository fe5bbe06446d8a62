"""What the trainings of a data set took."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from morphobench.files import FilePath, write_table

_KEYS = ("epochs", "best_epoch", "parameters", "train_s", "cpu_s", "gpu_hours", "device", "devices")


def run(records: Mapping[tuple[str, str], FilePath], out: FilePath) -> None:
    """Write a row for each training: model, training (seed, with its fold), and what its record says.

    `records` are the JSON files of stage train by model and training; what a record lacks stays empty.
    """
    rows = []
    for (model, training), path in records.items():
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        rows.append({"model": model, "training": training, **{key: record.get(key) for key in _KEYS}})
    write_table(pd.DataFrame(rows, columns=["model", "training", *_KEYS]), out)
