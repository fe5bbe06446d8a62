"""Retrieval: known answers, agreement with copairs, its nulls by simulation, and bad input."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from paths import SHARED
from scipy.stats import binom

from morphobench.metrics.retrieval import average_precisions, retrieval_map, standardise_on_controls

PLATE = SHARED / "data/perturbation_profiles"
FAST = {"n_null": 2000, "n_exchanges": 300}


def by_cell(x, names, control, **more):
    """Retrieval where every cell is a unit of its own."""
    return retrieval_map(x, names, control, unit=np.arange(len(x)), **{**FAST, **more})


def conditions(rng, effects, *, n=20, n_controls=80, dimension=16):
    """Profiles of controls and of conditions that are shifted by an effect each, in standard deviations."""
    parts, names = [rng.normal(size=(n_controls, dimension))], ["dmso"] * n_controls
    for number, effect in enumerate(effects):
        direction = rng.normal(size=dimension)
        shift = effect * direction / np.linalg.norm(direction)
        parts.append(rng.normal(size=(n, dimension)) + shift)
        names += [f"drug {number}"] * n
    names = np.array(names)
    return np.concatenate(parts), names, names == "dmso"


def copairs_precisions(x, names, control, apart=None):
    from copairs.map import average_precision

    meta = pd.DataFrame({"group": names, "control": control, "place": 0 if apart is None else apart})
    found = average_precision(
        meta,
        x,
        pos_sameby=["group"],
        pos_diffby=[] if apart is None else ["place"],
        neg_sameby=[],
        neg_diffby=["group", "control"],
        progress_bar=False,
    )
    return found[~control]


# ---------------------------------------------------------------- average precision


def test_average_precision_of_a_known_ranking():
    # Positives stand first and third.
    found = average_precisions(np.array([[0.9, 0.5]]), np.ones((1, 2), bool), np.array([[0.7, 0.1, 0.0]]))
    assert found[0] == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_equal_similarities_count_against_the_cell_so_a_collapsed_model_retrieves_nothing():
    found = average_precisions(np.full((1, 2), 0.5), np.ones((1, 2), bool), np.full((1, 3), 0.5))
    assert found[0] == pytest.approx((1 / 4 + 2 / 5) / 2)
    names = np.array(["dmso"] * 30 + ["a"] * 10)
    table = by_cell(np.ones((40, 4)), names, names == "dmso").groups
    assert not table["retrieved"].any()
    assert (table[["p", "p_legacy"]] > 0.9).all(axis=None)


@pytest.mark.parametrize("with_places", [False, True])
def test_average_precision_agrees_with_copairs(with_places):
    rng = np.random.default_rng(0)
    x, names, control = conditions(rng, [0.0, 1.0, 3.0])
    apart = rng.integers(0, 5, len(x)) if with_places else None
    found = retrieval_map(x, names, control, apart=apart, **FAST).cells.sort_values("row")
    known = copairs_precisions(standardise_on_controls(x, control)[0], names, control, apart)
    np.testing.assert_array_equal(found["row"], known.index)
    np.testing.assert_array_equal(found["n_positives"], known["n_pos_pairs"])
    np.testing.assert_array_equal(found["n_negatives"] + found["n_positives"], known["n_total_pairs"])
    np.testing.assert_allclose(
        found["average_precision"].to_numpy(float), known["average_precision"], rtol=0, atol=1e-12
    )


def test_p_of_cells_agrees_with_copairs_within_their_draws(tmp_path):
    from copairs import compute

    x, names, control = conditions(np.random.default_rng(1), [0.5, 1.5])
    cells = retrieval_map(x, names, control, n_null=20000, n_exchanges=1).cells
    counts = np.stack([cells["n_positives"], cells["n_positives"] + cells["n_negatives"]], axis=1)
    confs, which = np.unique(counts, axis=0, return_inverse=True)
    null = compute.get_null_dists(confs, 20000, 0, cache_dir=tmp_path, progress_bar=False)[which]
    known = (1 + (null > cells["average_precision"].to_numpy(float)[:, None]).sum(axis=1)) / 20001
    np.testing.assert_allclose(cells["p"].to_numpy(float), known, atol=5 * np.sqrt(0.25 / 20000))


@pytest.mark.parametrize("dimension", [8, 128])
@pytest.mark.long
def test_without_effect_the_false_discovery_rate_is_at_most_nominal(dimension):
    """Every discovery is false here, so the rate is the share of tables with a discovery."""
    discoveries, p, ranks = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, names, control = conditions(rng, np.zeros(5), n=12, n_controls=50, dimension=dimension)
        table = by_cell(x, names, control, n_null=1000, n_exchanges=200, seed=seed).groups
        discoveries.append(table["retrieved"].any())
        p += table["p"].tolist()
        ranks += table["p_ranks"].tolist()
    assert sum(discoveries) <= binom.ppf(0.999, 40, 0.05)
    # Conditions of one table share controls, hence the wider bound.
    assert abs(np.mean(np.array(p) <= 0.2) - 0.2) < 0.1
    if dimension == 128:
        # Why the null of independent ranks is no headline.
        assert np.mean(np.array(ranks) < 0.05) > 0.2


def test_known_effects_are_recovered_in_their_order():
    rng = np.random.default_rng(3)
    effects = np.array([0.0, 1.0, 2.0, 3.0, 4.5, 6.0])
    x, names, control = conditions(rng, effects, n=40, n_controls=150)
    table = by_cell(x, names, control).groups
    order = table["mean_average_precision"].to_numpy().argsort()
    assert order[1:].tolist() == [1, 2, 3, 4, 5] or order.tolist() == [1, 0, 2, 3, 4, 5]
    assert table["retrieved"].tolist()[2:] == [True] * 4
    assert not table["retrieved"][0]
    # With effects this strong nothing is missed; see also the table without any.
    assert table["q_legacy"].to_numpy()[-1] < 0.05


def test_cells_of_one_well_are_no_evidence_when_wells_differ():
    """Wells shift, drugs do nothing: without regard to wells everything is a hit, with them nothing is."""
    rng = np.random.default_rng(4)
    wells = np.repeat(np.arange(24), 8)
    x = rng.normal(size=(192, 8)) + (3 * rng.normal(size=(24, 8)))[wells]
    names = np.array(["dmso"] * 12 + [f"drug {i // 3}" for i in range(12)])[wells]
    blind = by_cell(x, names, names == "dmso").groups
    seeing = retrieval_map(x, names, names == "dmso", unit=wells, apart=wells, **FAST).groups
    assert blind["retrieved"].any()
    assert not seeing["retrieved"].any()
    control = seeing[seeing["kind"] == "control"].iloc[0]
    # What wells alone are worth.
    assert control["mean_average_precision"] > 0.5
    assert control["p"] < 0.01


# ---------------------------------------------------------------- properties and bad input


def test_values_do_not_depend_on_the_order_of_cells_or_on_units():
    rng = np.random.default_rng(5)
    x, names, control = conditions(rng, [0.0, 2.0])
    order = rng.permutation(len(x))
    plain = by_cell(x, names, control)
    other = by_cell(100 * x[order] + 7, names[order], control[order])
    fixed = ["group", "mean_average_precision", "p_legacy", "n_cells"]
    pd.testing.assert_frame_equal(plain.groups[fixed], other.groups[fixed], rtol=1e-3)
    again = by_cell(x, names, control)
    pd.testing.assert_frame_equal(plain.groups, again.groups)
    pd.testing.assert_frame_equal(plain.cells, again.cells)


def test_missing_values_count_as_the_mean_and_are_reported():
    rng = np.random.default_rng(6)
    x, names, control = conditions(rng, [4.0])
    plain = by_cell(x, names, control).groups
    hole = np.column_stack([x, np.full(len(x), np.nan), np.ones(len(x))])
    found = by_cell(hole, names, control)
    pd.testing.assert_frame_equal(found.groups, plain)
    assert "100 of 1800 values are not finite" in found.note
    assert "2 of 18 features do not vary among controls" in found.note
    x[3, 0] = np.inf
    assert np.isfinite(by_cell(x, names, control).groups["p"]).all()


def test_a_condition_that_cannot_be_retrieved_says_why():
    rng = np.random.default_rng(7)
    names = np.array(["dmso"] * 20 + ["single"] + ["one well"] * 5 + ["fine"] * 6)
    wells = np.array([*range(20), 20, *[21] * 5, *range(22, 28)])
    places = {"unit": wells, "apart": wells}
    table = retrieval_map(rng.normal(size=(32, 3)), names, names == "dmso", **places, **FAST).groups
    table = table[table["kind"] == "condition"].set_index("group")
    assert table.loc["single", "reason"] == "a single cell"
    assert table.loc["one well", "reason"] == "no two cells of it lie apart"
    assert table.loc["fine", "reason"] == ""
    assert table["q"].isna().tolist() == [False, True, True]
    assert np.isfinite(table.loc["one well", "p_legacy"])
    none = retrieval_map(rng.normal(size=(6, 3)), ["a"] * 6, [False] * 6, **FAST)
    assert none.groups["reason"].tolist() == ["fewer than two controls"]
    empty = retrieval_map(rng.normal(size=(6, 3)), ["a"] * 6, [True] * 6, **FAST)
    assert empty.groups.empty
    assert empty.cells.empty


def test_memory_is_that_of_the_profiles_and_blocks():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(6000, 64))
    names = np.repeat(["dmso", "a", "b"], 2000)
    tracemalloc.start()
    retrieval_map(x, names, names == "dmso", n_null=100, n_exchanges=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A single array of all similarities would take 288 MB.
    assert peak < 4 * x.nbytes + 130e6


# ---------------------------------------------------------------- real profiles


@pytest.fixture(scope="module")
def plate():
    if not PLATE.is_dir():
        pytest.skip("needs the Cell Painting plate of ../shared/data/perturbation_profiles")
    table = pd.read_csv(next(PLATE.glob("*.csv.gz")))
    x = table[[name for name in table if not name.startswith("Metadata_")]].to_numpy(float)
    names = table["Metadata_broad_sample"].to_numpy()
    return x, names, (table["Metadata_broad_sample_type"] == "control").to_numpy(), table


def test_real_profiles_agree_with_copairs(plate):
    x, names, control, _ = plate
    found = retrieval_map(x, names, control, **FAST).cells.sort_values("row")
    known = copairs_precisions(standardise_on_controls(x, control)[0], names, control)
    difference = np.abs(found["average_precision"].to_numpy(float) - known["average_precision"].to_numpy())
    # copairs keeps similarities in single precision, where a pair of 384 x 383 may change places.
    assert (difference < 1e-12).mean() > 0.98
    assert difference.max() < 0.05


@pytest.mark.long
def test_real_profiles_have_sensible_hits(plate):
    x, names, control, table = plate
    found = by_cell(x, names, control, n_null=5000, n_exchanges=1000).groups.set_index("group")
    assert 10 <= found["retrieved"].sum() < len(found)
    moa = table.drop_duplicates("Metadata_broad_sample").set_index("Metadata_broad_sample")["Metadata_moa"]
    strong = found.index[moa.reindex(found.index).fillna("").str.contains("proteasome inhibitor")]
    assert len(strong) >= 2
    # Proteasome inhibitors kill: the strongest phenotype on such a plate.
    assert found.loc[strong, "retrieved"].all()
    ranks = found["mean_average_precision"].rank(ascending=False)
    assert ranks[strong].median() <= len(found) / 4


@pytest.mark.long
def test_shuffled_real_profiles_have_none(plate):
    x, names, control, _ = plate
    shuffled = np.random.default_rng(0).permutation(len(x))
    assert not by_cell(x[shuffled], names, control).groups["retrieved"].any()
