"""Embedding tables of baselines without training: shape descriptors, columns of the manifest, controls."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.embed import controls, descriptors
from morphobench.embed.changes import CHANGES, changed_descriptors, changed_table
from morphobench.embed.harmonic_shells import harmonic_shells
from morphobench.errors import InputError
from morphobench.files import FilePath, manifests, read_array, read_table, write_table
from morphobench.files.tables import embedding_table
from morphobench.files.values import numbers
from morphobench.geometry import rotation
from morphobench.log import logger

_PROGRESS_EVERY = 1000
_Shards = Sequence[FilePath]
# Features that are no function of a cell's stored arrays.
_CONTROLS, _NUMBERS = ("random", "known"), ("columns", "table")
# Histograms whose bins are the same lengths for all cells.
_COMMON_BINS = ("radial_histogram", "pairwise_histogram")
# Takes a cell's stored array, its rotations (m, 3, 3) and its row; returns a row per rotation.
_Describe = Callable[[np.ndarray, np.ndarray, Mapping[str, Any]], np.ndarray]


def run(
    manifest: FilePath,
    shards: _Shards,
    outs: Mapping[str, FilePath],
    changes_out: FilePath,
    *,
    baseline: Mapping[str, Any],
    n_uniform: int,
    dataset: str,
    seed: int,
    packing: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    targets: Sequence[str] = (),
) -> None:
    """Write the embedding tables of one baseline, for the sets of rotations in `outs`, see `embed.run`.

    `baseline` has features and their options: a function of `descriptors`, with n_points, the first points of
    each cloud to use; "harmonic_shells"; "columns" of the manifest or a "table" of others, which no rotation
    changes; or a control, "random", or "known", of the dataset's `labels` and `targets`. A cell without a
    feature has NaN, with a warning. `changes_out` gets the `changed_table` of the test cells; `packing` holds
    the arguments of `upsample`, under "points", where clouds are copies of spheres.
    """
    cells = read_table(manifest)
    cells = cells[cells["success"]].reset_index(drop=True)
    tested = cells[cells["split"] == "test"]
    ids = {name: cells["CellId"] if name == "identity" else tested["CellId"] for name in outs}
    rotations = {name: rotation.rotation_sets(name, ids[name], n_uniform, seed, dataset) for name in outs}
    if baseline["features"] in _CONTROLS:
        known = {"labels": labels, "targets": targets, "dataset": dataset, "seed": seed}
        described, changed = _control(cells, rotations, baseline, **known)
    elif baseline["features"] in _NUMBERS:
        described, changed = _unchanged(_numbers(cells, baseline, manifest), cells, rotations), {}
    else:
        array, describe = _describer(cells, shards, baseline, manifest)
        described = _from_arrays(cells, shards, rotations, array, describe)
        drawn = {
            "jitter": packing and packing["points"],
            "seed": seeds.integer(seed, dataset, "embed", "changes"),
        }
        stored, n_points = _stored(tested, shards, array), baseline["options"].get("n_points")
        changed = changed_descriptors(tested, stored, describe, shards, n_points=n_points, **drawn)
    _write_rotated(cells, rotations, described, outs)
    write_table(changed_table(tested, changed, described["identity"].shape[-1]), changes_out)


def _control(
    cells: pd.DataFrame,
    rotations: Mapping[str, np.ndarray],
    baseline: Mapping[str, Any],
    *,
    labels: Sequence[str],
    targets: Sequence[str],
    dataset: str,
    seed: int,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a control under rotations, and of changed test cells: what is known stays, numbers are anew."""
    test = cells["split"] == "test"
    if baseline["features"] == "known":
        values = controls.known_values(cells, labels, targets)
        return _unchanged(values, cells, rotations), dict.fromkeys(CHANGES, values[test])
    drawn = {"dataset": dataset, "seed": seed, **baseline["options"]}
    ids = {name: cells["CellId"] if name == "identity" else cells.loc[test, "CellId"] for name in rotations}
    described = {
        name: controls.random_values(ids[name], name, len(sets), **drawn) for name, sets in rotations.items()
    }
    anew = controls.random_values(cells.loc[test, "CellId"], "changes", len(CHANGES), **drawn)
    return described, dict(zip(CHANGES, anew, strict=True))


def _write_rotated(
    cells: pd.DataFrame,
    rotations: Mapping[str, np.ndarray],
    described: Mapping[str, np.ndarray],
    outs: Mapping[str, FilePath],
) -> None:
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


def _numbers(cells: pd.DataFrame, baseline: Mapping[str, Any], manifest: FilePath) -> np.ndarray:
    """Return numbers that no rotation of a cell changes, shape (n, D)."""
    if baseline["features"] == "columns":
        return _columns(cells, baseline["options"]["columns"], manifest)
    return _table(cells, baseline["options"]["file"])


def _columns(cells: pd.DataFrame, columns: Sequence[str], manifest: FilePath) -> np.ndarray:
    if missing := [name for name in columns if name not in cells]:
        remedy = (
            "Set options.columns of the baseline to columns that it has, or leave this kind out of its kinds."
        )
        raise InputError(f"{manifest} has no column {', '.join(missing)}. {remedy}")
    values = np.stack([numbers(cells[name], f"{manifest}: column {name}") for name in columns], axis=1)
    incomplete = ~np.isfinite(values).all(axis=1)
    if incomplete.any():
        logger.warning("%d of %d cells lack one of %s", incomplete.sum(), len(cells), ", ".join(columns))
    return values


def _table(cells: pd.DataFrame, file: FilePath) -> np.ndarray:
    """Return the numbers of a table with a column CellId, such as a descriptor that others published."""
    table = manifests.read(file, [], text=["CellId"], taken=())
    manifests.check_unique(file, table["CellId"])
    numbers = table.set_index("CellId").apply(pd.to_numeric, errors="coerce").dropna(axis=1, how="all")
    known = cells["CellId"].isin(numbers.index)
    if not known.any() or not numbers.shape[1]:
        found = f"{numbers.shape[1]} columns of numbers, for {known.sum()} of {len(cells)} cells"
        raise InputError(f"{file} has {found}. Mend the file, or take its baseline out of `baselines`.")
    if not known.all():
        lost = ", ".join(cells.loc[~known, "CellId"][:5])
        logger.warning("%s lacks %d of %d cells (%s ...): left out", file, (~known).sum(), len(cells), lost)
    return numbers.reindex(cells["CellId"]).to_numpy(np.float64)


def _unchanged(
    values: np.ndarray, cells: pd.DataFrame, rotations: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return what no rotation changes, shape (n, D), for every set of rotations."""
    test = values[(cells["split"] == "test").to_numpy()]
    rows = {name: values if name == "identity" else test for name in rotations}
    return {name: np.stack([rows[name]] * len(matrices)) for name, matrices in rotations.items()}


def _describer(
    cells: pd.DataFrame, shards: _Shards, baseline: Mapping[str, Any], manifest: FilePath
) -> tuple[str, _Describe]:
    """Return the name of the stored arrays that a descriptor reads, and how it describes one of them."""
    options = dict(baseline["options"])
    if baseline["features"] == "harmonic_shells":
        _columns(cells, ["scale_factor"], manifest)
        return "sdf", lambda sdf_zyx, matrices, row: harmonic_shells(
            sdf_zyx, matrices, scale_factor=row["scale_factor"], **options
        )
    n_points, columns = options.pop("n_points"), []
    describe = getattr(descriptors, baseline["features"])
    if baseline["features"] == "measures":
        columns = ["volume_um3", "area_um2"]
        _columns(cells, columns, manifest)
    if baseline["features"] in _COMMON_BINS:
        known = cells[cells["split"] != "test"]
        stored = _stored(known if len(known) else cells, shards, "points_um")
        clouds = (descriptors.centred(um[:n_points]) for um in stored)
        # The largest distance of a point from its cloud's mean.
        options["largest_um"] = max(np.linalg.norm(um, axis=-1).max() for um in clouds)

    def of_cloud(points_um: np.ndarray, matrices: np.ndarray, row: Mapping[str, Any]) -> np.ndarray:
        points_um = points_um[:n_points].astype(np.float64)
        own = {name: row[name] for name in columns}
        return describe(rotation.rotate_points(points_um, matrices), **options, **own)

    return "points_um", of_cloud


def _from_arrays(
    cells: pd.DataFrame,
    shards: _Shards,
    rotations: Mapping[str, np.ndarray],
    array: str,
    describe: _Describe,
) -> dict[str, np.ndarray]:
    described: dict[str, list[np.ndarray]] = {name: [] for name in rotations}
    is_test = (cells["split"] == "test").to_numpy()
    place = is_test.cumsum() - 1
    rows = cells.to_dict("records")
    for number, stored in enumerate(_stored(cells, shards, array)):
        names = [name for name in rotations if name == "identity" or is_test[number]]
        own = {name: rotations[name][:, number if name == "identity" else place[number]] for name in names}
        matrices = np.concatenate(list(own.values()))
        values = describe(stored, matrices, rows[number])
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


def _stored(cells: pd.DataFrame, shards: _Shards, name: str) -> Iterator[np.ndarray]:
    """Yield the stored array of every cell."""
    arrays = {number: read_array(shards[number], name) for number in cells["shard"].unique()}
    for shard, index in zip(cells["shard"], cells["index"], strict=True):
        yield np.asarray(arrays[shard][index])
