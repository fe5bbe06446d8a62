"""Baselines without training: descriptors of cells, written as embedding tables beside those of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench.embed import descriptors
from morphobench.errors import InputError
from morphobench.files import read_array, read_table, write_table
from morphobench.geometry import rotation
from morphobench.log import logger

COLUMNS = "columns"
_HISTOGRAMS = ("radial_histogram", "pairwise_histogram")
_HARMONICS = ("harmonic_coefficients", "harmonic_power")
FEATURES = (*_HISTOGRAMS, *_HARMONICS, COLUMNS)
_PROGRESS_EVERY = 1000


def run(
    manifest: str | Path,
    shards: Sequence[str | Path],
    outs: Mapping[str, str | Path],
    *,
    settings: Mapping[str, Any],
    n_uniform: int,
    dataset: str,
    seed: int,
) -> None:
    """Write the embedding tables of one baseline: all cells as they are, the test cells under rotations.

    Columns as in the tables of models: CellId, group, split, rotation, r_00 ... r_22, mu_0 ... Clouds are
    turned exactly. A cell without a feature has NaN, with a warning.

    Parameters
    ----------
    manifest
        Table of the sampled cells.
    shards
        Shard folders of stage `sample`; shard number = place.
    outs
        Pose -> parquet file to write.
    settings
        `features`, one of `FEATURES`, and `options`: n_points (first points of each cloud to use) with n_bins
        for histograms or degree for harmonics; or `columns`, names of manifest columns: no pose changes them.
    n_uniform
        Random rotations of the pose "uniform".
    dataset, seed
        Seeds of those rotations, which are those of the models.

    Raises
    ------
    InputError
        When the features are unknown, or the manifest lacks a column.
    """
    if settings["features"] not in FEATURES:
        raise InputError(
            f"baseline features {settings['features']!r} are unknown; set one of {', '.join(FEATURES)}."
        )
    table = read_table(manifest)
    table = table[table["success"]].reset_index(drop=True)
    turns = {pose: rotation.of_pose(pose, n_uniform, seed, dataset) for pose in outs}
    if settings["features"] == COLUMNS:
        described = _from_columns(table, settings["options"][COLUMNS], turns, manifest)
    else:
        described = _from_clouds(table, shards, settings, turns)
    for pose, out in outs.items():
        cells = table if pose == "identity" else table[table["split"] == "test"]
        write_table(_embedding(cells, turns[pose], described[pose]), out)


def _embedding(cells: pd.DataFrame, turns: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """Lay features of shape (turns, cells, D) out as an embedding table, rotation by rotation."""
    n_turns, n_cells, width = values.shape
    number = np.repeat(np.arange(n_turns), n_cells)
    known = cells[["CellId", "group", "split"]].iloc[np.tile(np.arange(n_cells), n_turns)]
    known = known.reset_index(drop=True).assign(rotation=number)
    frame = pd.DataFrame(turns[number].reshape(-1, 9), columns=rotation.MATRIX_COLUMNS)
    codes = values.reshape(-1, width).astype(np.float32)
    mu = pd.DataFrame(codes, columns=[f"mu_{i}" for i in range(width)])
    return pd.concat([known, frame, mu], axis=1)


def _from_columns(
    table: pd.DataFrame, columns: Sequence[str], turns: Mapping[str, np.ndarray], manifest: str | Path
) -> dict[str, np.ndarray]:
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(
            f"{manifest} has no column {', '.join(missing)}. Set baselines in config/config.yaml to columns "
            "that the dataset has, or leave its kind out there."
        )
    values = table[list(columns)].to_numpy(np.float64)
    incomplete = ~np.isfinite(values).all(axis=1)
    if incomplete.any():
        logger.warning("%d of %d cells lack one of %s", incomplete.sum(), len(table), ", ".join(columns))
    test = (table["split"] == "test").to_numpy()
    return {
        pose: np.repeat(values[None] if pose == "identity" else values[None, test], len(some), axis=0)
        for pose, some in turns.items()
    }


def _from_clouds(
    table: pd.DataFrame,
    shards: Sequence[str | Path],
    settings: Mapping[str, Any],
    turns: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    options = dict(settings["options"])
    n_points = options.pop("n_points")
    describe = getattr(descriptors, settings["features"])
    if settings["features"] in _HISTOGRAMS:
        known = table[table["split"] != "test"]
        options["reach_um"] = _reach_um(_clouds(known if len(known) else table, shards, n_points))
    found: dict[str, list[np.ndarray]] = {pose: [] for pose in turns}
    is_test = (table["split"] == "test").to_numpy()
    for number, points_um in enumerate(_clouds(table, shards, n_points)):
        wanted = [pose for pose in turns if pose == "identity" or is_test[number]]
        matrices = np.concatenate([turns[pose] for pose in wanted])
        values = describe(rotation.rotate_points(points_um, matrices), **options)
        cuts = np.cumsum([len(turns[pose]) for pose in wanted])[:-1]
        for pose, part in zip(wanted, np.split(values, cuts), strict=True):
            found[pose].append(part)
        if (number + 1) % _PROGRESS_EVERY == 0 or number + 1 == len(table):
            logger.info("described %d of %d cells", number + 1, len(table))
    width = values.shape[1]
    return {
        pose: np.stack(parts, axis=1) if parts else np.empty((len(turns[pose]), 0, width))
        for pose, parts in found.items()
    }


def _clouds(table: pd.DataFrame, shards: Sequence[str | Path], n_points: int) -> Iterator[np.ndarray]:
    """Yield the first points of every cell's cloud, shape (n_points, 3), float64, micrometres."""
    stored = {number: read_array(shards[number], "points_um") for number in table["shard"].unique()}
    for shard, index in zip(table["shard"], table["index"], strict=True):
        yield np.asarray(stored[shard][index, :n_points], np.float64)


def _reach_um(clouds: Iterator[np.ndarray]) -> float:
    """Return the largest distance of a point from its cloud's mean."""
    return max(float(np.linalg.norm(descriptors.centred(cloud), axis=-1).max()) for cloud in clouds)
