"""Page of the whole score table that sorts and filters in a browser, without a network."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

_HEADS = ("model", "metric", "variant", "value", "ci_low", "ci_high", "unit", "better", "n", "seed", "reason")
_NUMBERS = ("value", "ci_low", "ci_high", "n", "seed")
_TEMPLATE = Path(__file__).with_name("scores.html")


def page(scores: pd.DataFrame, looks: Mapping[str, Mapping[str, str]], title: str) -> str:
    """Return the page of a score table; models without label and colour in `looks` go by their own name."""
    columns = [name for name in _HEADS if name in scores]
    heads = "".join(
        f"<th{' class=number' if name in _NUMBERS else ''}>{name.replace('_', ' ')}</th>" for name in columns
    )
    rows = "\n".join(_row(row, columns, looks) for row in scores.to_dict("records"))
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title), heads=heads, rows=rows
    )


def _row(row: Mapping[str, Any], columns: list[str], looks: Mapping[str, Mapping[str, str]]) -> str:
    fields = []
    for name in columns:
        value = row[name]
        if name in _NUMBERS:
            known = value is not None and np.isfinite(value)
            text = f"{value:.4g}" if known and name not in ("n", "seed") else f"{value:.0f}" if known else ""
            key = json.dumps(float(value)) if known else ""
            fields.append(f'<td class=number data-key="{key}">{text}</td>')
        elif name == "model":
            look = looks.get(value, {"label": value, "color": "#999999"})
            spot = f'<span class=spot style="background:{html.escape(look["color"])}"></span>'
            fields.append(f"<td>{spot}{html.escape(str(look['label']))}</td>")
        else:
            fields.append(f"<td>{html.escape(value) if isinstance(value, str) else ''}</td>")
    return f"<tr>{''.join(fields)}</tr>"
