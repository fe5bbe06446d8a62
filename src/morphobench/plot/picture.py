"""A figure as a picture for a page: fewer pixels and colours."""

from pathlib import Path

from PIL import Image

from morphobench.files import FilePath, atomic_file

_WIDTH, _COLORS = 1100, 256
# Small marks keep their colours, which the largest shares of the picture do not decide.
_BY = Image.Quantize.MAXCOVERAGE


def run(png: FilePath, out: FilePath) -> None:
    """Write a PNG again, at most 1100 pixels wide, with 256 colours."""
    with Image.open(png) as image:
        picture = image.convert("RGB")
    height = round(picture.height * _WIDTH / picture.width)
    if picture.width > _WIDTH:
        picture = picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    with atomic_file(Path(out)) as part:
        few = picture.quantize(_COLORS, method=_BY, dither=Image.Dither.NONE)
        few.save(part, format="PNG", optimize=True)
