"""Style of all figures: sizes in print, fonts, colours, and files with the same bytes every time."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from morphobench.files import FilePath, atomic_file

MM = 1 / 25.4
SMALL = 5.5  # points; nothing in a figure is smaller
MAX_VECTOR = 3000  # dots; more become a picture within a vector file
DEPTH_COLORS = ("#9ecae1", "#4292c6", "#08306b")  # far to near; one hue, so it reads in grey as well
# For colour-blind readers (Okabe and Ito 2008), without black and yellow, which make poor dots; then a dark
# grey and a dark violet.
CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#5B5B5B", "#331E6B")
WARNING = "#a50f15"
SURFACE = "#56B4E9"
# Sets of features that are neither a model nor a baseline.
FEATURES = {
    "shape": {"label": "Volume and area of pieces", "color": "#8C8C8C"},
    "cellprofiler": {"label": "CellProfiler", "color": "#DB57D3"},
}
# Of the score of one training where there are several.
TRAINING = {"marker": "D", "ms": 1.6, "mfc": "white", "mec": "black", "mew": 0.4}
CONTROL, TREATED = "#8C8C8C", "#D55E00"
SETTINGS = {
    "font.family": "DejaVu Sans",
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize"), 6.5),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 6),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.5),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    # Titles and labels are text, whatever signs they have.
    "text.parse_math": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "morphobench",
    "savefig.dpi": 300,
}
# What would make the same figure differ from one writing to the next.
_METADATA = {"pdf": ("CreationDate", "ModDate"), "png": ("Software",)}


def apply() -> None:
    """Set the style of figures drawn from now on."""
    plt.rcdefaults()
    plt.rcParams.update(SETTINGS)
    # seaborn jitters points by numpy's global generator.
    np.random.seed(0)


def training_handle(several: bool) -> Line2D:
    """Return the entry of a legend for scores of single trainings; of one, that their spread is unknown."""
    if several:
        return Line2D([], [], ls="", label="single trainings", **TRAINING)
    return Line2D([], [], ls="", label="one training each: spread over trainings unknown")


def save(figure: Figure, *paths: FilePath) -> None:
    """Write a figure to files, PDF or PNG by their suffix, without dates, and close it."""
    for path in paths:
        kind = Path(path).suffix[1:]
        with atomic_file(path) as part:
            figure.savefig(part, format=kind, metadata=dict.fromkeys(_METADATA[kind]))
    plt.close(figure)
