"""Colours: the paper's palette, and distances for colour-blind readers."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate import plot_tables
from fabricate.plot_tables import CONFIG
from harness.figures import NAMES
from matplotlib.colors import to_rgb

from morphobench.plot import style

CLASSES = [style.CONTROL, style.TREATED]


# Machado et al. 2009, severity 1, on linear RGB.
BLINDNESS = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def lab(color: str, matrix: list) -> np.ndarray:
    """A colour as somebody sees it, in CIE Lab."""
    from skimage.color import rgb2lab

    srgb = np.array(to_rgb(color))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    back = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return rgb2lab(back[None, None])[0, 0]


@pytest.mark.parametrize("sight", ["normal", *BLINDNESS])
def test_colours_of_a_figure_differ_for_colour_blind_readers(sight):
    matrix = BLINDNESS.get(sight, np.eye(3))
    sets = [[look["color"] for look in plot_tables.context(name).models.values()] for name in NAMES]
    # The published colours of five models come closer (8) than we let our own.
    for colors, limit in [(one, 8) for one in sets] + [(list(style.CATEGORIES), 15), (CLASSES, 15)]:
        seen = [lab(color, matrix) for color in colors]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[i + 1 :]]
        assert min(apart) > limit, colors


def test_the_paper_palette_is_that_of_the_paper():
    assert CONFIG["plot"]["palettes"]["paper"] == ["#9CA2D6", "#6277D1", "#CF8D84", "#CE553B", "#2ED9FF"]
