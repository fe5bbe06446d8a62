"""Training curves as a picture: what is drawn is what the table says."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from morphobench.errors import InputError
from morphobench.files import write_table
from morphobench.plot import curves


def table(val_loss):
    n = len(val_loss)
    return pd.DataFrame(
        {"epoch": range(n), "train_loss": np.linspace(2, 1, n), "val_loss": val_loss, "seconds": 1.0}
    )


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_both_losses_and_the_kept_epoch_are_drawn():
    (axes,) = curves.draw(table([3.0, 1.5, 2.0]), "a model").axes
    training, validation, kept = axes.lines
    np.testing.assert_allclose(training.get_ydata(), [2, 1.5, 1])
    np.testing.assert_allclose(validation.get_ydata(), [3, 1.5, 2])
    assert (kept.get_xdata()[0], kept.get_ydata()[0]) == (1, 1.5)
    assert axes.get_title() == "a model"
    assert axes.get_xlabel()
    assert axes.get_ylabel()


@pytest.mark.parametrize(("losses", "scale"), [([3.0, 1.0], "log"), ([3.0, -1.0], "linear")])
def test_a_loss_below_zero_is_shown_too(losses, scale):
    (axes,) = curves.draw(table(losses), "").axes
    assert axes.get_yscale() == scale


def test_a_single_epoch_is_visible():
    (axes,) = curves.draw(table([1.0]), "").axes
    assert all(line.get_marker() not in ("", "None") for line in axes.lines)


def test_same_table_same_bytes(tmp_path):
    write_table(table([3.0, 1.5, 2.0]), tmp_path / "curves.csv")
    for name in ("a.png", "b.png"):
        curves.run(tmp_path / "curves.csv", tmp_path / name, title="a model")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert plt.imread(tmp_path / "a.png").std() > 0.01, "an empty picture"


def test_a_training_without_an_epoch_is_told():
    with pytest.raises(InputError, match="no epoch"):
        curves.draw(table([]), "")


def test_another_table_is_told_and_nothing_is_written(tmp_path):
    write_table(pd.DataFrame({"epoch": [0]}), tmp_path / "other.csv")
    with pytest.raises(InputError, match=r"other\.csv has no column train_loss, val_loss"):
        curves.run(tmp_path / "other.csv", tmp_path / "a.png", title="")
    assert not (tmp_path / "a.png").exists()
