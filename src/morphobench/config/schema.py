"""YAML files of the configuration, checked against config/schemas: unknown keys are forbidden."""

import copy
import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from morphobench.config.checks import check_renamed
from morphobench.errors import InputError

SCHEMAS = Path("config/schemas")
# Placeholder of config/datasets/template.yaml.example for a user's own values.
BLANK = "FILL"
# Files with sections of all others, in the order in which they are laid over each other.
OVERLAYS = ("config/config.yaml", "config/demo.yaml")


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `overlay` over it: mappings merge key by key, anything else is replaced.

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
    """Convert text that is a number, a boolean or null, at any depth.

    Snakemake passes nested values of --config as text, and YAML reads 1e-3 as text.

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
        with suppress(ValueError):
            return convert(value)
    return {"true": True, "false": False, "null": None}.get(value.lower(), value)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; an InputError names file, and line where it is no YAML."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): git checkout {path}.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold a mapping (key: value), found {type(data).__name__}.")
    return data


def read_all(folder: Path, overrides: Mapping[str, Any], kind: str, root: Path) -> dict[str, dict[str, Any]]:
    """Read and validate all YAML files of a folder, by name, with the overrides of some of them."""
    names = sorted(path.stem for path in (root / folder).glob("*.yaml"))
    if unknown := [name for name in overrides if name not in names]:
        known, added = f"{folder} has {', '.join(names)}", f"{folder}/{unknown[0]}.yaml"
        raise InputError(f"unknown {kind} {unknown[0]!r}: {known}. Add {added}.")
    entries = {}
    for name in names:
        path = folder / f"{name}.yaml"
        entry = typed(merge(read_yaml(root / path), overrides.get(name) or {}))
        if blanks := _blanks(entry):
            remedy = (
                "Fill in, and delete blocks not needed: of keys that stand there twice the last one counts."
            )
            raise InputError(f"{path}: still {BLANK} at {', '.join(blanks)}. {remedy}")
        validate(entry, kind, str(path), root)
        entries[name] = entry
    return entries


def validate(data: Mapping[str, Any], schema_name: str, source: str, root: Path) -> None:
    """Validate `data` against config/schemas/<schema_name>.schema.yaml.

    Raises
    ------
    InputError
        Naming every violation with its key, and the present or probable key for a renamed or misspelt one.
    """
    check_renamed(schema_name, data, source)
    schema = _validator(root / SCHEMAS / f"{schema_name}.schema.yaml")
    errors = sorted(schema.iter_errors(data), key=lambda error: list(map(str, error.path)))
    if errors:
        own = [f"{schema_name}s", Path(source).stem] if schema_name in ("dataset", "model") else []
        raise InputError("\n".join(_explain(error, source, own, root) for error in errors))


def file_of(source: str, keys: Sequence[Any], value: Any, root: Path, own: Sequence[str] = ()) -> str:
    """Return the file that a value in force stands in: its own, or one that is laid over it; for messages.

    In `OVERLAYS` the keys stand below `own`. A value of none of these files came with the command line.
    """
    for name, at in [(source, keys), *((overlay, [*own, *keys]) for overlay in OVERLAYS)]:
        if not (root / name).is_file():
            return source
        place: Any = typed(read_yaml(root / name))
        for key in at:
            listed = isinstance(place, list) and isinstance(key, int) and key < len(place)
            place = place[key] if listed else place.get(key) if isinstance(place, Mapping) else None
        sections = isinstance(place, Mapping) and isinstance(value, Mapping)
        if place and merge(value, place) == value if sections else place == value:
            return name
    return f"{source}, as changed by --config or --configfile"


@cache
def _validator(path: Path) -> Draft202012Validator:
    return Draft202012Validator(read_yaml(path))


def _explain(error: ValidationError, source: str, own: Sequence[str], root: Path) -> str:
    keys = list(error.absolute_path)
    place = ".".join(map(str, keys)) or "top level"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        lines = []
        for key in sorted(set(error.instance) - set(known)):
            close = difflib.get_close_matches(str(key), known, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}."
            file = file_of(source, [*keys, key], error.instance[key], root, own)
            lines.append(f"{file}: unknown key {key!r} at {place}; {remedy}")
        return "\n".join(lines)
    message, file = f"{place}: {error.message}", file_of(source, keys, error.instance, root, own)
    if error.validator == "required":
        missing = ", ".join(key for key in error.validator_value if key not in error.instance)
        message, file = f"missing at {place}: {missing}", source
    hint = error.schema.get("description")
    return f"{file}: {message}" + (f" ({hint})." if hint else ".")


def _blanks(value: Any, place: str = "") -> list[str]:
    """Return the dotted keys that a copy of the template still leaves blank."""
    listed = enumerate(value) if isinstance(value, list) else ()
    items = value.items() if isinstance(value, Mapping) else listed
    below = [blank for key, item in items for blank in _blanks(item, f"{place}.{key}".strip("."))]
    return [place] if value == BLANK else below
