"""Embedding tables of baselines without training: shape descriptors, or columns of the manifest."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench.embed import descriptors
from morphobench.errors import InputError
from morphobench.files import FilePath, read_array, read_table, write_table
from morphobench.files.tables import embedding_table
from morphobench.geometry import rotation
from morphobench.log import logger

_PROGRESS_EVERY = 1000
_Shards = Sequence[FilePath]


def run(
    manifest: FilePath,
    shards: _Shards,
    outs: Mapping[str, FilePath],
    *,
    baseline: Mapping[str, Any],
    n_uniform: int,
    dataset: str,
    seed: int,
) -> None:
    """Write the embedding tables of one baseline, for the sets of rotations in `outs`; see `embed.run`.

    `baseline` has features, a function of `descriptors`, and its options, with n_points, the first points of
    each cloud to use; or features "columns" and names of columns of the manifest, which no rotation changes.
    A cell without a feature has NaN, with a warning.
    """
    cells = read_table(manifest)
    cells = cells[cells["success"]].reset_index(drop=True)
    test = cells.loc[cells["split"] == "test", "CellId"]
    ids = {name: cells["CellId"] if name == "identity" else test for name in outs}
    rotations = {name: rotation.rotation_sets(name, ids[name], n_uniform, seed, dataset) for name in outs}
    if baseline["features"] == "columns":
        described = _from_columns(cells, baseline["options"]["columns"], rotations, manifest)
    else:
        described = _from_clouds(cells, shards, baseline, rotations)
    tested = cells[cells["split"] == "test"]
    for name, out in outs.items():
        if name != "uniform":
            rows = cells if name == "identity" else tested
            write_table(embedding_table(rows, rotations[name], described[name]), out)
            continue
        # Points are rotated, never resampled: rotated back, a cell is what it was.
        same = described["identity"][:, tested.index]
        parts = [(rotations[name], described[name], False), (rotations[name][:1], same, True)]
        tables = [embedding_table(tested, *part[:2], rotated_back=part[2]) for part in parts]
        write_table(pd.concat(tables, ignore_index=True), out)


def _from_columns(
    cells: pd.DataFrame, columns: Sequence[str], rotations: Mapping[str, np.ndarray], manifest: FilePath
) -> dict[str, np.ndarray]:
    if missing := [name for name in columns if name not in cells]:
        remedy = "Set baselines in config/config.yaml to columns that it has, or leave its kind out there."
        raise InputError(f"{manifest} has no column {', '.join(missing)}. {remedy}")
    values = cells[list(columns)].to_numpy(np.float64)
    incomplete = ~np.isfinite(values).all(axis=1)
    if incomplete.any():
        logger.warning("%d of %d cells lack one of %s", incomplete.sum(), len(cells), ", ".join(columns))
    test = values[(cells["split"] == "test").to_numpy()]
    rows = {name: values if name == "identity" else test for name in rotations}
    return {name: np.stack([rows[name]] * len(matrices)) for name, matrices in rotations.items()}


def _from_clouds(
    cells: pd.DataFrame, shards: _Shards, baseline: Mapping[str, Any], rotations: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    options = dict(baseline["options"])
    n_points = options.pop("n_points")
    describe = getattr(descriptors, baseline["features"])
    if "n_bins" in options:
        known = cells[cells["split"] != "test"]
        clouds = _clouds(known if len(known) else cells, shards, n_points)
        # The largest distance of a point from its cloud's mean.
        options["largest_um"] = max(np.linalg.norm(descriptors.centred(um), axis=-1).max() for um in clouds)
    described: dict[str, list[np.ndarray]] = {name: [] for name in rotations}
    is_test = (cells["split"] == "test").to_numpy()
    place = is_test.cumsum() - 1
    for number, points_um in enumerate(_clouds(cells, shards, n_points)):
        names = [name for name in rotations if name == "identity" or is_test[number]]
        own = {name: rotations[name][:, number if name == "identity" else place[number]] for name in names}
        matrices = np.concatenate(list(own.values()))
        values = describe(rotation.rotate_points(points_um, matrices), **options)
        cuts = np.cumsum([len(rotations[name]) for name in names])[:-1]
        for name, part in zip(names, np.split(values, cuts), strict=True):
            described[name].append(part)
        if (number + 1) % _PROGRESS_EVERY == 0 or number + 1 == len(cells):
            logger.info("described %d of %d cells", number + 1, len(cells))
    width = values.shape[1]
    return {
        name: np.stack(parts, axis=1) if parts else np.empty((len(rotations[name]), 0, width))
        for name, parts in described.items()
    }


def _clouds(cells: pd.DataFrame, shards: _Shards, n_points: int) -> Iterator[np.ndarray]:
    """Yield the first points of every cell's cloud, shape (n_points, 3), float64, micrometres."""
    arrays = {number: read_array(shards[number], "points_um") for number in cells["shard"].unique()}
    for shard, index in zip(cells["shard"], cells["index"], strict=True):
        yield np.asarray(arrays[shard][index, :n_points], np.float64)
