"""Trainings of data sets with folds and without, and where their files lie."""

import pytest

from morphobench.config import folds
from morphobench.errors import InputError

CONFIG = {"datasets": {"few": {"folds": 2}, "many": {"folds": None}, "plain": {}}}


@pytest.mark.parametrize("name", ["many", "plain"])
def test_a_data_set_without_folds_has_a_training_per_seed(name):
    assert folds.trainings(CONFIG, name, 42) == ["42"]
    assert folds.of_fold(CONFIG, "results/sample", name, "42", "m.csv") == f"results/sample/{name}/m.csv"


def test_files_of_a_fold_lie_in_its_folder_whatever_the_seed():
    for training in ("1/fold-1", "2/fold-1"):
        assert (
            folds.of_fold(CONFIG, "results/sample", "few", training, "m.csv")
            == "results/sample/few/fold-1/m.csv"
        )


@pytest.mark.parametrize(("name", "training"), [("few", "42"), ("few", "42/fold-2"), ("plain", "42/fold-0")])
def test_a_training_that_there_is_not_is_named_with_those_there_are(name, training):
    with pytest.raises(InputError, match=f"{name} has no training seed-{training}. Ask for one of seed-42"):
        folds.of_fold(CONFIG, "results/sample", name, training, "m.csv")
