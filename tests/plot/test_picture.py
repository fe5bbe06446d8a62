"""Pictures of figures for a page."""

import numpy as np
from PIL import Image

from morphobench.plot import picture


def test_a_picture_is_small_and_the_same_every_time(tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 255, 2000)[None, :, None] * np.ones((300, 1, 3))
    Image.fromarray((smooth + rng.integers(0, 2, smooth.shape)).clip(0, 255).astype(np.uint8)).save(
        tmp_path / "a.png"
    )
    for name in ("b.png", "c.png"):
        picture.run(tmp_path / "a.png", tmp_path / name)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (1100, 165)
        assert len(image.convert("RGB").getcolors()) <= 256
        assert np.abs(np.asarray(image.convert("RGB"), float)[80, 550] - 127.5).max() < 4
