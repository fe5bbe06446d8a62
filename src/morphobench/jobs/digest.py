"""A digest of the science code behind a rule, so that an edit reruns exactly the rules which use it."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def _file_of(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _template_of(module: str) -> str:
    """Return the text of the page template beside a module of the same name, if there is one."""
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return base.with_suffix(".html").read_text() if base.with_suffix(".html").is_file() else ""


def _strip_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def _imports(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] == "morphobench" and _file_of(name)}


@cache
def _parse(module: str) -> tuple[str, frozenset[str]]:
    path = _file_of(module)
    if path is None:
        raise ModuleNotFoundError(module)
    tree = ast.parse(path.read_text())
    imports = frozenset(_imports(tree))
    return ast.dump(_strip_docstrings(tree)) + _template_of(module), imports


def reachable(module: str) -> set[str]:
    """Return `module` and every module of this package that it imports, directly or not."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_parse(name)[1])
    return seen


@cache
def digest(*modules: str) -> str:
    """Return 16 hex digits that change with the meaning of `modules` and of all they import from here.

    Comments, formatting and docstrings do not count; the template of a page beside its module does.
    """
    names = sorted(set().union(*(reachable(module) for module in modules)))
    text = "\n".join(_parse(name)[0] for name in names)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
