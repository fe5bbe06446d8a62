"""What a schema cannot say of the configuration: names that must exist, values that must fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from morphobench.config.entry import check_entry
from morphobench.errors import InputError

# Representations made of points, of which a model may see a subsample at each access.
CLOUDS = ("points", "surface")
# What a dataset must have in common with those whose masked cells it uses.
_BEFORE_SAMPLING = ("voxel_um", "align", "mask")
# Keys of earlier versions, by schema, and what they are called now.
RENAMED = {
    "config": {"targets": "outputs"},
    "dataset": {
        "source.stages": "source.keep",
        "scale": "scale_factor",
        "draw": "subsample",
        "published.stages": "published.keep",
        "published.settings": "published.overrides",
    },
    "model": {"intensity.scale": "intensity.input_scale"},
}


def check_renamed(schema_name: str, data: Mapping[str, Any], source: str) -> None:
    """Refuse keys of earlier versions with an InputError that names the present ones."""
    renamed = RENAMED.get(schema_name, {})
    lines = [
        f"{source}: `{old}` is now `{new}`; rename it." for old, new in renamed.items() if _has(data, old)
    ]
    if lines:
        raise InputError("\n".join(lines))


def _has(data: Any, place: str) -> bool:
    key, _, below = place.partition(".")
    if not isinstance(data, Mapping) or key not in data:
        return False
    return not below or _has(data[key], below)


def check_dataset(name: str, dataset: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    """Check one dataset, as it will be used, against the models.

    Raises
    ------
    InputError
        Naming the file, the key and the remedy.
    """
    source = f"config/datasets/{name}.yaml"
    check_entry(source, dataset, models)
    _check_source(f"{source}: source", dataset["source"])
    for model in dataset["models"]:
        if model not in models:
            raise InputError(f"{source}: unknown model {model!r}; config/models has {', '.join(models)}.")
    for key in ("benchmark", "analysis_model"):
        named = dataset[key] if key == "benchmark" else [dataset[key]]
        strangers = [model for model in named if model not in dataset["models"]]
        if strangers:
            raise InputError(f"{source}: {key} names {', '.join(strangers)}, which `models` does not list.")
    for model in dataset["models"]:
        if models[model].get("intensity", {}).get("structure_norm") and not dataset.get("structure_norms"):
            raise InputError(f"{source}: {model} normalises by structure, but structure_norms has no ranges.")
    if "channels" in dataset:
        _check_roles(source, dataset)
    if dataset["kind"] == "punctate":
        _check_punctate(source, dataset)
    if dataset["kind"] == "polymorphic":
        _check_polymorphic(source, dataset)
    if dataset["kind"] == "packing":
        for rule, settings in dataset["rules"].items():
            needed = {"vector": ["direction", "decay"], "surface": ["decay"], "radial": ["decay"]}
            missing = [key for key in needed.get(settings["mode"], []) if key not in settings]
            if missing:
                raise InputError(
                    f"{source}: rules.{rule}: mode {settings['mode']} needs {', '.join(missing)}."
                )


def _check_source(place: str, source: Mapping[str, Any]) -> None:
    if source.get("location") and not (source.get("cells") or source.get("shapes")):
        raise InputError(f"{place}.location needs {place}.cells, the manifest's path below it.")
    if source.get("location") and (source.get("fovs") or source.get("stack")):
        raise InputError(f"{place}.location goes with cells, or with shapes and packings, not with others.")


def _check_roles(source: str, dataset: Mapping[str, Any]) -> None:
    kept = dataset["mask"]["role"]
    for key, roles in {
        "align.mask": {dataset["align"]["mask"]},
        "mask.role": {kept} if isinstance(kept, str) else set(kept.values()),
    }.items():
        for role in sorted(roles - set(dataset["channels"])):
            raise InputError(f"{source}: {key} is {role}, which `channels` does not name.")


def _check_punctate(source: str, dataset: Mapping[str, Any]) -> None:
    margin, dilation = dataset["align"]["margin_voxel"], dataset["mask"]["dilation_voxel"]
    if margin < dilation:
        raise InputError(
            f"{source}: align.margin_voxel = {margin} is less than mask.dilation_voxel = {dilation}: the rim "
            f"would be cut off. Set it to {dilation:g} or more."
        )
    if dataset["mask"]["clip"] == "structure" and not dataset["mask"].get("structure_clips"):
        raise InputError(f"{source}: mask.clip is structure, but mask.structure_clips is empty.")
    asked = dataset.get("subsample", {}).get("n_points", 0)
    if asked > dataset["sample"]["points"]["n_points"]:
        raise InputError(f"{source}: subsample.n_points = {asked} is more than sample.points.n_points.")


def _check_polymorphic(source: str, dataset: Mapping[str, Any]) -> None:
    if dataset["scale_factor"]["mode"] == "file" and "file" not in dataset["scale_factor"]:
        raise InputError(f"{source}: scale_factor.mode is file, but scale_factor.file names none.")
    for stored, drawn in (("n_surface", "n_points"), ("n_queries", "n_queries")):
        asked = dataset.get("subsample", {}).get(drawn, 0)
        if asked > dataset["sample"][stored]:
            raise InputError(f"{source}: subsample.{drawn} = {asked} is more than sample.{stored}.")


def check_parts(name: str, datasets: Mapping[str, Mapping[str, Any]]) -> None:
    """Check the datasets that a dataset shares cells with.

    Raises
    ------
    InputError
        When one does not exist, or its cells cannot be shared.
    """
    source, dataset = f"config/datasets/{name}.yaml", datasets[name]
    parts = dataset.get("cells_from", [])
    if not parts and not dataset["n_shards"]:
        raise InputError(f"{source}: n_shards is 0 and cells_from is empty: there is no cell.")
    for part in parts:
        if part not in datasets:
            raise InputError(f"{source}: cells_from: unknown dataset {part!r}.")
        if datasets[part].get("cells_from") or datasets[part]["kind"] != dataset["kind"]:
            raise InputError(
                f"{source}: cells_from: {part} must be of kind {dataset['kind']} without cells_from."
            )
        if dataset["start_from"] != "raw":
            continue
        differing = [key for key in _BEFORE_SAMPLING if datasets[part].get(key) != dataset.get(key)]
        if differing:
            raise InputError(
                f"{source}: {', '.join(differing)} must be as in {part}, whose masked cells are used as they "
                "are (sample.mode: reference changes them too: set it for both)."
            )


def check_model(name: str, model: Mapping[str, Any]) -> None:
    """Check one model.

    Raises
    ------
    InputError
        Naming the file, the key and the remedy.
    """
    source = f"config/models/{name}.yaml"
    training, clouds = model["training"], model["representation"] in CLOUDS
    turn = training.get("rotation", "none")
    if not clouds and (training["jitter"] or turn not in ("none", "lattice")):
        raise InputError(f"{source}: volumes take no training.jitter, and training.rotation none or lattice.")
    if clouds and turn == "lattice":
        raise InputError(f"{source}: training.rotation lattice is for volumes; clouds take none, z or so3.")
    if bool(model.get("intensity")) != bool(model["architecture"].get("intensity")):
        raise InputError(
            f"{source}: give both intensity.input_scale and architecture.intensity: true, or neither."
        )
    if (training["loss"] == "l1") != (model["representation"] == "surface"):
        raise InputError(f"{source}: representation surface is trained with loss l1, and nothing else is.")
