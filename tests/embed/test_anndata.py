"""Codes as AnnData: what is in the file, in which order, and the same bytes every time."""

from __future__ import annotations

import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest

from morphobench.embed import anndata as annotated
from morphobench.errors import InputError
from morphobench.files import write_table

PROVENANCE = {"dataset": "tiny", "model": "some_model", "seed": 42}


def write_tables(folder, cells=("c", "a", "b")):
    rng = np.random.default_rng(0)
    manifest = pd.DataFrame({"CellId": ["a", "b", "c", "failed"]}).assign(
        rule=["x", None, "y", "y"],
        volume_um3=[1.0, np.nan, 3.0, 4.0],
        touches_border=[True, False, True, False],
        group=["g"] * 4,
        split=["train", "val", "test", "test"],
        success=[True, True, True, False],
        error="",
        index=[0, 1, 2, -1],
        shard=0,
        first_voxel=7,
    )
    table = pd.DataFrame({"CellId": list(cells)}).assign(group="g", split="train", rotation=0)
    codes = pd.DataFrame(rng.normal(size=(len(cells), 11)).astype(np.float32))
    table = pd.concat([table, codes.add_prefix("mu_")[[f"mu_{i}" for i in (10, *range(10))]]], axis=1)
    table["maximum"] = 1.0
    errors = pd.DataFrame({"CellId": ["a", "c"], "split": "test", "success": [True, False]})
    errors = errors.assign(reason=["", "decodes to no surface"], reconstruction_iou=[0.25, 1.0])
    write_table(errors, folder / "reconstruction.parquet")
    write_table(manifest, folder / "manifest.parquet")
    write_table(table, folder / "identity.parquet")
    return table


def export(folder, name="identity.h5ad"):
    annotated.run(
        folder / "manifest.parquet",
        folder / "identity.parquet",
        folder / name,
        reconstruction=folder / "reconstruction.parquet",
        provenance=PROVENANCE,
    )
    return folder / name


def test_codes_and_what_is_known_of_the_cells(tmp_path):
    table = write_tables(tmp_path)
    found = anndata.read_h5ad(export(tmp_path))
    assert found.obs_names.tolist() == ["c", "a", "b"]
    assert found.var_names.tolist() == [f"mu_{i}" for i in range(11)]
    np.testing.assert_array_equal(found.X, table[[f"mu_{i}" for i in range(11)]])
    assert found.obs["rule"].tolist() == ["y", "x", ""]
    assert found.obs["split"].tolist() == ["test", "train", "val"]
    assert found.obs["volume_um3"].tolist()[:2] == [3.0, 1.0]
    assert np.isnan(found.obs["volume_um3"].iloc[2])
    assert found.obs["touches_border"].tolist() == [True, True, False]
    np.testing.assert_array_equal(found.obs["reconstruction_iou"], [1.0, 0.25, np.nan])
    assert found.obs["reconstruction_reason"].tolist() == ["decodes to no surface", "", ""]
    assert not set(found.obs) & {"success", "error", "index", "shard", "first_voxel", "maximum"}
    kept = found.uns["morphobench"]
    assert {key: kept[key] for key in PROVENANCE} == {**PROVENANCE, "seed": "42"}
    assert kept["version"]


def test_same_bytes_every_time(tmp_path):
    write_tables(tmp_path)
    assert export(tmp_path).read_bytes() == export(tmp_path, "again.h5ad").read_bytes()


def test_cells_of_another_run_are_told(tmp_path):
    write_tables(tmp_path, cells=("a", "stranger"))
    with pytest.raises(InputError, match="stranger"):
        export(tmp_path)
    assert not list(tmp_path.glob("*.h5ad"))


def test_torch_is_not_needed(tmp_path):
    write_tables(tmp_path)
    names = [str(tmp_path / name) for name in ("manifest.parquet", "identity.parquet", "identity.h5ad")]
    code = f"""
import sys
sys.modules["torch"] = None  # an import of it fails
from morphobench.embed import anndata as annotated
annotated.run(*{names!r}, provenance={{}})
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_columns_of_a_users_own_stay_whatever_their_kind_and_name(tmp_path):
    write_tables(tmp_path, cells=("a", "b"))
    manifest = pd.read_parquet(tmp_path / "manifest.parquet").assign(
        treatment=pd.Categorical(["x", None, "y", "y"]),
        passage=pd.array([3500005512, None, 1, 2], dtype="Int64"),
        plate=["01", "1", None, "4E2"],
        dose=["0.5", "1", None, "2"],
        first_name=["p", "q", "r", "s"],
        taken=pd.to_datetime(["2024-01-01"] * 4),
    )
    manifest.to_parquet(tmp_path / "manifest.parquet")
    annotated.run(
        *(tmp_path / name for name in ("manifest.parquet", "identity.parquet", "identity.h5ad")),
        provenance=PROVENANCE,
        numbers=["dose", "nowhere"],
    )
    obs = anndata.read_h5ad(tmp_path / "identity.h5ad").obs
    assert obs["treatment"].tolist() == ["x", ""]
    assert obs["plate"].tolist() == ["01", "1"]
    assert obs["first_name"].tolist() == ["p", "q"]
    assert obs["dose"].tolist() == [0.5, 1.0]
    assert obs["passage"].iloc[0] == 3500005512
    assert obs["taken"].tolist() == ["2024-01-01 00:00:00"] * 2
