"""Contact sheet: a few cells of a dataset after every stage of preprocessing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.files import FilePath, intensities
from morphobench.files.shards import stage_module
from morphobench.plot import style
from morphobench.plot.pages import sheet

_MARKED = (
    ("label_stray_voxels", 0, "stray voxels of the label left out"),
    ("mask_stray_voxels", 0, "stray voxels of the mask left out"),
    ("label_pieces", 1, "label in several parts"),
    ("n_mask_labels", 1, "several labels in the mask"),
)
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


def marks(manifest: pd.DataFrame) -> str:
    """Return how many sampled cells have a mark: a channel at fault, strays, several labels or pieces."""
    cells = manifest[manifest["success"]]
    found = {}
    if "structure_fault" in cells:
        lost = manifest["structure_fault"].dropna()
        found |= {f"structure {fault}": int((lost == fault).sum()) for fault in sorted(set(lost) - {""})}
    for column, least, what in _MARKED:
        if column in cells:
            found[what] = int((cells[column] > least).sum())
    return ", ".join(f"{what}: {n} cells" for what, n in found.items() if n)


def scales(
    manifest: pd.DataFrame,
    shards: Sequence[FilePath],
    models: Mapping[str, Mapping[str, Any]],
    most_cells: int,
) -> str:
    """Return by what the models that read intensities multiply them."""
    parts = []
    for name, model_config in models.items():
        if intensity := model_config.get("intensity"):
            is_set = intensity.get("input_scale") is not None
            measured = None if is_set else intensities.of_manifest(manifest, shards, intensity, most_cells)
            parts.append(f"{name} {intensities.text(measured, intensity, model_config['input_scale'])}")
    return f"Factor of intensities: {', '.join(parts)}" if parts else ""


def run(
    manifest: FilePath,
    shards: Mapping[str, Sequence[FilePath]],
    out: FilePath,
    page: FilePath,
    *,
    dataset: Mapping[str, Any],
    title: str,
    n_cells: int,
    form: str,
    models: Mapping[str, Mapping[str, Any]],
    scale_cells: int,
) -> None:
    """Write the contact sheet of a dataset as PNG and page, from the shard folders of each stage (`STAGES`).

    `models` are the configurations of the data set's models by name; the factors of their intensities are
    measured on up to `scale_cells` training cells.
    """
    table, module = files.read_table(manifest), stage_module("plot.contact_sheet", form)
    cells = [
        module.read_views(cell, {name: Path(shards[name][number]) for name in STAGES}, dataset)
        for cell, number in choose(table, n_cells)[["CellId", "shard"]].itertuples(index=False)
    ]
    parts = [f"{title}: {summary(table)}", marks(table), scales(table, shards["sample"], models, scale_cells)]
    said = ". ".join(filter(None, parts))
    style.save(module.draw(cells, said, dataset["length_unit"]), out)
    with files.atomic_file(page) as part:
        part.write_text(sheet.page(out, said), encoding="utf-8")
