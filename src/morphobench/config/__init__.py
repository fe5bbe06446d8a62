"""Read and check the configuration: schemas with unknown keys forbidden, then what a schema cannot say."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from morphobench.config.checks import CLOUDS, check_dataset, check_model, check_parts, check_renamed
from morphobench.config.entry import check_seeds, entry_of, overlays
from morphobench.errors import InputError

SCHEMAS = Path("config/schemas")
FIGURES = Path("config/figures")
LOOKS = ("label", "color")
# What config/datasets/template.yaml.example holds where a user's own values belong.
BLANK = "FILL"

# What `sample.mode: reference` sets of the stages before sampling, by kind of dataset.
REFERENCE = {
    "punctate": {
        "align": {"interpolation": "nearest"},
        "mask": {"reference": True},
        "box": {"quantile": 0.95, "policy": "crop"},
    },
    "polymorphic": {"mask": {"fill_holes": "slice2d"}, "scale_factor": {"reference": True}},
}


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `overlay` laid over it: mappings merge key by key, anything else is replaced.

    Examples
    --------
    >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    merged = copy.deepcopy(dict(base))
    for key, value in overlay.items():
        below = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = merge(below, value) if both else copy.deepcopy(value)
    return merged


def typed(value: Any) -> Any:
    """Turn text that is a number, a boolean or null into that, at any depth.

    Snakemake hands the nested values of --config over as text, and YAML reads 1e-3 as text.

    Examples
    --------
    >>> typed({"lr": "1e-3", "seeds": ["1", "2"], "gpus": "0", "packings": "null", "name": "7a"})
    {'lr': 0.001, 'seeds': [1, 2], 'gpus': 0, 'packings': None, 'name': '7a'}
    """
    if isinstance(value, Mapping):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, str):
        return value
    for convert in (int, float):
        try:
            return convert(value)
        except ValueError:
            pass
    return {"true": True, "false": False, "null": None}.get(value.lower(), value)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    InputError
        When the file is missing or is no YAML mapping, naming file and line.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Restore it (git checkout {path})."
        ) from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold a mapping (key: value), found {type(data).__name__}.")
    return data


def _explain(error: ValidationError, source: str) -> str:
    place = ".".join(str(part) for part in error.absolute_path) or "top level"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        lines = []
        for key in sorted(set(error.instance) - set(known)):
            close = difflib.get_close_matches(str(key), known, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}."
            lines.append(f"{source}: unknown key {key!r} at {place}; {remedy}")
        return "\n".join(lines)
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{source}: missing at {place}: {', '.join(missing)}."
    hint = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    return f"{source}: {place}: {error.message}" + (f" ({hint})" if hint else "")


@cache
def _validator(path: Path) -> Draft202012Validator:
    return Draft202012Validator(read_yaml(path))


def validate(data: Mapping[str, Any], schema_name: str, source: str, root: Path) -> None:
    """Check `data` against config/schemas/<schema_name>.schema.yaml.

    Raises
    ------
    InputError
        Listing every violation with its place and, for a misspelt key, the key that was probably meant.
    """
    check_renamed(schema_name, data, source)
    schema = _validator(root / SCHEMAS / f"{schema_name}.schema.yaml")
    errors = sorted(schema.iter_errors(data), key=lambda error: list(map(str, error.path)))
    if errors:
        raise InputError("\n".join(_explain(error, source) for error in errors))


def _blanks(value: Any, place: str = "") -> list[str]:
    """Return the dotted places that a copy of a template still leaves blank."""
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    below = [found for key, item in items for found in _blanks(item, f"{place}.{key}".strip("."))]
    return [place] if value == BLANK else below


def _registry(folder: Path, overrides: Mapping[str, Any], schema_name: str, root: Path) -> dict[str, Any]:
    known = sorted(path.stem for path in (root / folder).glob("*.yaml"))
    for name in overrides:
        if name not in known:
            raise InputError(
                f"unknown {schema_name} {name!r}: {folder} has {', '.join(known)}. Add {folder}/{name}.yaml."
            )
    entries = {}
    for name in known:
        entry = typed(merge(read_yaml(root / folder / f"{name}.yaml"), overrides.get(name) or {}))
        if blanks := _blanks(entry):
            raise InputError(
                f"{folder}/{name}.yaml: still {BLANK} at {', '.join(blanks)}. Fill in, and delete the blocks "
                "of the template that you do not need: of keys that stand there twice the last one counts."
            )
        validate(entry, schema_name, f"{folder}/{name}.yaml", root)
        entries[name] = entry
    return entries


def _entered(name: str, dataset: Mapping[str, Any], everywhere: str, root: Path) -> dict[str, Any]:
    """Return a dataset as it is used: its entry decided, and what that entry changes laid over it."""
    dataset = {**dataset, "start_from": entry_of(name, dataset, everywhere)}
    source = f"config/datasets/{name}.yaml"
    for overlay in overlays(dataset, dataset["start_from"]):
        dataset = merge(dataset, overlay)
        validate(dataset, "dataset", f"{source} with published.overrides", root)
    if dataset["sample"].get("mode") == "reference":
        dataset = merge(dataset, REFERENCE.get(dataset["kind"], {}))
        validate(dataset, "dataset", f"{source} with sample.mode reference", root)
    return {**dataset, "name": name}


def _figures(root: Path, datasets: Mapping[str, Any]) -> dict[str, Any]:
    """Read and check config/figures/*.yaml."""
    figures = {}
    for path in sorted((root / FIGURES).glob("*.yaml")):
        source, figure = f"{FIGURES}/{path.name}", read_yaml(path)
        validate(figure, "figure", source, root)
        if figure["dataset"] not in datasets:
            raise InputError(
                f"{source}: unknown dataset {figure['dataset']!r}; there are {', '.join(datasets)}."
            )
        letters = [panel["letter"] for row in figure["rows"] for panel in row["panels"]]
        twice = sorted({letter for letter in letters if letters.count(letter) > 1})
        if twice:
            raise InputError(f"{source}: two panels are called {twice[0]}. Give each a letter of its own.")
        figures[path.stem] = figure
    return figures


def _check_scored(config: Mapping[str, Any], datasets: Mapping[str, Any], models: Mapping[str, Any]) -> None:
    source = "config/config.yaml"
    for name in config["baselines"]:
        if name in models:
            raise InputError(f"{source}: baselines.{name} has the name of a model. Give it another.")
    for name, parts in config["score"].get("combined", {}).items():
        strangers = [part for part in parts if part not in datasets]
        if strangers:
            raise InputError(
                f"{source}: score.combined.{name}: unknown dataset {strangers[0]!r}; config/datasets has "
                f"{', '.join(datasets)}."
            )


def model_for(config: Mapping[str, Any], dataset: str, model: str) -> dict[str, Any]:
    """Return what a training needs to know of a model on a dataset.

    The dataset fills in the size of cubes, ranges of intensity and draws from stored clouds.

    Label and colour are left out: a new colour must not train a model again.
    """
    known = config["models"][model]
    settings = {key: copy.deepcopy(value) for key, value in known.items() if key not in LOOKS}
    described = config["datasets"][dataset]
    if settings["representation"] == "cube":
        settings["architecture"]["size"] = described["sample"]["cube"]["size"]
        # Published cubes hold what their models read; what was done to them is not published.
        units = (described.get("published") or {}).get("image_units", "model")
        if described["kind"] == "punctate" and described["start_from"] != "raw" and units == "model":
            settings |= {"input_scale": 1.0, "z_score": False}
    if settings["representation"] in ("sdf", "seg"):
        # Odd, so that quarter turns are exact; never smaller than the dataset's grid.
        settings["architecture"]["size"] = max(
            settings["architecture"]["size"], described["sample"]["resolution"] // 2 * 2 + 1
        )
    if settings.get("intensity", {}).pop("structure_norm", False):
        settings["intensity"]["structure_norms"] = described["structure_norms"]
    if settings["representation"] in CLOUDS and "subsample" in described:
        settings["subsample"] = copy.deepcopy(described["subsample"])
    return settings


def resolve(config: Mapping[str, Any], root: Path = Path()) -> dict[str, Any]:
    """Check the whole configuration and fill `datasets` and `models` from their files plus overrides.

    Parameters
    ----------
    config
        Content of config/config.yaml with every overlay already merged.
    root
        Folder that holds `config`.

    Returns
    -------
    dict
        The configuration; each dataset also carries its `name` and the `start_from` that applies to it. Key
        `figures` holds config/figures/*.yaml.

    Raises
    ------
    InputError
        With one line per problem: file, key, reason, remedy.
    """
    config = typed(config)
    validate(config, "config", "config/config.yaml", root)
    shares = config["sample"]["split"]
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"config/config.yaml: sample.split must sum to 1, not {sum(shares.values()):g}.")
    models = _registry(Path("config/models"), config["models"], "model", root)
    datasets = _registry(Path("config/datasets"), config["datasets"], "dataset", root)
    for name, model in models.items():
        check_model(name, model)
    for name in datasets:
        datasets[name] = _entered(name, datasets[name], config["start_from"], root)
        check_dataset(name, datasets[name], models)
        if datasets[name]["source"].get("max_cells") is None:
            datasets[name]["source"]["max_cells"] = config["max_cells"]
    for name in datasets:
        check_parts(name, datasets)
    check_seeds(config["train"]["seeds"], datasets)
    _check_scored(config, datasets, models)
    return {**config, "datasets": datasets, "models": models, "figures": _figures(root, datasets)}


def check_folder(path: Path) -> None:
    """Make sure that the workflow can write into `path`, which it makes itself when it is missing.

    Raises
    ------
    InputError
        When something else is there, or it is not writable.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path.resolve()} must be a folder. Move what is there.")
    place = path if path.exists() else path.resolve().parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{place.resolve()} is not writable. Make it writable (chmod u+w {place}).")


def scale_of(config: Mapping[str, Any], marker: Path) -> str:
    """Return the scale of a run: asked for, else that of the results at hand, else paper.

    A job has that of the run that started it.

    A run without `--config scale=...` goes on with what results/ holds: after `make demo`, remaking one
    figure must not start days of training at paper scale over the demo's results.
    """
    started = os.environ.get("MORPHOBENCH_SCALE") or (
        marker.read_text().strip() if marker.exists() else "paper"
    )
    scale = config.get("scale") or started
    if scale not in ("demo", "paper"):
        raise InputError(f"scale must be demo or paper, not {scale!r} (--config scale=..., or {marker}).")
    return scale
