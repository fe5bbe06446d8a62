"""Weights in a file, the record beside them, and whether other cells are preprocessed as theirs were."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from morphobench.errors import InputError
from morphobench.files import FilePath, limits, read_table

# Of records; another number is of another version of this project.
FORMAT = 1
_MOST_RECORD_BYTES = 2**26
# Sections of a data set's configuration that say how its cells are preprocessed.
SECTIONS = ("kind", "voxel_um", "align", "mask", "box", "scale_factor", "sample", "subsample")
SECTIONS += ("structure_norms",)
# What made the cells of a training of which nothing is known.
UNKNOWN: Mapping[str, Any] = MappingProxyType({"preprocessing": {}, "sections": {}, "draw_seed": 0})
# Keys of sections that leave a cell as it is: they decide which cells pass or are marked, or name channels.
_NO_EFFECT = {
    "align": ("mask", "least_elongation", "saturated_share"),
    "mask": ("role", "min_voxels", "min_points"),
    "box": ("quantile",),
}
# What of these sections meshes have, which are surfaces already; the rest makes surfaces of images.
_OF_MESHES = {"align": ("enabled",), "mask": ("min_voxels",)}


def record_of(weights: FilePath) -> Path:
    """Return the record beside weights: record.json of a model.pt, else the name with .json."""
    path = Path(weights)
    return path.with_name("record.json") if path.name == "model.pt" else path.with_suffix(".json")


def find(folder: FilePath, model: str, seed: int | str) -> Path:
    """Return a model's weights in a folder: <model>.pt, or <model>/seed-<seed>/model.pt as in results."""
    alone = Path(folder) / f"{model}.pt"
    return alone if alone.is_file() else Path(folder) / model / f"seed-{seed}" / "model.pt"


def sha256(path: FilePath) -> str:
    """Return the SHA-256 of a file in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(weights: FilePath) -> dict[str, Any]:
    """Read the record beside weights.

    Raises
    ------
    InputError
        When weights or record are missing, the record is none of this version, or is of other weights.
    """
    path, again = record_of(weights), "Train them again, or copy both files again."
    if not Path(weights).is_file():
        raise InputError(f"{weights}: no such file. Train these weights, or correct the path.")
    if not path.is_file():
        beside = "which says how their cells were preprocessed"
        raise InputError(f"{weights} has no record {path.name} beside it, {beside}. {again}")
    try:
        limits.check_bytes(path, path.stat().st_size, _MOST_RECORD_BYTES)
        record = json.loads(path.read_text(encoding="utf-8"))
        version = record.get("format")
    except (UnicodeDecodeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is no record of weights ({str(error)[:200]}). {again}") from error
    parts = ("model_config", "preprocessing", "sections", "measured", "groups")
    if version != FORMAT or not all(isinstance(record.get(key), dict) for key in parts):
        raise InputError(f"{path} is a record of format {version}, not {FORMAT}, of this version. {again}")
    if record.get("sha256") != sha256(weights):
        raise InputError(f"{path} is the record of other weights than {weights}. {again}")
    return record


def preprocessing(dataset: Mapping[str, Any], representation: str) -> dict[str, Any]:
    """Return what of a data set's configuration decides what a model of a representation reads of a cell."""
    sample, kind = dataset["sample"], dataset["kind"]
    known: dict[str, Any] = {"kind": kind, "voxel_um": dataset["voxel_um"]}
    for name, left_out in _NO_EFFECT.items():
        known[name] = {key: value for key, value in dataset.get(name, {}).items() if key not in left_out}
    own = {key: sample[key] for key in ("mode", "variant") if key in sample}
    subsample = dataset.get("subsample") or {}
    if representation in ("points", "surface"):
        stored = sample["n_surface"] if representation == "surface" else sample["points"]["n_points"]
        own["n_read"], own["weight"] = subsample.get("n_points", stored), subsample.get("weight", "uniform")
    if representation == "points":
        own["points"] = {key: value for key, value in sample["points"].items() if key != "n_points"}
    if representation == "cube":
        own["cube"] = dict(sample["cube"])
    if representation in ("sdf", "seg"):
        own["resolution"] = sample["resolution"]
        known["scale_factor"] = {k: v for k, v in dataset["scale_factor"].items() if k != "file"}
    if has_meshes(dataset):
        known["surfaces"] = "meshes"
    return {**known, "sample": own}


def sections(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of a data set's configuration by which its cells are preprocessed."""
    return {key: dataset[key] for key in SECTIONS if key in dataset}


def has_meshes(dataset: Mapping[str, Any]) -> bool:
    """Return whether the cells of a data set are surfaces already."""
    return "meshes" in dataset.get("source", {})


def of_meshes(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return sections without what makes surfaces of images."""
    parts = {
        name: {key: known[name][key] for key in keys if key in known[name]}
        for name, keys in _OF_MESHES.items()
        if name in known
    }
    return {**known, **parts}


def measured(shared: FilePath) -> dict[str, Any]:
    """Return what all cells of a data set have in common, from a file of stage mask or the record of weights.

    `box`, its sizes along z, y, x in voxels, or `scale_factor`, grid voxels per micrometre; of shapes that
    each fill their grid there is none.
    """
    path = Path(shared)
    if path.suffix == ".parquet":
        factors = read_table(path)["scale_factor"].dropna().unique()
        return {"scale_factor": float(factors[0])} if len(factors) == 1 else {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["measured"] if "measured" in content else {"box": {axis: content[axis] for axis in "zyx"}}


def frozen(file: FilePath, key: str) -> Any:
    """Return one entry of `measured`.

    Raises
    ------
    InputError
        When there is none.
    """
    if key not in (known := measured(file)):
        reason = f"does not say which {key} its cells had in common"
        raise InputError(f"{file} {reason}. Train these weights from raw cells.")
    return known[key]


def differences(trained: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Return "key is 2, theirs 1" for each dotted key whose value differs from that of the weights.

    How surfaces were made of images does not count where the cells of either are meshes.
    """
    if "surfaces" in {*trained, *own}:
        # The voxels by which pieces of meshes are counted leave them as they are.
        trained, own = ({**of_meshes(known), "voxel_um": None, "surfaces": None} for known in (trained, own))
    one, other = dict(_flat(trained)), dict(_flat(own))
    keys = [key for key in sorted({*one, *other}) if one.get(key) != other.get(key)]
    return [f"{key} is {_text(other, key)}, theirs {_text(one, key)}" for key in keys]


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            # As JSON has it, so that tuples and lists are one.
            yield f"{prefix}{key}", json.loads(json.dumps(value))


def _text(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key])[:100] if key in values else "not set"
