"""Every text file is opened as UTF-8, whatever the locale."""

import ast

import pytest
from paths import ROOT

SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.py")])


def without_encoding(tree):
    """Calls that open a file as text in the encoding of the locale."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(one.arg == "encoding" for one in node.keywords):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        is_text = called in ("read_text", "write_text") or (called == "open" and not is_binary(node))
        if is_text:
            yield node.lineno


def is_binary(node):
    modes = [
        one.value
        for one in [*node.args, *(key.value for key in node.keywords)]
        if isinstance(one, ast.Constant)
    ]
    owner = getattr(getattr(node.func, "value", None), "id", "")
    # Other things are opened than files by their paths.
    return any("b" in str(mode) for mode in modes) or owner in (
        "os",
        "store",
        "archive",
        "self",
        "Image",
        "webbrowser",
    )


@pytest.mark.parametrize("text", ["open('a')", "path.open()", "path.read_text()", "path.open('w')"])
def test_calls_in_the_encoding_of_the_locale_are_found(text):
    assert list(without_encoding(ast.parse(text))) == [1]


def test_no_text_is_opened_in_the_encoding_of_the_locale():
    found = {
        str(path.relative_to(ROOT)): list(without_encoding(ast.parse(path.read_text("utf-8"))))
        for path in SOURCES
    }
    assert {path: lines for path, lines in found.items() if lines} == {}
