"""The test of archetypes against strata: power, and uniform p without an effect."""

import numpy as np

from morphobench.analyse.strata import stratum_by_archetype


def test_strata_with_archetypes_of_their_own_are_distinguished_from_those_without():
    rng = np.random.default_rng(0)
    strata = np.repeat(["a", "b", "c"], 40)
    own = np.eye(3)[np.repeat([1, 2, 0], 40)] * 0.5 + rng.dirichlet(np.ones(3), 120) * 0.5
    found = stratum_by_archetype(own, [*strata[:-1], None], n_permutations=199, rng=rng)
    assigned = found[found["assigned"]]
    assert assigned["archetype"].tolist() == [1, 2, 0]
    assert (assigned["p"] == 1 / 200).all()
    assert (assigned["q"] <= 0.05).all()
    assert found.groupby("stratum")["mean_weight"].sum().round(9).eq(1).all()
    assert found.drop_duplicates("stratum")["n_cells"].tolist() == [40, 40, 39]
    one = stratum_by_archetype(own, ["a"] * 120, n_permutations=9, rng=rng)
    assert one[["p", "q", "p_all"]].isna().all(axis=None)


def test_strata_without_archetypes_have_uniform_p():
    p = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        weights = rng.dirichlet(np.ones(4), 60)
        found = stratum_by_archetype(weights, rng.integers(0, 6, 60), n_permutations=99, rng=rng)
        p.append(found["p_all"].iloc[0])
        # Six strata share four archetypes: two have none.
        assert found["assigned"].sum() == 4
        assert (found.groupby("stratum")["assigned"].sum() <= 1).all()
    assert abs(np.mean(np.array(p) <= 0.2) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 60)
