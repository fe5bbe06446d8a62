"""Text that came through --config, as the numbers, booleans and null that the schemas say."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any


def typed(value: Any, *schemas: Mapping[str, Any]) -> Any:
    """Convert text that came through --config to numbers, booleans and null where no text may stand.

    `schemas` say what may stand at its place; without any, whatever looks like a number becomes one.

    Examples
    --------
    >>> typed({"lr": "1e-3", "gpus": "0", "packings": "null", "name": "7a"})
    {'lr': 0.001, 'gpus': 0, 'packings': None, 'name': '7a'}
    >>> typed({"title": "2024", "n": "3"}, {"properties": {"title": {"type": "string"}}})
    {'title': '2024', 'n': 3}
    """
    schemas = [part for schema in schemas for part in _alternatives(schema)]
    if isinstance(value, Mapping):
        return {key: typed(item, *subschemas(schemas, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item, *(schema["items"] for schema in schemas if "items" in schema)) for item in value]
    if not isinstance(value, str):
        return value
    kinds = {kind for schema in schemas for kind in kinds_of(schema)}
    if value.lower() == "null" and (not kinds or "null" in kinds):
        return None
    if "string" in kinds:
        return value
    for convert in (int, float):
        with suppress(ValueError):
            return convert(value)
    return {"true": True, "false": False}.get(value.lower(), value)


def _alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and all those that it is combined with."""
    yield schema
    for key in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(key, ()):
            yield from _alternatives(part)
    for key in ("then", "else"):
        if key in schema:
            yield from _alternatives(schema[key])


def subschemas(schemas: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    """Return what schemas say of a key: of its own, else of any."""
    named = [schema["properties"][key] for schema in schemas if key in schema.get("properties", {})]
    others = [schema.get("additionalProperties") for schema in schemas]
    return named or [schema for schema in others if isinstance(schema, Mapping)]


def kinds_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that a schema names; those of its values where it lists them."""
    stated = schema.get("type", [])
    listed = [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]
    kinds = {str: "string", type(None): "null"}
    return [*([stated] if isinstance(stated, str) else stated), *(kinds.get(type(one), "") for one in listed)]
