"""Tests of drugs keep their level; quick versions of the simulations."""

import numpy as np
import pytest
from simulate_exchange import DESIGNS, HIGHEST, LEVEL, LOWEST, TESTS, Design, p_values, screen

# Few cells, so that many screens take seconds.
N = 160
FEW = {"n_cells": 1, "dimension": 6}


@pytest.mark.long
@pytest.mark.parametrize("test", TESTS)
def test_without_an_effect_the_level_is_kept_where_wells_and_plates_shift(test):
    p = p_values(test, DESIGNS["plates, unlike shares"]._replace(**FEW), N)
    assert LOWEST <= (p <= LEVEL).mean() <= HIGHEST


@pytest.mark.parametrize("test", TESTS)
def test_an_effect_is_found(test):
    strong = DESIGNS["wells, many"]._replace(effect=4.0, **FEW)
    assert (p_values(test, strong, 12) <= LEVEL).mean() > 0.8


@pytest.mark.parametrize("test", TESTS)
def test_a_single_well_has_no_p_however_different_it_is(test):
    assert np.isnan(p_values(test, Design((1,), (30,), well=2.0), 3)).all()


def test_wells_of_a_screen_shift_as_told():
    drawn = screen(Design((0,), (400,), well=2.0, n_fields=1, n_cells=4), np.random.default_rng(0))
    means = drawn.x.reshape(400, 4, -1).mean(axis=1)
    assert np.sqrt(means.var() - 1 / 4) == pytest.approx(2, rel=0.05)
