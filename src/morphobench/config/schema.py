"""YAML files of the configuration, checked against config/schemas: unknown keys are forbidden."""

import copy
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from morphobench.config.checks import check_renamed
from morphobench.config.typed import kinds_of, subschemas, typed
from morphobench.errors import InputError, named

SCHEMAS = Path("config/schemas")
# Placeholder of config/datasets/template.yaml.example for a user's own values.
BLANK = "FILL"
# Files with sections of all others, in the order in which they are laid over each other.
OVERLAYS = ("config/config.yaml", "config/demo.yaml", "config/workstation.yaml")
# Names of files are those of data sets, models and figures, in paths of results too.
NAME, FIGURE_NAME = "[a-z0-9_]+", "[A-Za-z0-9_-]+"
# Folders of results that hold something else.
_TAKEN = {"config/datasets": ("all", "cells", "combined", "shapes"), "config/figures": ("cells", "shapes")}


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


def typed_config(given: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Convert what came through --config by the schemas of config.yaml, data sets and models; see `typed`."""
    own, dataset, model = (read_schema(name, root) for name in ("config", "dataset", "model"))
    sections = {"datasets": {"additionalProperties": dataset}, "models": {"additionalProperties": model}}
    return {
        key: typed(value, *subschemas([{"properties": sections}, own], key)[:1])
        for key, value in given.items()
    }


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML in which a key stands once, and 1e-3 is a number, as in YAML 1.2."""

    def get_single_node(self) -> yaml.Node | None:
        root = super().get_single_node()
        _check_keys(root)
        return root


def _check_keys(root: yaml.Node | None) -> None:
    """Raise InputError where a mapping has a key twice."""
    # Nodes that aliases repeat are looked at once.
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _check_lines([key for key, _ in node.value])
            waiting += [value for _, value in node.value]
        else:
            waiting += node.value


def _check_lines(keys: Sequence[yaml.Node]) -> None:
    lines: dict[str, int] = {}
    for key in keys:
        if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
            line = key.start_mark.line + 1
            if key.value in lines:
                found = f"key {key.value!r} stands twice, in lines {lines[key.value]} and {line}"
                raise InputError(
                    f"{found}. Keep one of them (of the template, delete the blocks not needed)."
                )
            lines[key.value] = line


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; an InputError names file, and line where it is no YAML."""
    try:
        with named(path):
            data = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)  # noqa: S506 (a safe loader)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): git checkout {path}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error}). Save it in this encoding.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} must hold a mapping (key: value), found {type(data).__name__}.")
    return data


def list_files(folder: Path, root: Path, pattern: str = NAME) -> dict[str, Path]:
    """Return the YAML files of a folder of the configuration, relative to `root`, by name.

    Raises
    ------
    InputError
        For a file whose name cannot be one of a data set, a model or a figure.
    """
    files = {}
    for path in sorted((root / folder).iterdir()):
        if not re.search(r"\.ya?ml$", path.name, re.IGNORECASE):
            continue
        remedy = f"Call it <name>.yaml, with a name of {pattern}; delete what an editor or macOS left."
        if not re.fullmatch(rf"{pattern}\.yaml", path.name):
            raise InputError(f"{folder}/{path.name}: files here cannot have this name. {remedy}")
        if path.stem in _TAKEN.get(str(folder), ()):
            raise InputError(f"{folder}/{path.name}: results have a folder of this name already. Rename it.")
        files[path.stem] = folder / path.name
    return files


def cut(value: Any, limits: Any) -> Any:
    """Return a value with each number that `limits`, mappings of the same keys, name cut to theirs.

    Examples
    --------
    >>> cut({"a": {"n": 9, "m": 9}, "k": 1}, {"a": {"n": 5}, "k": 2})
    {'a': {'n': 5, 'm': 9}, 'k': 1}
    """
    if isinstance(value, Mapping) and isinstance(limits, Mapping):
        return {key: cut(item, limits.get(key)) for key, item in value.items()}
    is_number = isinstance(value, int) and isinstance(limits, int)
    return min(value, limits) if is_number else value


def read_all(
    folder: Path,
    overrides: Mapping[str, Any],
    kind: str,
    root: Path,
    below: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    complete: Callable[[dict[str, Any]], dict[str, Any]] = lambda entries: entries,
) -> dict[str, dict[str, Any]]:
    """Read and validate all YAML files of a folder, by name, with the overrides of some of them.

    `below` changes what a file says, below the overrides. Before entries are validated, `complete` fills what
    they take from each other.
    """
    files = list_files(folder, root)
    if unknown := [name for name in overrides if name not in files]:
        known, added = f"{folder} has {', '.join(files)}", f"{folder}/{unknown[0]}.yaml"
        raise InputError(f"unknown {kind} {unknown[0]!r}: {known}. Add {added}.")
    entries = {}
    for name, path in files.items():
        entry = merge(below(read_yaml(root / path)), overrides.get(name) or {})
        if blanks := _blanks(entry):
            remedy = "Fill in, and delete the blocks that are not needed."
            raise InputError(f"{path}: still {BLANK} at {', '.join(blanks)}. {remedy}")
        entries[name] = entry
    entries = complete(entries)
    for name, path in files.items():
        validate(entries[name], kind, str(path), root)
    return entries


def validate(data: Mapping[str, Any], schema_name: str, source: str, root: Path) -> None:
    """Validate `data` against config/schemas/<schema_name>.schema.yaml.

    Raises
    ------
    InputError
        Naming every violation with its key, and the present or probable key for a renamed or misspelt one.
    """
    check_renamed(schema_name, data, source)
    schema = Draft202012Validator(read_schema(schema_name, root))
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
        place: Any = read_yaml(root / name)
        for key in at:
            listed = isinstance(place, list) and isinstance(key, int) and key < len(place)
            place = place[key] if listed else place.get(key) if isinstance(place, Mapping) else None
        sections = isinstance(place, Mapping) and isinstance(value, Mapping)
        if place and merge(value, place) == value if sections else place == value:
            return name
    return f"{source}, as changed by --config or --configfile"


def read_schema(name: str, root: Path) -> dict[str, Any]:
    """Read config/schemas/<name>.schema.yaml."""
    return _read_schema(root / SCHEMAS / f"{name}.schema.yaml")


@cache
def _read_schema(path: Path) -> dict[str, Any]:
    return read_yaml(path)


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
    if (
        error.validator == "type"
        and "string" in kinds_of(error.schema)
        and not isinstance(error.instance, list | dict)
    ):
        message += "; put it in quotes"
    hint = error.schema.get("description")
    return f"{file}: {message}" + (f" ({hint})." if hint else ".")


def _blanks(value: Any, place: str = "") -> list[str]:
    """Return the dotted keys that a copy of the template still leaves blank."""
    listed = enumerate(value) if isinstance(value, list) else ()
    items = value.items() if isinstance(value, Mapping) else listed
    below = [blank for key, item in items for blank in _blanks(item, f"{place}.{key}".strip("."))]
    return [place] if value == BLANK else below
