"""The analyses that write tables: known answers, and bad input that ends in a documented table."""

import numpy as np
import pandas as pd
import pytest

from morphobench.analyse import tables
from morphobench.analyse.archetypal import archetypes, explained_variances, to_simplex
from morphobench.analyse.cells import read
from morphobench.analyse.hull import HullPoint, project
from morphobench.analyse.map import pacmap_map
from morphobench.analyse.pca import principal_components
from morphobench.analyse.pieces import compare_features
from morphobench.analyse.strata import stratum_by_archetype
from morphobench.analyse.volume_bins import bin_edges, bin_means, bin_of
from morphobench.errors import InputError
from morphobench.files import read_table, write_table
from morphobench.files.manifests import ALL
from morphobench.files.tables import embedding_matrix

# ---------------------------------------------------------------- hull and archetypes


def test_nearest_point_of_a_square():
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    start = HullPoint(np.array([2]), np.ones(1), square[2])
    for target, expected in [((2, 0.3), (1, 0.3)), ((-1, -1), (0, 0)), ((0.2, 0.7), (0.2, 0.7))]:
        found = project(np.array(target, float), square, start, 1.0)
        np.testing.assert_allclose(found.place, expected, atol=1e-7)
        np.testing.assert_allclose(found.shares @ square[found.rows], found.place)
        assert found.shares.sum() == pytest.approx(1)
        assert (found.shares >= 0).all()


def test_nearest_point_of_random_hulls_is_optimal():
    rng = np.random.default_rng(0)
    for _ in range(20):
        vertices, target = rng.normal(size=(60, 7)), 2 * rng.normal(size=7)
        found = project(target, vertices, HullPoint(np.array([0]), np.ones(1), vertices[0]), 3.0)
        # No vertex lies further along the way to the target.
        offset = found.place - target
        assert (vertices @ offset >= found.place @ offset - 1e-8).all()


def test_simplex_projection_of_known_rows():
    rows = np.array([[0.2, 0.8], [3.0, 0.0], [0.0, 0.0], [-1.0, -3.0]])
    np.testing.assert_allclose(to_simplex(rows), [[0.2, 0.8], [1, 0], [0.5, 0.5], [1, 0]])


@pytest.mark.parametrize("seed", range(3))
def test_archetypes_never_get_worse_and_are_at_least_those_of_the_package(seed):
    from archetypes import AA

    rng = np.random.default_rng(seed)
    z = rng.dirichlet(np.full(5, 0.5), 200) @ (5 * rng.normal(size=(5, 12))) + rng.normal(size=(200, 12))
    found = archetypes(z, 5, n_starts=4, rng=rng)
    assert (np.diff(found.residuals) <= 1e-12).all()
    centred = (z - z.mean(axis=0)) / np.linalg.norm(z - z.mean(axis=0), 2)
    total = (centred**2).sum()
    known = [
        AA(5, init="furthest_sum", method="pgd", max_iter=500, tol=1e-7 * total, random_state=start).fit(
            centred
        )
        for start in range(3)
    ]
    assert found.explained_variance > 1 - min(solver.rss_ for solver in known) / total - 1e-4
    # Archetypes are mixtures of codes, so none lies beyond them.
    assert (found.z <= z.max(axis=0) + 1e-9).all()


def test_a_coreset_finds_the_archetypes_of_all_cells(monkeypatch):
    rng = np.random.default_rng(0)
    corners = 5 * rng.normal(size=(4, 6))
    z = rng.dirichlet(np.full(4, 0.4), size=3000) @ corners
    monkeypatch.setattr("morphobench.analyse.archetypal._CORESET", 300)
    found = archetypes(z, 4, n_starts=3, rng=rng)
    assert found.explained_variance > 0.99
    assert found.weights.shape == (3000, 4)
    assert (np.diff(found.residuals) <= 1e-12).all()


def test_explained_variance_rises_with_the_number_of_archetypes():
    z = np.random.default_rng(0).normal(size=(30, 4))
    table = explained_variances(z, [4, 2, 1, 31, 2], n_starts=3, rng=np.random.default_rng(0))
    assert table["k"].tolist() == [1, 2, 4]
    assert table["explained_variance"].is_monotonic_increasing


# ---------------------------------------------------------------- components, bins, strata, map


@pytest.mark.parametrize("shape", [(50, 6), (5, 9), (9000, 3)])
def test_components_are_those_of_the_singular_values(shape):
    z = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1) + 4
    found = principal_components(z, 2)
    _, singular, directions = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found.variance, singular[:2] ** 2 / len(z))
    np.testing.assert_allclose(np.abs((found.directions * directions[:2]).sum(axis=1)), 1)
    assert found.total == pytest.approx(z.var(axis=0).sum())
    np.testing.assert_allclose(found.scores(z).var(axis=0), found.variance)
    assert (found.directions.max(axis=1) == np.abs(found.directions).max(axis=1)).all()


def test_volumes_below_the_first_bin_stay_there_and_edges_belong_below():
    edges = np.array([247.407, 390.752, 533.383])
    volumes = np.array([1.0, 247.407, 390.752, 390.753, 533.383, 9999.0, np.nan])
    assert bin_of(volumes, edges).tolist() == [0, 0, 0, 1, 1, 1, -1]


def test_bins_between_quantiles_have_equal_widths():
    volumes = np.append(np.linspace(0, 100, 1001), np.nan)
    np.testing.assert_allclose(bin_edges(volumes, n_bins=4, quantiles=(0.1, 0.9)), [10, 30, 50, 70, 90])
    assert bin_edges(np.array([np.nan])).size == 0
    assert bin_edges(volumes, edges_um3=[1, 2]).tolist() == [1, 2]


def test_mean_codes_of_bins_leave_out_empty_bins():
    bins, codes = bin_means(np.array([[1.0], [3.0], [9.0]]), np.array([0, 0, -1]), np.array([0.0, 1, 2]))
    assert bins[["bin", "n"]].values.tolist() == [[0, 2], [1, 0]]
    assert codes.values.tolist() == [[0, 2.0]]


def test_strata_with_archetypes_of_their_own_are_told_from_those_without():
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


def test_a_map_is_seeded_and_places_points_near_their_cells():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(40, 6)), rng.normal(size=(40, 6)) + 12])
    first, placed = pacmap_map(z, z[[0, 79]] + 1e-3, seed=3)
    again, _ = pacmap_map(z, z[[0, 79]], seed=3)
    np.testing.assert_array_equal(first, again)
    middles = first[:40].mean(axis=0), first[40:].mean(axis=0)
    apart = np.linalg.norm(middles[0] - middles[1])
    for point, middle in zip(placed, middles, strict=True):
        assert np.linalg.norm(point - middle) < apart / 2


def test_too_few_or_equal_codes_have_no_map():
    for z in (np.random.default_rng(0).normal(size=(5, 3)), np.ones((30, 3))):
        found, placed = pacmap_map(z, z[:2], seed=1)
        assert found.shape == (len(z), 2)
        assert np.isnan(found).all()
        assert np.isnan(placed).all()


def test_pieces_are_told_from_features_that_hold_them():
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 4, 240).astype(str)
    good = np.column_stack([labels.astype(float), rng.normal(size=240)])
    split = np.array(["train", "test"])[np.arange(240) % 2]
    which = np.arange(240) % 2
    features = {"good": good, "noise": rng.normal(size=(240, 2))}
    table = compare_features(features, labels, split, which, n_bins=3)
    right = table[(table["variant"] == "corrected") & (table["metric"] == "top_1")].set_index(
        ["features", "bin"]
    )
    assert (right.loc["good", "value"].dropna() > 0.95).all()
    assert (right.loc["noise", "value"].dropna() < 0.6).all()
    assert right.loc[("good", 2), "n"] == 0
    assert right.loc[("good", 2), "reason"] != ""
    legacy = table[(table["variant"] == "legacy") & (table["bin"] == 0) & (table["metric"] == "top_1")]
    assert legacy.groupby("features")["cv"].nunique().tolist() == [5, 5]


# ---------------------------------------------------------------- from files to files


@pytest.fixture
def written(tmp_path):
    """A manifest and an embedding of 30 cells in three strata, one of a single cell, one of two."""
    rng = np.random.default_rng(0)
    ids = [f"c{i:02d}" for i in range(30)]
    stratum = ["single", "two", "two", *["many"] * 27]
    manifest = pd.DataFrame(
        {"CellId": ids, "kind": stratum, "volume": rng.uniform(1, 9, 30), "split": "train"}
    )
    z = pd.DataFrame(rng.normal(size=(30, 4)), columns=[f"mu_{i}" for i in range(4)])
    paths = {"manifest": tmp_path / "manifest.parquet", "embedding": tmp_path / "identity.parquet"}
    write_table(manifest, paths["manifest"])
    write_table(
        pd.concat([manifest[["CellId"]], z], axis=1).sample(frac=1, random_state=0), paths["embedding"]
    )
    return paths


def change(path, edit):
    write_table(edit(read_table(path)), path)


def outs(folder, *names):
    return [folder / f"{name}.parquet" for name in names]


def walks(written, folder, **settings):
    codes, cells = outs(folder, "codes", "cells")
    own = {"stratum": "kind", "n_components": 2, "sigmas": [-2, 0, 2], "keep": None}
    tables.walk_embeddings(written["manifest"], written["embedding"], codes, cells, **own | settings)
    return read_table(codes), read_table(cells)


def archetype_tables(written, folder, **settings):
    files = outs(folder, "codes", "weights", "cells", "variance")
    own = {"stratum": "kind", "n_archetypes": 3, "k_list": [2, 3, 99], "n_starts": 2, "keep": None, "seed": 1}
    tables.archetype_embeddings(written["manifest"], written["embedding"], *files, **own | settings)
    return [read_table(file) for file in files]


def test_walks_name_a_real_cell_of_the_same_stratum_for_every_point(written, tmp_path):
    codes, cells = walks(written, tmp_path)
    assert codes.groupby("stratum").size().to_dict() == {"many": 6, "single": 1, "two": 3}
    labels = ["stratum", "component", "sigma"]
    pd.testing.assert_frame_equal(codes[labels], cells[labels])
    kind = read_table(written["manifest"]).set_index("CellId")["kind"]
    assert (kind[cells["CellId"]].to_numpy() == cells["stratum"]).all()
    alone = cells[cells["stratum"] == "single"].iloc[0]
    assert (alone["CellId"], alone["distance"]) == ("c00", pytest.approx(0))
    known = read_table(written["embedding"]).set_index("CellId")
    distance = np.linalg.norm(embedding_matrix(codes) - embedding_matrix(known.loc[cells["CellId"]]), axis=1)
    np.testing.assert_allclose(distance, cells["distance"], atol=1e-12)


@pytest.mark.parametrize(
    "edit", [lambda t: t.drop(columns="kind"), lambda t: t.assign(kind=None)], ids=["no column", "no label"]
)
def test_without_strata_all_cells_are_one(written, tmp_path, caplog, edit):
    change(written["manifest"], edit)
    codes, cells = walks(written, tmp_path)
    assert set(codes["stratum"]) == {ALL}
    assert len(cells) == 6
    assert "all cells are one stratum" in caplog.text
    weights = archetype_tables(written, tmp_path)[1]
    assert set(weights["kind"]) == {ALL}


def test_unlabelled_cells_belong_to_no_stratum_and_bad_codes_are_left_out(written, tmp_path, caplog):
    change(written["manifest"], lambda t: t.assign(kind=t["kind"].where(t["CellId"] != "c10")))
    change(written["embedding"], lambda t: t.assign(mu_0=t["mu_0"].where(t["CellId"] != "c11")))
    codes, _ = walks(written, tmp_path)
    assert codes.loc[codes["stratum"] == "many", "n_cells"].tolist() == [25] * 6
    assert "1 codes are not finite" in caplog.text
    assert "1 cells without a value of kind" in caplog.text


def test_only_cells_to_keep_are_analysed(written, caplog):
    kept = read(written["manifest"], written["embedding"], {"kind": ["two", "single"], "colour": ["red"]})
    assert kept.ids.tolist() == ["c00", "c01", "c02"]
    assert "no column colour" in caplog.text
    with pytest.raises(InputError, match=r"analyse\.keep"):
        walks(written, written["manifest"].parent, keep={"kind": ["none of them"]})


def test_archetypes_have_weights_real_cells_and_explained_variance(written, tmp_path):
    codes, weights, cells, variance = archetype_tables(written, tmp_path)
    assert codes.columns.tolist() == ["archetype", "explained_variance", "mu_0", "mu_1", "mu_2", "mu_3"]
    assert weights.columns.tolist() == ["CellId", "kind", "weight_0", "weight_1", "weight_2"]
    np.testing.assert_allclose(weights.filter(like="weight_").sum(axis=1), 1)
    assert cells["archetype"].tolist() == [0, 1, 2]
    assert set(cells["CellId"]) <= set(weights["CellId"])
    assert variance["k"].tolist() == [2, 3]
    assert variance["chosen"].tolist() == [False, True]
    assert variance["explained_variance"].iloc[1] == codes["explained_variance"].iloc[0]
    again = archetype_tables(written, tmp_path)
    pd.testing.assert_frame_equal(again[0], codes)
    out = tmp_path / "strata.parquet"
    tables.strata(tmp_path / "weights.parquet", out, stratum="kind", n_permutations=9, seed=1)
    assert len(read_table(out)) == 9


def test_codes_without_variance_have_one_archetype_one_walk_point_and_no_components(
    written, tmp_path, caplog
):
    change(written["embedding"], lambda t: t.assign(**{f"mu_{i}": 0.3 for i in range(4)}))
    codes, weights, cells, variance = archetype_tables(written, tmp_path)
    assert codes["archetype"].tolist() == [0]
    assert codes["explained_variance"].isna().all()
    assert (weights["weight_0"] == 1).all()
    assert len(cells) == 1
    assert variance["k"].tolist() == [1]
    assert "the model has collapsed" in caplog.text
    walk, _ = walks(written, tmp_path)
    assert len(walk) == 3
    (out,) = outs(tmp_path, "pca")
    tables.pca(written["manifest"], written["embedding"], out, stratum="kind", keep=None)
    table = read_table(out)
    assert (table[["PC_1", "PC_2", "explained_variance_1"]] == 0).all(axis=None)
    shown, placed = outs(tmp_path, "map", "map_archetypes")
    codes_at = tmp_path / "codes.parquet"
    write_table(codes, codes_at)
    paths = written["manifest"], written["embedding"], codes_at, shown, placed
    tables.embedding_map(*paths, stratum="kind", keep=None, seed=1)
    assert read_table(shown)[["dim_0", "dim_1"]].isna().all(axis=None)
    assert read_table(placed)["archetype"].tolist() == [0]


def test_fewer_cells_than_archetypes_have_as_many_as_cells(written, tmp_path, caplog):
    codes, *_ = archetype_tables(written, tmp_path, keep={"kind": ["two"]})
    assert len(codes) == 2
    assert "as many as cells" in caplog.text


def test_components_are_shares_of_the_whole(written, tmp_path):
    (out,) = outs(tmp_path, "pca")
    tables.pca(written["manifest"], written["embedding"], out, stratum="kind", keep=None)
    table = read_table(out)
    z = embedding_matrix(read_table(written["embedding"]))
    total = z.var(axis=0).sum()
    np.testing.assert_allclose(table["PC_1"].var(ddof=0) / total, table["explained_variance_1"])
    assert abs(np.corrcoef(table["PC_1"], table["PC_2"])[0, 1]) < 1e-9


def test_volume_bins_count_every_cell_and_name_a_cell_of_the_bin(written, tmp_path):
    files = outs(tmp_path, "bins", "codes", "cells")
    bins = {"column": "volume", "unit_um3": 2.0, "edges_um3": [4.0, 8.0, 30.0, 40.0]}
    paths = written["manifest"], written["embedding"]
    tables.volume_bins(*paths, *files, bins=bins, keep=None)
    table, codes, cells = map(read_table, files)
    assert table["n"].sum() == 30
    assert table["n"].iloc[-1] == 0
    assert codes["bin"].tolist() == cells["bin"].tolist() == [0, 1]
    volume = 2 * read_table(written["manifest"]).set_index("CellId")["volume"]
    assert bin_of(volume[cells["CellId"]].to_numpy(), np.array(bins["edges_um3"])).tolist() == [0, 1]
    tables.volume_bins(*paths, *files, bins={"column": "weight"}, keep=None)
    assert [len(read_table(file)) for file in files] == [0, 0, 0]


def test_pieces_compare_every_model_with_the_shape_features(written, tmp_path):
    rng = np.random.default_rng(1)

    def edit(table):
        split = np.array(["train", "test"])[np.arange(30) % 2]
        return table.assign(split=split, pieces=rng.integers(1, 3, 30).astype(str), area=rng.normal(size=30))

    change(written["manifest"], edit)
    (out,) = outs(tmp_path, "pieces")
    own = {"label": "pieces", "features": ["area"]}
    bins = {"column": "volume", "n_bins": 2}
    models = {"one/1": written["embedding"], "two/1": written["embedding"]}
    tables.pieces(written["manifest"], models, out, settings=own, bins=bins)
    table = read_table(out)
    assert set(table["features"]) == {"shape", "one/1", "two/1"}
    assert table.groupby("features").size().nunique() == 1
    tables.pieces(written["manifest"], models, out, settings=own | {"label": "nothing"}, bins=bins)
    assert read_table(out)["value"].isna().all()
