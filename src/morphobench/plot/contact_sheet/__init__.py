"""Contact sheet: a handful of cells after every stage of preprocessing, to see whether it worked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from morphobench import files
from morphobench.files import shards as stage

STAGES = ("download", "align", "mask", "sample")


def choose(manifest: pd.DataFrame, n_cells: int) -> pd.DataFrame:
    """Return up to `n_cells` sampled cells, evenly spread over the sorted CellIds."""
    sampled = manifest[manifest["success"]].sort_values("CellId", ignore_index=True)
    picked = np.linspace(0, len(sampled) - 1, min(n_cells, len(sampled))).round().astype(int)
    return sampled.iloc[picked]


def account(manifest: pd.DataFrame) -> str:
    """Say how many cells came through and how many did not, with the first reason."""
    excluded = manifest["excluded"] if "excluded" in manifest else pd.Series(False, manifest.index)
    lost = manifest[~manifest["success"]]
    text = f"{int(manifest['success'].sum())} of {len(manifest)} cells sampled"
    counts = {"excluded": int(excluded.sum()), "failed": int((~manifest["success"] & ~excluded).sum())}
    told = [f"{n} {what}" for what, n in counts.items() if n]
    return f"{text}, {', '.join(told)} (first: {lost['error'].iloc[0]})" if told else text


def run(
    manifest: str | Path,
    shards: Mapping[str, Sequence[str | Path]],
    out: str | Path,
    *,
    dataset: Mapping[str, Any],
    title: str,
    n_cells: int,
    kind: str,
) -> None:
    """Write the contact sheet of a dataset as PNG.

    Parameters
    ----------
    manifest
        Cell table of stage `sample`, with column shard.
    shards
        Shard folders by stage (`STAGES`), each in the order of their numbers.
    out
        PNG file to write.
    dataset
        See `views` of the kind's sheet.
    title
        Name of the dataset.
    n_cells
        Cells to show.
    kind
        Of the dataset.
    """
    table, sheet = files.read_table(manifest), stage.stage_module("plot.contact_sheet", kind)
    shown = [
        sheet.views(cell, {name: Path(shards[name][number]) for name in STAGES}, dataset)
        for cell, number in choose(table, n_cells)[["CellId", "shard"]].itertuples(index=False)
    ]
    figure = sheet.draw(shown, f"{title}: {account(table)}")
    with files.atomic_file(out) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
    plt.close(figure)
