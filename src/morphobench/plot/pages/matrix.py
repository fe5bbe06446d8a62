"""Page of models x metrics that sorts by any column in a browser, without a network."""

import html
import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from morphobench.plot import heatmap
from morphobench.plot.pages.sortable import head, model_field, sortable_page

_INTRO = (
    "Click a heading to sort. A field is dark where the value is that of chance (the control of random "
    "numbers; for errors another cell) and light where it is that of the answers themselves; grey fields "
    "have no such ends. Hover over a field for its 95&nbsp;% interval."
)


def page(table: pd.DataFrame, looks: Mapping[str, Mapping[str, str]], title: str) -> str:
    """Return the page of a table with model, title, value, ci_low, ci_high and scaled."""
    titles = list(dict.fromkeys(table["title"]))
    by_field = {(row["model"], row["title"]): row for row in table.to_dict("records")}
    rows = "\n".join(
        "<tr>"
        + model_field(name, looks)
        + "".join(_field(by_field.get((name, column))) for column in titles)
        + "</tr>"
        for name in dict.fromkeys(table["model"])
    )
    heads = head("model") + "".join(head(column, number=True) for column in titles)
    return sortable_page(title, _INTRO, heads, rows)


def _field(row: Mapping[str, float] | None) -> str:
    if row is None:
        return '<td class=number data-key=""></td>'
    shade, bounds = row["scaled"], (row["ci_low"], row["ci_high"])
    bounded = "{:.4g} to {:.4g}".format(*bounds) if np.isfinite(bounds).all() else "no interval"
    look = f"background:{heatmap.color(shade)};color:{heatmap.text_color(shade)}"
    key = html.escape(json.dumps(float(row["value"])))
    return f'<td class=number style="{look}" title="{bounded}" data-key="{key}">{row["value"]:.3g}</td>'
