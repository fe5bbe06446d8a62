"""Cells for programs of others: what AnnData and CSV hold, cell by cell."""

import anndata
import numpy as np
import pandas as pd
import pytest

from morphobench.errors import InputError
from morphobench.files import write_table
from morphobench.published import export

IDS = ["c", "a", "b"]
PROVENANCE = {"title": "Tiny", "licence": "CC0", "citation": "none", "dataset": "tiny", "seed": 42}


def write_inputs(folder):
    """Tables of three cells, of which analyses leave b out and a further method lacks a."""
    rng = np.random.default_rng(0)
    manifest = pd.DataFrame({"CellId": ["a", "b", "c", "failed"]}).assign(
        treatment=["x", None, "y", "y"], dose=["1", "2.5", None, "1"], success=True, shard=0, split="train"
    )
    own = pd.DataFrame({"CellId": IDS, "mu_0": [0.1, 0.2, 0.3], "mu_1": rng.normal(size=3)})
    other = pd.DataFrame({"CellId": ["b", "c"], "mu_0": [5.0, 6.0]})
    pca = pd.DataFrame({"CellId": ["a", "c"], "PC_1": [1.0, 2.0], "PC_2": [3.0, 4.0]})
    plane = pd.DataFrame({"CellId": ["a", "c"], "dim_0": [7.0, 8.0], "dim_1": [9.0, 10.0]})
    scores = pd.DataFrame({"model": ["own", "own"], "metric": ["r2", "iou"], "value": [0.5, None]})
    scores["reason"] = ["", None]
    tables = {"manifest": manifest, "own": own, "other": other, "pca": pca, "plane": plane, "scores": scores}
    for name, table in tables.items():
        write_table(table, folder / f"{name}.parquet")
    return tables


def exported(folder, name="tiny"):
    place = {name: folder / f"{name}.parquet" for name in ("own", "other")}
    export.run(
        folder / "manifest.parquet",
        place,
        *(folder / f"{table}.parquet" for table in ("pca", "plane", "scores")),
        h5ad=folder / f"{name}.h5ad",
        csv=folder / f"{name}.csv",
        model="own",
        numbers=["dose"],
        provenance=PROVENANCE,
    )
    return anndata.read_h5ad(folder / f"{name}.h5ad"), pd.read_csv(folder / f"{name}.csv")


def test_every_cell_has_its_embeddings_planes_and_labels(tmp_path):
    tables = write_inputs(tmp_path)
    found, csv = exported(tmp_path)
    assert found.obs_names.tolist() == csv["CellId"].tolist() == IDS
    z = tables["own"][["mu_0", "mu_1"]]
    np.testing.assert_allclose(found.X, z, rtol=1e-6)
    np.testing.assert_allclose(csv[["mu_0", "mu_1"]], z, rtol=1e-6)
    pca, plane = [[2, 4], [1, 3], [np.nan] * 2], [[8, 10], [7, 9], [np.nan] * 2]
    np.testing.assert_array_equal(found.obsm["X_pca"], pca)
    np.testing.assert_array_equal(found.obsm["X_pacmap"], plane)
    np.testing.assert_array_equal(csv[["PC_1", "PC_2", "PaCMAP_1", "PaCMAP_2"]], np.hstack([pca, plane]))
    np.testing.assert_array_equal(found.obsm["other"], [[6], [np.nan], [5]])
    assert found.obs["treatment"].tolist() == ["y", "x", ""]
    np.testing.assert_array_equal(found.obs["dose"], [np.nan, 1, 2.5])
    assert not {"success", "shard"} & (set(found.obs) | set(csv))


def test_scores_and_provenance_come_along(tmp_path):
    write_inputs(tmp_path)
    kept = exported(tmp_path)[0].uns["morphobench"]
    assert {key: kept[key] for key in PROVENANCE} == {**PROVENANCE, "seed": "42"}
    assert (kept["model"], bool(kept["version"])) == ("own", True)
    assert kept["scores"]["metric"].tolist() == ["r2", "iou"]
    np.testing.assert_array_equal(kept["scores"]["value"], [0.5, np.nan])


def test_same_bytes_every_time(tmp_path):
    write_inputs(tmp_path)
    exported(tmp_path)
    exported(tmp_path, "again")
    for kind in ("h5ad", "csv"):
        assert (tmp_path / f"tiny.{kind}").read_bytes() == (tmp_path / f"again.{kind}").read_bytes()


def test_cells_of_another_manifest_are_refused(tmp_path):
    tables = write_inputs(tmp_path)
    write_table(tables["manifest"].query("CellId != 'b'"), tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="b, are not in the manifest"):
        exported(tmp_path)
    assert not (tmp_path / "tiny.h5ad").exists()
