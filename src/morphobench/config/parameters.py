"""Table of every key of the configuration, drawn from its schemas; `make parameters` writes it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from morphobench.config.schema import SCHEMAS, read_schema

PAGE = Path("docs/parameters.md")
_HEAD = """# Parameters

*Answers: which keys are there, of which type, and which must be given?* Written by `make parameters`
from `config/schemas`. [config/README.md](../config/README.md) explains each, with unit and default.
"""
_LIMITS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


def rows(schema: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield key, type, whether it must be given, and description of each key of a schema; <name> is free."""
    for name, own in schema.get("properties", {}).items():
        key = f"{above}.{name}".lstrip(".")
        required = "yes" if name in schema.get("required", ()) else ""
        yield key, _type(own), required, own.get("description") or ""
        yield from rows(own, key)
    for child, key in ((schema.get("additionalProperties"), f"{above}.<name>"), (schema.get("items"), above)):
        if isinstance(child, Mapping):
            yield from rows(child, key.lstrip("."))
    for case in [*schema.get("allOf", ()), *schema.get("anyOf", ())]:
        yield from rows(case.get("then", case), above)


def _type(schema: Mapping[str, Any]) -> str:
    if values := [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())]:
        return ", ".join("null" if value is None else str(value) for value in values)
    kinds = schema.get("type", "any")
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    if "items" in schema:
        text += f" of {_type(schema['items'])}"
    return " ".join([text, *(f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema)])


def page(root: Path = Path()) -> str:
    """Return docs/parameters.md: a table for each schema; a key of several cases stands once."""
    parts = [_HEAD]
    for file in sorted((root / SCHEMAS).glob("*.schema.yaml")):
        schema = read_schema(file.name.removesuffix(".schema.yaml"), root)
        once = {key: (key, *rest) for key, *rest in rows(schema)}.values()
        cells = [[f"`{key}`", *(text.replace("|", "\\|") for text in rest)] for key, *rest in once]
        lines = [["key", "type", "required", "meaning"], ["---"] * 4, *cells]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"## {schema.get('title', file.name)}\n\n{table}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
