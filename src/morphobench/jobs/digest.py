"""Digest of the source behind a rule: an edit reruns exactly the rules whose scripts use what was edited."""

import ast
import contextlib
import hashlib
import json
import platform
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from morphobench.errors import InputError
from morphobench.files import atomic_file

PACKAGE = Path(__file__).parents[1]
# Configuration reaches a job as parameters; logging and the choice of GPUs leave no trace in its outputs; the
# interface for notebooks is in no job.
_WITHOUT_EFFECT = ("api", "config", "jobs", "log")
_IMPORTING = ("stage_module", "import_module")
_WITH_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _file_of(module: str) -> Path | None:
    package, *parts = module.split(".")
    if package != "morphobench" or parts[:1] and parts[0] in _WITHOUT_EFFECT:
        return None
    base = PACKAGE.joinpath(*parts)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _name(node: ast.expr, module: str) -> str:
    """Return the text of an expression, with {} for what is known at run time only."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_name(part, module) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _name(node.value, module)
    if isinstance(node, ast.Constant):
        return str(node.value)
    return module if ast.unparse(node) == "__name__" else "{}"


def _statements(tree: ast.Module) -> list[ast.AST]:
    """Return the tree and the statements in it, a tenth of its nodes."""
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        nodes += [child for child in ast.iter_child_nodes(node) if isinstance(child, _WITH_STATEMENTS)]
    return nodes


def _imports(nodes: Sequence[ast.AST], module: str) -> frozenset[str]:
    """Return what a module imports, also by `import_module(...)` or `stage_module(stage, ...)`."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            function = getattr(node.func, "attr", getattr(node.func, "id", None))
            if function == _IMPORTING[0]:
                names.add(f"morphobench.{'.'.join(_name(one, module) for one in node.args)}")
            elif function == _IMPORTING[1]:
                names.update(_name(one, module) for one in node.args)
    return frozenset(names)


def _meaning(tree: ast.Module, nodes: Sequence[ast.AST]) -> str:
    """Return the syntax without comments and docstrings."""
    for node in nodes:
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _parse(text: str, module: str) -> tuple[frozenset[str], str]:
    """Return what a module imports, and the digest of its meaning."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree)) if any(name in text for name in _IMPORTING) else _statements(tree)
    return _imports(nodes, module), hashlib.sha256(_meaning(tree, nodes).encode()).hexdigest()


@cache
def _parsed(path: Path, module: str = "") -> tuple[frozenset[str], str]:
    """Return `_parse` of a file, whose digest has that of the template or table beside it.

    Kept in ``__pycache__``, as Python keeps byte code, by the content: parsing takes a quarter of a plan.
    """
    text = path.read_text(encoding="utf-8")
    key = hashlib.sha256("\0".join([platform.python_version(), module, text]).encode()).hexdigest()
    kept = path.parent / "__pycache__" / f"{path.stem}.digest.json"
    try:
        known, names, digest = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = ""
    if known != key:
        names, digest = _parse(text, module)
        _keep(kept, json.dumps([key, sorted(names), digest]))
    beside = [path.with_suffix(suffix) for suffix in (".html", ".npz")]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in beside if file.is_file()]
    return frozenset(names), "".join([digest, *digests])


def _keep(path: Path, text: str) -> None:
    """Write a file at once; where that is not allowed, the next plan parses again."""
    if sys.dont_write_bytecode:
        return
    with contextlib.suppress(OSError, InputError), atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


@cache
def _resolve(names: frozenset[str], chosen: frozenset[str]) -> frozenset[str]:
    return frozenset(filter(_file_of, {name.format(choice) for name in names for choice in chosen} | names))


def reachable(script: Path, chosen: frozenset[str] = frozenset()) -> set[str]:
    """Return the modules of this package that a script imports, directly or not.

    Of modules picked by name at run time, those in `chosen` count: a kind, a family, kinds of panels.
    A picture beside the results of another stage does not count.
    """
    waiting, seen = set(_resolve(_parsed(script)[0], chosen)), set()
    if not script.name.startswith("plot_"):
        waiting = {name for name in waiting if not f"{name}.".startswith("morphobench.plot.")}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= _resolve(_parsed(_file_of(name), name)[0], chosen) - seen
    return seen


@cache
def digest(script: Path, chosen: frozenset[str] = frozenset()) -> str:
    """Return 16 hex digits of the meaning of all that a script imports from this package."""
    meanings = [_parsed(_file_of(name), name)[1] for name in sorted(reachable(script, chosen))]
    return hashlib.sha256("\n".join(meanings).encode()).hexdigest()[:16]
