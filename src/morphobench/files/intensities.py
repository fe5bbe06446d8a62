"""Scale of the intensities of points: as large as their coordinates, measured on training cells."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench import files
from morphobench.errors import InputError
from morphobench.files import FilePath, manifests


class Measured(NamedTuple):
    """A quantile of points' distances from the origin and of their intensities, over some cells.

    Attributes
    ----------
    reach_um
        Micrometres.
    high
        Camera counts, or ranges of the structure.
    n_cells
        How many were measured.
    """

    reach_um: float
    high: float
    n_cells: int

    def factor(self, input_scale: float) -> float:
        """Return model units per unit of intensity, for coordinates of so many model units per micrometre."""
        return self.reach_um * input_scale / self.high


def chosen_rows(cells: Sequence[str], most_cells: int) -> np.ndarray:
    """Return the rows of up to `most_cells` cells to measure, chosen by their identifiers, in their order."""
    chosen = manifests.chosen(cells, most_cells)
    return np.flatnonzero([cell in chosen for cell in cells])


def measure(clouds: Iterable[tuple[np.ndarray, np.ndarray]], quantile: float) -> Measured:
    """Measure clouds, each points (n, 3), micrometres, and intensities (n,).

    Raises
    ------
    InputError
        When there is none, or nearly all intensities are 0.
    """
    distances, intensities = [], []
    for points_um, intensity in clouds:
        distances.append(np.linalg.norm(points_um, axis=-1))
        intensities.append(np.abs(intensity))
    if not distances:
        raise InputError("no training cell has intensities. Check the split, or set intensity.input_scale.")
    reach_um, high = (
        float(np.quantile(np.concatenate(values).astype(np.float64), quantile))
        for values in (distances, intensities)
    )
    if not high > 0:
        raise InputError("the intensities of the training cells are 0. Check the channel of the structure.")
    return Measured(reach_um, high, len(distances))


def ranges(table: pd.DataFrame, intensity: Mapping[str, Any] | None) -> np.ndarray | None:
    """Return the range of each cell's structure, camera counts, shape (n, 2); None to keep the counts.

    Raises
    ------
    InputError
        When a structure has no range.
    """
    norms = (intensity or {}).get("structure_norms")
    if not norms:
        return None
    unknown = sorted(set(table["structure_name"]) - set(norms))
    if unknown:
        remedy = "Add it to structure_norms, or set the model's intensity.structure_norm to false."
        raise InputError(f"structure {unknown[0]} has no range of intensities. {remedy}")
    return np.array([norms[name] for name in table["structure_name"]], dtype=np.float32)


def of_manifest(
    manifest: pd.DataFrame, shards: Sequence[FilePath], intensity: Mapping[str, Any], most_cells: int
) -> Measured:
    """Measure the training cells of a manifest, as a training does; `intensity` is that of a model's yaml."""
    table = manifest[manifest["success"] & (manifest["split"] == "train")].reset_index(drop=True)
    table = table.iloc[chosen_rows(table["CellId"].tolist(), most_cells)]
    low_high = ranges(table, intensity)

    def read() -> Iterable[tuple[np.ndarray, np.ndarray]]:
        for number, (shard, index) in enumerate(zip(table["shard"], table["index"], strict=True)):
            points_um, counts = (
                np.array(files.read_array(Path(shards[shard]), name)[index])
                for name in ("points_um", "intensity")
            )
            yield points_um, counts if low_high is None else within(counts, *low_high[number])

    return measure(read(), intensity["quantile"])


def within(counts: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return camera counts in units of a range."""
    return (counts - low) / (high - low)


def text(measured: Measured | None, intensity: Mapping[str, Any], input_scale: float | str) -> str:
    """Return in words what a model multiplies intensities by: a number of its yaml, or a measured one."""
    if measured is None:
        return f"{intensity['input_scale']:.3g} (set)"
    unit = "ranges of the structure" if intensity.get("structure_norms") else "counts"
    below = f"{intensity['quantile']:.0%} of points below {measured.high:.4g} {unit}"
    taken = f"{below} in {measured.n_cells} training cells"
    # A scale that is measured in training is not known before.
    factor = "like that of points" if isinstance(input_scale, str) else f"{measured.factor(input_scale):.3g}"
    return f"{factor} ({taken})"
