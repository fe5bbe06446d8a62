"""A drawn figure as a reader has it, and the tables under it in short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pypdf
import pytest

from morphobench.plot import figure


def pdf_text(path: Path, described: Mapping[str, Any]) -> str:
    """Return what a figure says; it has to be one page of the journal with its fonts and its letters."""
    (sheet,) = pypdf.PdfReader(path).pages
    width_mm, height_mm = (float(side) / 72 * 25.4 for side in sheet.mediabox[2:])
    assert width_mm == pytest.approx(180, abs=0.1)
    assert height_mm <= 257
    fonts = [font.get_object() for font in sheet["/Resources"]["/Font"].values()]
    assert fonts
    for font in fonts:
        inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        assert "/FontFile2" in inner["/FontDescriptor"].get_object()
    said = sheet.extract_text()
    assert {panel["letter"] for panel in figure.list_panels(described)} <= set(said.split())
    assert "not drawn" not in said
    assert "no table" not in said
    assert "nan" not in said.split()
    return said


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of a table, its number of rows and the sums of its numbers."""
    numbers = table.select_dtypes("number")
    return {
        "columns": list(table.columns),
        "rows": len(table),
        "sums": {name: float(f"{numbers[name].sum():.5g}") for name in numbers},
    }
