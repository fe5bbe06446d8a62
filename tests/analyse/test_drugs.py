"""Drug perturbation: the tables of retrieval and of discriminants."""

import numpy as np
import pandas as pd
import pytest

from morphobench.analyse import drugs
from morphobench.errors import InputError
from morphobench.files import read_table, write_table

BLOCK = {
    "condition": "condition",
    "control": "DMSO (control)",
    "apart": "fov_id",
    "plate": "plate_id",
    "names": {"Torin 1uM": "Torin"},
}
NULLS = {"n_null": 500, "n_exchanges": 200, "seed": 1}


@pytest.fixture
def screen(tmp_path):
    """Two drugs, one with an effect in both models, and controls."""
    rng = np.random.default_rng(0)
    condition = np.repeat(["DMSO (control)", "Torin 1uM", "BIX 1uM"], [60, 24, 24])
    ids = [f"c{i:03d}" for i in range(108)]
    manifest = pd.DataFrame({"CellId": ids, "condition": condition, "split": "test"})
    manifest["fov_id"], manifest["plate_id"] = np.arange(108) // 4, np.arange(108) % 3
    write_table(manifest, tmp_path / "manifest.parquet")
    paths = {}
    for name in ("one/42", "two/42"):
        z = rng.normal(size=(108, 24))
        z[condition == "Torin 1uM", :3] += 2.5
        table = pd.DataFrame(z, columns=[f"mu_{i}" for i in range(24)]).assign(CellId=ids)
        paths[name] = tmp_path / f"{name[:3]}.parquet"
        write_table(table.sample(frac=1, random_state=1), paths[name])
    return tmp_path / "manifest.parquet", paths


def retrieval(screen, folder, **block):
    groups, cells = folder / "groups.parquet", folder / "cells.parquet"
    drugs.retrieval(*screen, groups, cells, drugs=BLOCK | block, **NULLS)
    return read_table(groups), read_table(cells)


def lda(screen, folder, **block):
    files = [folder / f"{name}.parquet" for name in ("tests", "scores", "walk")]
    own = {"drugs": BLOCK | block, "n_permutations": 60, "seed": 1}
    drugs.lda(screen[0], screen[1]["one/42"], *files, **own)
    return [read_table(file) for file in files]


def test_retrieval_table_has_every_model_condition_and_the_controls(screen, tmp_path, caplog):
    caplog.set_level("INFO")
    groups, cells = retrieval(screen, tmp_path)
    assert groups["model"].tolist() == ["one"] * 3 + ["two"] * 3
    assert (groups["seed"] == 42).all()
    torin = groups[groups["condition"] == "Torin 1uM"]
    assert (torin["drug"] == "Torin").all()
    assert torin["retrieved"].all()
    assert not groups.loc[groups["condition"] == "BIX 1uM", "retrieved"].any()
    assert groups.loc[groups["kind"] == "control", "drug"].tolist() == ["DMSO (control)"] * 2
    assert len(cells) == 2 * 48
    of_bix = cells["condition"] == "BIX 1uM"
    manifest = read_table(screen[0]).set_index("CellId")
    assert (manifest.loc[cells["CellId"], "condition"].to_numpy() == cells["condition"]).all()
    assert (cells.loc[of_bix, "n_positives"] == 20).all()
    assert "no CellProfiler features" in caplog.text
    assert "1 of 2 conditions retrieved" in caplog.text


def test_cellprofiler_features_are_a_further_model_and_their_holes_are_reported(screen, tmp_path, caplog):
    rng = np.random.default_rng(1)
    ids = read_table(screen[0])["CellId"]
    features = pd.DataFrame(rng.normal(size=(108, 3)), columns=["Mean_Area", "StDev_Area", "Location_X"])
    features["StDev_Area"] = features["StDev_Area"].where(np.arange(108) != 70)
    table = features.assign(CellId=ids)
    path = tmp_path / "cellprofiler.csv"
    pd.concat([table, table.iloc[:1].assign(CellId="stranger")]).to_csv(path, index=False)
    groups, _ = retrieval(screen, tmp_path, cellprofiler=str(path))
    assert groups["model"].unique().tolist() == ["one", "two", "cellprofiler"]
    assert "1 of 216 values are not finite" in caplog.text
    assert "1 cells are not in the manifest" in caplog.text
    table[["CellId", "Location_X"]].to_csv(path, index=False)
    with pytest.raises(InputError, match="Mean, StDev, Median"):
        retrieval(screen, tmp_path, cellprofiler=str(path))


def test_without_fields_and_plates_cells_are_compared_and_the_log_says_so(screen, tmp_path, caplog):
    write_table(read_table(screen[0]).drop(columns=["fov_id", "plate_id"]), screen[0])
    groups, _ = retrieval(screen, tmp_path)
    assert set(groups["kind"]) == {"condition"}
    assert "no fov_id" in caplog.text
    tests, *_ = lda(screen, tmp_path)
    assert np.isfinite(tests["p"]).all()
    assert "no plate_id" in caplog.text


def test_lda_tables(screen, tmp_path):
    tests, scores, walk = lda(screen, tmp_path)
    assert tests["drug"].tolist() == ["BIX 1uM", "Torin"]
    by = tests.set_index("drug")
    assert by.loc["Torin", "q"] < 0.05 < by.loc["BIX 1uM", "q"]
    assert by.loc["Torin", ["n_cells", "n_controls"]].tolist() == [24, 60]
    assert scores.groupby("condition").size().tolist() == [84, 84]
    assert set(scores["class"]) == {"condition", "control"}
    assert np.isfinite(scores[["score", "score_fitted", "PC_1", "PC_2"]]).all(axis=None)
    assert walk.groupby("condition")["step"].apply(list).tolist() == [list(range(7))] * 2
    assert not walk.duplicated(["condition", "CellId"]).any()
    for _, steps in walk.groupby("condition"):
        fitted = scores[scores["condition"] == steps["condition"].iloc[0]]["score_fitted"]
        assert steps["position"].iloc[[0, -1]].tolist() == pytest.approx([fitted.min(), fitted.max()])
    # The end of the walk at the drug's side shows the drug.
    last = walk[(walk["drug"] == "Torin") & (walk["step"] == 6)]
    assert last["class"].tolist() == ["condition"]
    again = lda(screen, tmp_path)
    pd.testing.assert_frame_equal(again[0], tests)


@pytest.mark.parametrize("effect", [0.0, 9.0], ids=["no hit", "all hit"])
def test_tables_without_hits_and_with_hits_alone(screen, tmp_path, effect):
    manifest = read_table(screen[0]).set_index("CellId")
    for path in screen[1].values():
        table = read_table(path)
        treated = (manifest.loc[table["CellId"], "condition"] != "DMSO (control)").to_numpy()
        noise = np.random.default_rng(0).normal(size=(len(table), 24))
        noise[treated, :4] += effect
        write_table(table.assign(**{f"mu_{i}": noise[:, i] for i in range(24)}), path)
    groups, _ = retrieval(screen, tmp_path)
    conditions = groups[groups["kind"] == "condition"]
    assert (conditions["retrieved"] == (effect > 0)).all()
    tests, _, walk = lda(screen, tmp_path)
    assert ((tests["q"] < 0.05) == (effect > 0)).all()
    assert len(walk) == 14


def test_a_single_treated_cell_has_a_row_and_a_reason(screen, tmp_path):
    manifest = read_table(screen[0])
    only = manifest.index[manifest["condition"] == "BIX 1uM"][1:]
    write_table(manifest.assign(condition=manifest["condition"].where(~manifest.index.isin(only))), screen[0])
    groups, _ = retrieval(screen, tmp_path)
    bix = groups[groups["condition"] == "BIX 1uM"]
    assert bix["q"].isna().all()
    assert (bix["reason"] == "a single cell").all()
    tests, _, walk = lda(screen, tmp_path)
    assert tests.set_index("drug").loc["BIX 1uM", "reason"] == "1 cells in a class"
    assert len(walk) == 14


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"condition": "drug"}, r"analyse\.drugs\.condition"),
        ({"control": "DMSO"}, r"analyse\.drugs\.control"),
    ],
)
def test_a_wrong_column_or_control_is_named(screen, tmp_path, block, message):
    for run in (retrieval, lda):
        with pytest.raises(InputError, match=message):
            run(screen, tmp_path, **block)
