"""The analyses that write tables: known answers, and bad input that ends in a documented table."""

import numpy as np
import pandas as pd
import pytest

from morphobench.analyse import tables
from morphobench.analyse.cells import read
from morphobench.analyse.volume_bins import assign_bins
from morphobench.errors import InputError
from morphobench.files import read_table, write_table
from morphobench.files.manifests import ALL
from morphobench.files.tables import embedding_matrix


@pytest.fixture
def written(tmp_path):
    """A manifest and an embedding of 30 cells in three strata, one of a single cell, one of two."""
    rng = np.random.default_rng(0)
    ids = [f"c{i:02d}" for i in range(30)]
    stratum = ["single", "two", "two", *["many"] * 27]
    manifest = pd.DataFrame(
        {"CellId": ids, "group": ids, "kind": stratum, "volume": rng.uniform(1, 9, 30), "split": "train"}
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
    embeddings, cells = outs(folder, "embeddings", "cells")
    own = {"stratum": "kind", "n_components": 2, "sigmas": [-2, 0, 2], "keep": None}
    tables.walk_embeddings(written["manifest"], written["embedding"], embeddings, cells, **own | settings)
    return read_table(embeddings), read_table(cells)


def archetype_tables(written, folder, **settings):
    files = outs(folder, "embeddings", "weights", "cells", "variance")
    own = {"stratum": "kind", "n_archetypes": 3, "k_list": [2, 3, 99], "n_starts": 2, "keep": None, "seed": 1}
    tables.archetype_embeddings(written["manifest"], written["embedding"], *files, **own | settings)
    return [read_table(file) for file in files]


def test_walks_name_a_real_cell_of_the_same_stratum_for_every_point(written, tmp_path):
    embeddings, cells = walks(written, tmp_path)
    assert embeddings.groupby("stratum").size().to_dict() == {"many": 6, "single": 1, "two": 3}
    labels = ["stratum", "component", "sigma"]
    pd.testing.assert_frame_equal(embeddings[labels], cells[labels])
    kind = read_table(written["manifest"]).set_index("CellId")["kind"]
    assert (kind[cells["CellId"]].to_numpy() == cells["stratum"]).all()
    alone = cells[cells["stratum"] == "single"].iloc[0]
    assert (alone["CellId"], alone["distance"]) == ("c00", pytest.approx(0))
    known = read_table(written["embedding"]).set_index("CellId")
    distance = np.linalg.norm(
        embedding_matrix(embeddings) - embedding_matrix(known.loc[cells["CellId"]]), axis=1
    )
    np.testing.assert_allclose(distance, cells["distance"], atol=1e-12)


@pytest.mark.parametrize(
    "edit", [lambda t: t.drop(columns="kind"), lambda t: t.assign(kind=None)], ids=["no column", "no label"]
)
def test_without_strata_all_cells_are_one(written, tmp_path, caplog, edit):
    change(written["manifest"], edit)
    embeddings, cells = walks(written, tmp_path)
    assert set(embeddings["stratum"]) == {ALL}
    assert len(cells) == 6
    assert "all cells are one stratum" in caplog.text
    weights = archetype_tables(written, tmp_path)[1]
    assert set(weights["kind"]) == {ALL}


def test_unlabelled_cells_belong_to_no_stratum_and_invalid_embeddings_are_left_out(written, tmp_path, caplog):
    change(written["manifest"], lambda t: t.assign(kind=t["kind"].where(t["CellId"] != "c10")))
    change(written["embedding"], lambda t: t.assign(mu_0=t["mu_0"].where(t["CellId"] != "c11")))
    embeddings, _ = walks(written, tmp_path)
    assert embeddings.loc[embeddings["stratum"] == "many", "n_cells"].tolist() == [25] * 6
    assert "1 embeddings are not finite" in caplog.text
    assert "1 cells without a value of kind" in caplog.text


def test_only_cells_to_keep_are_analysed(written, caplog):
    kept = read(written["manifest"], written["embedding"], {"kind": ["two", "single"], "colour": ["red"]})
    assert kept.ids.tolist() == ["c00", "c01", "c02"]
    assert "no column colour" in caplog.text
    with pytest.raises(InputError, match=r"analyse\.keep"):
        walks(written, written["manifest"].parent, keep={"kind": ["none of them"]})


def test_archetypes_have_weights_real_cells_and_explained_variance(written, tmp_path):
    embeddings, weights, cells, variance = archetype_tables(written, tmp_path)
    labels = ["archetype", "explained_variance", "start_distance"]
    assert embeddings.columns.tolist() == [*labels, "mu_0", "mu_1", "mu_2", "mu_3"]
    assert weights.columns.tolist() == ["CellId", "group", "kind", "weight_0", "weight_1", "weight_2"]
    np.testing.assert_allclose(weights.filter(like="weight_").sum(axis=1), 1)
    assert cells["archetype"].tolist() == [0, 1, 2]
    assert set(cells["CellId"]) <= set(weights["CellId"])
    assert variance["k"].tolist() == [2, 3]
    assert variance["chosen"].tolist() == [False, True]
    assert variance["explained_variance"].iloc[1] == embeddings["explained_variance"].iloc[0]
    again = archetype_tables(written, tmp_path)
    pd.testing.assert_frame_equal(again[0], embeddings)
    out = tmp_path / "strata.parquet"
    tables.strata(tmp_path / "weights.parquet", out, stratum="kind", n_permutations=9, seed=1)
    assert len(read_table(out)) == 9


def test_embeddings_without_variance_have_one_archetype_one_walk_point_and_no_components(
    written, tmp_path, caplog
):
    change(written["embedding"], lambda t: t.assign(**{f"mu_{i}": 0.3 for i in range(4)}))
    embeddings, weights, cells, variance = archetype_tables(written, tmp_path)
    assert embeddings["archetype"].tolist() == [0]
    assert embeddings["explained_variance"].isna().all()
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
    cells_map, archetypes_map = outs(tmp_path, "map", "map_archetypes")
    embeddings_path = tmp_path / "embeddings.parquet"
    write_table(embeddings, embeddings_path)
    paths = written["manifest"], written["embedding"], embeddings_path, cells_map, archetypes_map
    tables.embedding_map(*paths, stratum="kind", keep=None, seed=1)
    assert read_table(cells_map)[["dim_0", "dim_1"]].isna().all(axis=None)
    assert read_table(archetypes_map)["archetype"].tolist() == [0]


def test_fewer_cells_than_archetypes_have_as_many_as_cells(written, tmp_path, caplog):
    embeddings, *_ = archetype_tables(written, tmp_path, keep={"kind": ["two"]})
    assert len(embeddings) == 2
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
    files = outs(tmp_path, "bins", "embeddings", "cells")
    bins = {"column": "volume", "edges_um3": [2.0, 4.0, 15.0, 20.0]}
    paths = written["manifest"], written["embedding"]
    tables.volume_bins(*paths, *files, bins=bins, keep=None)
    table, embeddings, cells = map(read_table, files)
    assert table["n"].sum() == 30
    assert table["n"].iloc[-1] == 0
    assert embeddings["bin"].tolist() == cells["bin"].tolist() == [0, 1]
    volume = read_table(written["manifest"]).set_index("CellId")["volume"]
    assert assign_bins(volume[cells["CellId"]].to_numpy(), np.array(bins["edges_um3"])).tolist() == [0, 1]
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
