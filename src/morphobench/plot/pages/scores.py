"""Page of the whole score table that sorts and filters in a browser, without a network."""

import html
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from morphobench.plot.pages.sortable import head, model_field, sortable_page

_HEADS = ("model", "metric", "variant", "value", "ci_low", "ci_high", "scaled", "unit", "better", "n", "seed")
_HEADS += ("reason",)
_NUMBERS = ("value", "ci_low", "ci_high", "scaled", "n", "seed")
_INTRO = (
    "Click a heading to sort. <b>corrected</b> is this project's definition of a metric, <b>legacy</b> "
    "the published one; ci low and ci high bound the 95&nbsp;% interval of the mean. <b>scaled</b> is 0 for "
    "chance and 1 for known answers."
)


def page(scores: pd.DataFrame, looks: Mapping[str, Mapping[str, str]], title: str) -> str:
    """Return the page of a score table; models without label and colour in `looks` go by their own name."""
    columns = [name for name in _HEADS if name in scores]
    heads = "".join(head(name.replace("_", " "), number=name in _NUMBERS) for name in columns)
    rows = "\n".join(_row(row, columns, looks) for row in scores.to_dict("records"))
    return sortable_page(title, _INTRO, heads, rows)


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
            fields.append(model_field(value, looks))
        else:
            fields.append(f"<td>{html.escape(value) if isinstance(value, str) else ''}</td>")
    return f"<tr>{''.join(fields)}</tr>"
