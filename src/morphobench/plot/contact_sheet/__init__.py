"""Contact sheet: a few cells of a dataset after every stage of preprocessing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.files import FilePath
from morphobench.files.shards import stage_module
from morphobench.plot import style

STAGES = ("download", "align", "mask", "sample")


def choose(manifest: pd.DataFrame, n_cells: int) -> pd.DataFrame:
    """Return up to `n_cells` sampled cells, evenly spread over the sorted CellIds."""
    sampled = manifest[manifest["success"]].sort_values("CellId", ignore_index=True)
    rows = np.linspace(0, len(sampled) - 1, min(n_cells, len(sampled))).round().astype(int)
    return sampled.iloc[rows]


def summary(manifest: pd.DataFrame) -> str:
    """Return how many cells were sampled, excluded and failed, with the first error."""
    excluded = manifest["excluded"] if "excluded" in manifest else pd.Series(False, manifest.index)
    lost = manifest[~manifest["success"]]
    text = f"{int(manifest['success'].sum())} of {len(manifest)} cells sampled"
    counts = {"excluded": int(excluded.sum()), "failed": int((~manifest["success"] & ~excluded).sum())}
    parts = [f"{n} {what}" for what, n in counts.items() if n]
    return f"{text}, {', '.join(parts)} (first: {lost['error'].iloc[0]})" if parts else text


def run(
    manifest: FilePath,
    shards: Mapping[str, Sequence[FilePath]],
    out: FilePath,
    *,
    dataset: Mapping[str, Any],
    title: str,
    n_cells: int,
    kind: str,
) -> None:
    """Write the contact sheet of a dataset as PNG, from the shard folders of each stage (`STAGES`)."""
    table, module = files.read_table(manifest), stage_module("plot.contact_sheet", kind)
    cells = [
        module.read_views(cell, {name: Path(shards[name][number]) for name in STAGES}, dataset)
        for cell, number in choose(table, n_cells)[["CellId", "shard"]].itertuples(index=False)
    ]
    style.save(module.draw(cells, f"{title}: {summary(table)}"), out)
