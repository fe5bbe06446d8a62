"""A figure as a picture for a page: fewer pixels and colours."""

from pathlib import Path

from PIL import Image

from morphobench.files import FilePath, atomic_file

_WIDTH, _COLORS = 1100, 128


def run(png: FilePath, out: FilePath) -> None:
    """Write a PNG again, at most 1100 pixels wide, with 128 colours."""
    with Image.open(png) as image:
        picture = image.convert("RGB")
    height = round(picture.height * _WIDTH / picture.width)
    if picture.width > _WIDTH:
        picture = picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    with atomic_file(Path(out)) as part:
        picture.quantize(_COLORS, dither=Image.Dither.NONE).save(part, format="PNG", optimize=True)
