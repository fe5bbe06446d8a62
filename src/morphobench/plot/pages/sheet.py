"""Contact sheet for the first page of the report: the picture with words, for who cannot see it."""

import html

from morphobench.files import FilePath
from morphobench.plot import picture

_ALT = "A row for each cell, a column for each stage of preprocessing, along the optical axis at one scale."
_PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<section class="landing">
<h2>Cells after every stage</h2>
<p>{said}</p>
<img style="max-width: 100%" src="{picture}" alt="{alt}">
</section>
"""


def page(png: FilePath, said: str) -> str:
    """Return the page of a contact sheet, a piece of HTML; `said` is what its title says of the cells."""
    alt = html.escape(f"Contact sheet. {said}. {_ALT}", quote=True)
    return _PAGE.format(said=html.escape(said), picture=picture.encoded(png), alt=alt)
