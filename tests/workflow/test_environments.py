"""Each rule's environment has what its script imports, or `--sdm conda` would fail at the first line."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from harness.rules import ALIAS, rule_blocks
from packaging.requirements import Requirement
from paths import ROOT

from morphobench.config.needs import FORMS

SOURCE = ROOT / "src"
KINDS = ("packing", "punctate", "polymorphic", *FORMS)


def module_file(name: str) -> Path | None:
    base = SOURCE.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def at_import(path: Path) -> frozenset[str]:
    """What importing a file imports: not what stands inside functions or is for type checkers alone."""
    names, waiting = set(), list(ast.parse(path.read_text()).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return frozenset(names)


@cache
def of_kinds(path: Path) -> list[str]:
    """Modules of a stage that a file picks by the kind of dataset."""
    stages = re.findall(r'stage_module\("(\w+)"', path.read_text())
    return [f"morphobench.{stage}.{kind}" for stage in stages for kind in KINDS]


@cache
def imported_by(script: str) -> dict[str, str]:
    """Packages from elsewhere that a script imports, and a module of ours that asks for each."""
    path = ROOT / "workflow/scripts" / script
    waiting = [*at_import(path), *of_kinds(path)]
    seen, found = set(), {}
    while waiting:
        name = waiting.pop()
        if name in seen or not (own := module_file(name)):
            continue
        seen |= {name}
        parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        imports = at_import(own)
        waiting += [*imports, *parents, *of_kinds(own)]
        found |= {one.split(".")[0]: name for one in imports if not one.startswith("morphobench")}
    return {package: name for package, name in found.items() if package not in sys.stdlib_module_names}


@cache
def with_requirements(package: str) -> frozenset[str]:
    """A package and all that it brings along, as installed here."""
    seen, waiting = set(), [package]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        needed = map(Requirement, lines)
        waiting += [one.name for one in needed if not one.marker or one.marker.evaluate({"extra": ""})]
    return frozenset(seen)


@cache
def provided(environment: str) -> set[str]:
    entries = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())["dependencies"]
    pip = next((entry["pip"] for entry in entries if isinstance(entry, dict)), [])
    names = [re.split(r"[ =]", entry)[0] for entry in [*entries, *pip] if isinstance(entry, str)]
    return set().union(*(with_requirements(ALIAS.get(name, name)) for name in names))


@cache
def distributions() -> Mapping[str, list[str]]:
    """The names on the package index of what can be imported here."""
    return metadata.packages_distributions()


@pytest.mark.parametrize("rule", sorted(rule_blocks()))
def test_what_a_script_imports_is_in_its_environment(rule):
    _, block = rule_blocks()[rule]
    script, environment = re.search(r"scripts/(\w+\.py)", block), re.search(r"envs/(\w+)\.yaml", block)
    if not (script and environment):
        pytest.skip("takes script and environment from another rule")
    there, owners = provided(environment[1]), distributions()
    missing = {
        package: asked
        for package, asked in imported_by(script[1]).items()
        if not there & {re.sub(r"[-_.]+", "-", name).lower() for name in owners[package]}
    }
    assert missing == {}, f"envs/{environment[1]}.yaml"


def test_the_image_copies_every_file_that_the_set_up_reads():
    pins = re.search(r"^PINS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert {*pins, "Makefile"} <= {name for line in copied[:-1] for name in line.split()}
    # It is kept out of the image that was installed outside.
    assert ".venv" in (ROOT / ".containerignore").read_text().split()
