"""config/README.md explains every key there is, with the defaults that the files really have."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml
from paths import ROOT

CONFIG = ROOT / "config"
README = (CONFIG / "README.md").read_text()
SCHEMAS = sorted((CONFIG / "schemas").glob("*.yaml"))
# What is written as code: `sample.split.train`, `.val`, `rules.<name>.mode`.
MENTIONED = re.findall(r"`([^`\n]+)`", README)


def keys_of(schema: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every property of a schema, at any depth; `<name>` for keys that a user chooses."""
    if not isinstance(schema, dict):
        return
    for name, child in schema.get("properties", {}).items():
        yield (*path, name)
        yield from keys_of(child, (*path, name))
    yield from keys_of(schema.get("additionalProperties"), (*path, "<name>"))
    yield from keys_of(schema.get("items"), path)
    for case in [*schema.get("allOf", []), *schema.get("anyOf", [])]:
        yield from keys_of(case.get("then", case), path)


def leaves() -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for file in SCHEMAS:
        paths = list(dict.fromkeys(keys_of(yaml.safe_load(file.read_text()))))
        # A key with others below it, such as `rules`, is mentioned with what stands below.
        found += [(file.stem, path) for path in paths if not any(_below(path, other) for other in paths)]
    return found


def _below(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(other) > len(path) and other[: len(path)] == path


def section(schema: str) -> str:
    heads = {
        "config": "config.yaml",
        "dataset": "datasets/",
        "model": "models/",
        "sweep": "sweeps/",
        "recipe": "recipes/",
        "figure": "figures/",
        "bucket": "buckets/",
        "published_values": "published_values.yaml",
    }
    return README.split(f"\n## {heads[schema.split('.')[0]]}")[1].split("\n## ")[0]


def test_the_schemas_have_keys_at_every_depth():
    found = {path for _, path in leaves()}
    assert ("seed",) in found
    assert ("sample", "split", "train") in found
    assert ("rules", "<name>", "decay") in found
    assert ("training", "loss_options", "blur") in found


@pytest.mark.parametrize(("schema", "path"), leaves(), ids=lambda part: str(part))
def test_every_key_is_explained(schema, path):
    cells = [line.split("|")[1] for line in section(schema).splitlines() if line.startswith("|")]
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    full = ".".join(path)
    beside = [cell for cell in cells if f"`.{path[-1]}`" in cell and f"`{'.'.join(path[:-1])}." in cell]
    # Keys of the entries of a list may be explained in the list's own row.
    parent = f"| `{'.'.join(path[:-1])}` |"
    rows = [line for line in section(schema).splitlines() if line.startswith(parent)]
    within = any(re.search(rf"\b{path[-1]}\b", row) for row in rows)
    assert full in named or beside or within, f"add `{full}` to config/README.md"


def test_every_key_of_the_readme_exists():
    known = {stem.split(".")[0]: set() for stem, _ in leaves()}
    for file in SCHEMAS:
        known[file.stem.split(".")[0]] |= {".".join(p) for p in keys_of(yaml.safe_load(file.read_text()))}
    unknown = []
    for schema, paths in known.items():
        table = section(schema).split("Keys of `architecture`")[0]
        cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
        names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
        unknown += [name for name in names if not name.startswith(".") and name not in paths]
    assert unknown == []


def test_every_key_in_the_files_is_explained():
    files = [CONFIG / "config.yaml", *CONFIG.glob("datasets/*.yaml"), *CONFIG.glob("models/*.yaml")]
    for file in files:
        for key, value in yaml.safe_load(file.read_text()).items():
            below = value if key == "architecture" else {}
            for name in (key, *below):
                said = any(name in re.split(r"[.,\s]+", mention) for mention in MENTIONED)
                assert said, f"{file.name}: {name}"


@pytest.mark.parametrize("key", ["seed", "max_failed_fraction"])
def test_defaults_of_the_table_are_those_of_the_file(key):
    row = next(line for line in section("config").splitlines() if line.startswith(f"| `{key}`"))
    assert row.split("|")[4].strip() == str(yaml.safe_load((CONFIG / "config.yaml").read_text())[key])
