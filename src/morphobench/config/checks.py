"""Checks that a schema cannot express: names that must exist, values that must fit together.

Each raises an `InputError` with the file, the key and the remedy.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from morphobench.config.entry import BY_MODEL
from morphobench.errors import InputError
from morphobench.files import reserved

# Representations made of points, of which a model may see a subsample at each access.
CLOUDS = ("points", "surface")
# Keys of a model's training of which a data set may have its own values, by model.
OF_TRAINING = ("max_epochs", "lr")
# Keys that a dataset must have in common with those whose masked cells it uses.
_BEFORE_SAMPLING = ("voxel_um", "align", "mask")
# Keys of earlier versions, by schema, and what they are called now.
RENAMED = {
    "config": {"targets": "outputs", "train.gradient_clip": "training.gradient_clip of a model"},
    "dataset": {
        "source.stages": "source.keep",
        "scale": "scale_factor",
        "draw": "subsample",
        "published.stages": "published.keep",
        "published.prefix": "published.prefixes",
        "published.settings": "published.overrides",
    },
    "model": {"intensity.scale": "intensity.input_scale"},
}


def check_renamed(schema_name: str, data: Mapping[str, Any], source: str) -> None:
    """Refuse keys of earlier versions."""
    renamed = RENAMED.get(schema_name, {})
    if lines := [f"`{old}` is now `{new}`; rename it." for old, new in renamed.items() if _has(data, old)]:
        raise InputError("\n".join(f"{source}: {line}" for line in lines))


def _has(data: Any, place: str) -> bool:
    key, _, below = place.partition(".")
    if not isinstance(data, Mapping) or key not in data:
        return False
    return not below or _has(data[key], below)


def check_known(place: str, kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Check that each of the names is a known data set, model or figure."""
    known = list(known)
    if unknown := ", ".join(repr(name) for name in names if name not in known):
        raise InputError(f"{place}: unknown {kind} {unknown}; config/{kind}s has {', '.join(known)}.")


def check_dataset(name: str, dataset: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    """Check one resolved dataset against the models."""
    source = f"config/datasets/{name}.yaml"
    _check_derive(source, dataset["source"].get("derive") or {})
    _check_families(source, dataset)
    _check_published(source, dataset, models)
    check_known(source, "model", dataset["models"], models)
    named = {"benchmark": dataset["benchmark"], "analysis_model": [dataset["analysis_model"]]}
    for key, names in (named | {key: dataset.get(key) or {} for key in OF_TRAINING}).items():
        if unlisted := ", ".join(model for model in names if model not in dataset["models"]):
            raise InputError(f"{source}: {key} names {unlisted}, which `models` does not list.")
    for model in dataset["models"]:
        if models[model].get("intensity", {}).get("structure_norm") and not dataset.get("structure_norms"):
            raise InputError(f"{source}: {model} normalises by structure, but structure_norms has no ranges.")
    if taken := sorted(set(dataset.get("embeddings") or {}) & set(models)):
        raise InputError(f"{source}: embeddings.{taken[0]} has the name of a model. Give it another.")
    if dataset.get("folds"):
        _check_folds(source, dataset)
    if "channels" in dataset:
        _check_roles(source, dataset)
    if dataset["kind"] == "punctate":
        _check_punctate(source, dataset)
    if dataset["kind"] == "polymorphic":
        for stored, key in (("n_surface", "n_points"), ("n_queries", "n_queries")):
            _check_subsample(source, dataset, key, f"sample.{stored}", dataset["sample"][stored])


def _check_families(source: str, dataset: Mapping[str, Any]) -> None:
    drugs = dataset.get("analyse", {}).get("drugs") or {}
    names = [name for members in (drugs.get("families") or {}).values() for name in members]
    for name in sorted({name for name in names if names.count(name) > 1 or name == drugs["control"]}):
        reason = "is the control" if name == drugs["control"] else "stands in two families"
        raise InputError(f"{source}: analyse.drugs.families: {name!r} {reason}. Take it out.")


def _check_folds(source: str, dataset: Mapping[str, Any]) -> None:
    others = {key: dataset.get("analyse", {}).get(key) for key in ("drugs", "pieces")}
    others |= {"split": dataset.get("split"), "start_from": dataset["start_from"] != "raw"}
    if taken := next((key for key, value in others.items() if value), None):
        reason = f"folds does not go with {taken}: that takes one split, and embeddings of one training"
        raise InputError(f"{source}: {reason}. Set one of the two to null.")


def _check_derive(source: str, derive: Mapping[str, Mapping[str, str]]) -> None:
    for name, rule in derive.items():
        place = f"{source}: source.derive.{name}.pattern {rule['pattern']!r}"
        try:
            n_groups = re.compile(rule["pattern"]).groups
        except re.error as error:
            raise InputError(f"{place} is no regular expression ({error}). Mend it.") from error
        if n_groups != 1:
            raise InputError(f"{place} has {n_groups} groups. Put what is wanted, alone, in parentheses.")


def check_columns(name: str, dataset: Mapping[str, Any]) -> None:
    """Refuse columns of the source that are meant, but have a name of columns that stages write."""
    source, raw = dataset["source"], dataset["start_from"] == "raw"
    stored = reserved.stored(dataset["kind"] if raw else "") - {dataset.get("split")}
    unit = source.get("group")
    # The unit is the source's own column then.
    stored -= {"group"} if unit in ("group", ["group"]) else set()
    place = f"config/datasets/{name}.yaml"
    for column, key in dataset["needs"].items():
        if column in stored or re.fullmatch(r"weight_\d+", column):
            new = f"source.columns: {{my_{column}: {column}}}"
            remedy = f"Give the table's own another name here ({new}), or there."
            raise InputError(f"{place}: {key} names {column}, a column that stages write. {remedy}")
    for key in ("columns", "derive") if raw else ():
        made = stored | reserved.measured(dataset["kind"])
        if taken := sorted(made & set(source.get(key) or {})):
            reason = f"source.{key}.{taken[0]}: stages write a column of that name"
            raise InputError(f"{place}: {reason}. Give this one another.")


def _check_published(source: str, dataset: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    published = dataset.get("published") or {}
    for key in BY_MODEL:
        check_known(f"{source}: published.{key}", "model", published.get(key) or {}, models)
    reference = dataset["sample"].get("mode") == "reference"
    if dataset["kind"] == "packing" and reference and dataset["start_from"] == "raw":
        remedy = "Take it out, or set start_from to preprocessed or checkpoints."
        raise InputError(f"{source}: sample.mode reference is for packings with published weights. {remedy}")


def _check_roles(source: str, dataset: Mapping[str, Any]) -> None:
    role = dataset["mask"]["role"]
    used = {role} if isinstance(role, str) else set(role.values())
    for key, roles in (("align.mask", {dataset["align"]["mask"]}), ("mask.role", used)):
        for role in sorted(roles - set(dataset["channels"])):
            raise InputError(f"{source}: {key} is {role}, which `channels` does not name.")


def _check_punctate(source: str, dataset: Mapping[str, Any]) -> None:
    margin, dilation = dataset["align"].get("margin_voxel", 0), dataset["mask"].get("dilation_voxel", 0)
    if margin < dilation:
        reason = f"is less than mask.dilation_voxel = {dilation}: the rim would be cut off"
        raise InputError(f"{source}: align.margin_voxel = {margin} {reason}. Set it to {dilation:g} or more.")
    stored = dataset["sample"]["points"]["n_points"]
    _check_subsample(source, dataset, "n_points", "sample.points.n_points", stored)


def _check_subsample(source: str, dataset: Mapping[str, Any], key: str, name: str, stored: int) -> None:
    size = dataset.get("subsample", {}).get(key, 0)
    if size > stored:
        raise InputError(f"{source}: subsample.{key} = {size} is more than {name}.")


def check_parts(name: str, datasets: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the datasets in `cells_from` exist and their masked cells can be shared."""
    source, dataset = f"config/datasets/{name}.yaml", datasets[name]
    parts = dataset.get("cells_from", [])
    if not parts and not dataset["n_shards"]:
        raise InputError(f"{source}: n_shards is 0 and cells_from is empty: there is no cell.")
    check_known(f"{source}: cells_from", "dataset", parts, datasets)
    for part in parts:
        if datasets[part].get("cells_from") or datasets[part]["kind"] != dataset["kind"]:
            raise InputError(
                f"{source}: cells_from: {part} must be of kind {dataset['kind']} without cells_from."
            )
        differing = [key for key in _BEFORE_SAMPLING if datasets[part].get(key) != dataset.get(key)]
        if differing and dataset["start_from"] == "raw":
            raise InputError(
                f"{source}: {', '.join(differing)} must be as in {part}, whose masked cells are used "
                "(sample.mode: reference changes them too: set it for both)."
            )


def check_split(shares: Mapping[str, float], file: str) -> None:
    """Check that the shares of the splits sum to 1."""
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"{file}: sample.split must sum to 1, not {sum(shares.values()):g}.")


def check_seeds(seeds: Sequence[int], datasets: Mapping[str, Mapping[str, Any]], file: str) -> None:
    """Refuse several training seeds where published models, trained once, are used."""
    trained = ", ".join(name for name, dataset in datasets.items() if dataset["start_from"] in BY_MODEL)
    if trained and len(seeds) > 1:
        reason = f"lists {len(seeds)} seeds, but {trained} start from published models, trained once"
        raise InputError(f"{file}: train.seeds {reason}. Give one seed.")


def check_scored(config: Mapping[str, Any], datasets: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    """Check the names of baselines, and of the datasets in combined tables and on the page of results."""
    source = "config/config.yaml"
    check_known(f"{source}: outputs.results", "dataset", config["outputs"]["results"], datasets)
    for name, baseline in config["baselines"].items():
        if name in models:
            raise InputError(f"{source}: baselines.{name} has the name of a model. Give it another.")
        for dataset, described in datasets.items():
            if name in (described.get("embeddings") or {}):
                reason = f"embeddings.{name} has the name of a baseline of {source}"
                raise InputError(f"config/datasets/{dataset}.yaml: {reason}. Give it another.")
        check_known(f"{source}: baselines.{name}.datasets", "dataset", baseline.get("datasets", ()), datasets)
    for name, parts in config["score"].get("combined", {}).items():
        check_known(f"{source}: score.combined.{name}", "dataset", parts, datasets)
