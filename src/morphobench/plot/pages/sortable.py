"""Tables that sort and filter in a browser, without a network."""

import html
from collections.abc import Mapping
from pathlib import Path
from string import Template

_TEMPLATE = Path(__file__).with_name("sortable.html")


def sortable_page(title: str, intro: str, heads: str, rows: str) -> str:
    """Return a page from its intro and the fields of its table, which are HTML already."""
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), intro=intro, heads=heads, rows=rows)


def head(text: str, *, number: bool = False) -> str:
    """Return the head of a column of texts, or of numbers."""
    return f"<th{' class=number' if number else ''}>{html.escape(text)}</th>"


def model_field(name: str, looks: Mapping[str, Mapping[str, str]]) -> str:
    """Return the field of a model: a spot of its colour and its label; without `looks`, its own name."""
    look = looks.get(name, {"label": name, "color": "#999999"})
    spot = f'<span class=spot style="background:{html.escape(look["color"])}"></span>'
    return f"<td>{spot}{html.escape(str(look['label']))}</td>"
