"""Style of all figures: sizes in print, fonts, colours, and files with the same bytes every time."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from morphobench.files import atomic_file

MM = 1 / 25.4
SMALL = 5.5  # points; nothing in a figure is smaller
DEPTH_COLORS = ("#9ecae1", "#4292c6", "#08306b")  # far to near; one hue, so it reads in grey as well
# For colour-blind readers (Okabe and Ito 2008), without black and yellow, which make poor dots; then a dark
# grey and a dark violet.
CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#5B5B5B", "#331E6B")
SURFACE = "#56B4E9"
# Sets of features that are neither a model nor a baseline.
FEATURES = {
    "shape": {"label": "Volume and area of pieces", "color": "#8C8C8C"},
    "cellprofiler": {"label": "CellProfiler", "color": "#DB57D3"},
}
CONTROL, TREATED = "#8C8C8C", "#D55E00"
SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 6.5,
    "axes.titlesize": 6.5,
    "axes.labelsize": 6.5,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "morphobench",
    "savefig.dpi": 300,
}


def apply() -> None:
    """Set the style of figures drawn from now on."""
    plt.rcdefaults()
    plt.rcParams.update(SETTINGS)
    # seaborn jitters points by numpy's global generator.
    np.random.seed(0)


def save(figure: Figure, pdf: str | Path, png: str | Path | None) -> None:
    """Write a figure as vector PDF and, unless None, as PNG, without dates, and close it."""
    with atomic_file(pdf) as part:
        figure.savefig(part, format="pdf", metadata={"CreationDate": None, "ModDate": None})
    if png is not None:
        with atomic_file(png) as part:
            figure.savefig(part, format="png", metadata={"Software": None})
    plt.close(figure)
