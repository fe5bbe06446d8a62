"""Pictures of figures and contact sheets for a page."""

import html
import re

import numpy as np
from PIL import Image

from morphobench.plot import picture
from morphobench.plot.pages import sheet


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


def test_the_page_of_a_contact_sheet_says_what_it_displays(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    said = 'My "cells": 2 of 3 cells sampled, 1 failed (first: <no> file)'
    page = sheet.page(tmp_path / "a.png", said)
    assert said in html.unescape(re.search(r'alt="([^"]*)"', page)[1])
    assert f"<p>{html.escape(said)}</p>" in page
    assert 'src="data:image/png;base64,' in page
