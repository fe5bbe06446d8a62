"""Training curves: training and validation loss of every epoch."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.files.tables import read_checked
from morphobench.plot import style

COLUMNS = ("epoch", "train_loss", "val_loss")


def draw(curves: pd.DataFrame, title: str) -> Figure:
    """Draw training and validation loss over epochs (columns `COLUMNS`) and mark the best epoch.

    Raises
    ------
    InputError
        When there is no epoch.
    """
    if curves.empty:
        raise InputError("The training curves hold no epoch. Train the model again.")
    style.apply()
    figure, axes = plt.subplots(figsize=(89 * style.MM, 60 * style.MM), layout="constrained")
    # A line does not display a single epoch.
    marker = "." if len(curves) == 1 else None
    axes.plot(curves["epoch"], curves["train_loss"], color="0.6", lw=1, marker=marker, label="training")
    axes.plot(curves["epoch"], curves["val_loss"], color="C0", lw=1, marker=marker, label="validation")
    best = curves.loc[curves["val_loss"].idxmin()]
    axes.plot(best["epoch"], best["val_loss"], "o", color="C3", ms=3, label=f"kept: epoch {best['epoch']:g}")
    if (curves[["train_loss", "val_loss"]] > 0).all(axis=None):
        axes.set_yscale("log")
        # The usual one writes formulas.
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set(xlabel="epoch", ylabel="loss (model units)", title=title)
    axes.legend()
    return figure


def run(curves_path: FilePath, png: FilePath, *, title: str) -> None:
    """Draw the table that a training wrote as a PNG, the same bytes every time."""
    style.save(draw(read_checked(curves_path, COLUMNS), title), png)
