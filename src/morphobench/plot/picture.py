"""A figure as a picture for a page: fewer pixels and colours."""

import base64
import io
from pathlib import Path

from PIL import Image

from morphobench.files import FilePath, atomic_file

_WIDTH, _COLORS = 1100, 256
# Small marks keep their colours, which the largest shares of the picture do not decide.
_BY = Image.Quantize.MAXCOVERAGE


def reduced(png: FilePath) -> Image.Image:
    """Return a picture at most 1100 pixels wide, with 256 colours."""
    with Image.open(png) as image:
        picture = image.convert("RGB")
    height = round(picture.height * _WIDTH / picture.width)
    if picture.width > _WIDTH:
        picture = picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    return picture.quantize(_COLORS, method=_BY, dither=Image.Dither.NONE)


def encoded(png: FilePath) -> str:
    """Return a picture, as `reduced` has it, for the `src` of an image in a page."""
    stream = io.BytesIO()
    reduced(png).save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def run(png: FilePath, out: FilePath) -> None:
    """Write a PNG again, as `reduced` has it."""
    with atomic_file(Path(out)) as part:
        reduced(png).save(part, format="PNG", optimize=True)
