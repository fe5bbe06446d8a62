"""The test of archetypes against strata: power, and uniform p without an effect."""

import numpy as np
import pytest
from simulate_exchange import HIGHEST, LEVEL, LOWEST
from simulate_strata import DESIGNS, p_values

from morphobench.analyse.strata import stratum_by_archetype


def test_strata_with_archetypes_of_their_own_are_distinguished_from_those_without():
    rng = np.random.default_rng(0)
    strata = np.repeat(["a", "b", "c"], 40)
    own = np.eye(3)[np.repeat([1, 2, 0], 40)] * 0.5 + rng.dirichlet(np.ones(3), 120) * 0.5
    cells = np.arange(120)
    found = stratum_by_archetype(own, [*strata[:-1], None], cells, n_permutations=199, rng=rng)
    assigned = found[found["assigned"]]
    assert assigned["archetype"].tolist() == [1, 2, 0]
    assert (assigned["p"] == 1 / 200).all()
    assert (assigned["q"] <= 0.05).all()
    assert found.groupby("stratum")["mean_weight"].sum().round(9).eq(1).all()
    assert found.drop_duplicates("stratum")["n_cells"].tolist() == [40, 40, 39]
    assert (found["reason"] == "").all()
    one = stratum_by_archetype(own, ["a"] * 120, cells, n_permutations=9, rng=rng)
    assert one[["p", "q", "p_all"]].isna().all(axis=None)
    assert (one["reason"] == "one stratum").all()


def test_strata_without_archetypes_have_uniform_p():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        weights = rng.dirichlet(np.ones(4), 60)
        found = stratum_by_archetype(weights, rng.integers(0, 6, 60), range(60), n_permutations=99, rng=rng)
        p.append(found["p_all"].iloc[0])
        # Six strata share four archetypes: two have none.
        assert found["assigned"].sum() == 4
        assert (found.groupby("stratum")["assigned"].sum() <= 1).all()
    assert abs(np.mean(np.array(p) <= 0.2) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 60)


@pytest.mark.parametrize("name", [DESIGNS[0], pytest.param(DESIGNS[2], marks=pytest.mark.long)])
def test_units_that_differ_are_no_effect_of_strata(name):
    assert LOWEST <= np.mean(p_values(name, 300, 39) <= LEVEL) <= HIGHEST


def test_cells_instead_of_units_would_find_what_is_not_there():
    assert np.mean(p_values(DESIGNS[0], 40, 39, by_cell=True) <= LEVEL) > 0.3


def test_too_few_units_have_no_p_but_a_reason():
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(4), 9)
    weights = rng.dirichlet(np.ones(3), 36)
    found = stratum_by_archetype(weights, unit % 2, unit, n_permutations=9, rng=rng)
    assert found[["p", "q", "p_all"]].isna().all(axis=None)
    assert (found["reason"] == "6 permutations of units: the smallest possible p is 0.17").all()
    assert (found["n_units"] == 2).all()
