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
    "well": "well",
    "plate": "plate",
    "families": {"both": ["Torin 1uM", "BIX 1uM"]},
    "names": {"Torin 1uM": "Torin"},
}
NULLS = {"n_null": 500, "n_exchanges": 200, "seed": 1}


@pytest.fixture
def screen(tmp_path):
    """Two drugs, one with an effect in both models, and controls: wells of six cells on two plates."""
    rng = np.random.default_rng(0)
    condition = np.repeat(["DMSO (control)", "Torin 1uM", "BIX 1uM"], [60, 24, 24])
    ids = [f"c{i:03d}" for i in range(108)]
    manifest = pd.DataFrame({"CellId": ids, "condition": condition, "split": "test"})
    manifest["fov_id"], manifest["well"] = np.arange(108) // 3, [f"E{i // 12}" for i in range(108)]
    manifest["plate"] = np.arange(108) // 6 % 2
    write_table(manifest, tmp_path / "manifest.parquet")
    paths = {}
    for name in ("one/42", "two/42"):
        z = rng.normal(size=(108, 24))
        z[condition == "Torin 1uM", :3] += 2.5
        table = pd.DataFrame(z, columns=[f"mu_{i}" for i in range(24)]).assign(CellId=ids)
        paths[name] = tmp_path / f"{name[:3]}.parquet"
        write_table(table.sample(frac=1, random_state=1), paths[name])
    return tmp_path / "manifest.parquet", paths


def retrieval(screen, folder, cellprofiler=None, **block):
    groups, cells = folder / "groups.parquet", folder / "cells.parquet"
    drugs.retrieval(*screen, groups, cells, drugs=BLOCK | block, cellprofiler=cellprofiler, **NULLS)
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
    # Two of seven wells on each plate.
    assert (torin["smallest_p"] == 1 / 201).all()
    assert (torin["n_units"] == 4).all()
    assert torin["family"].tolist() == ["both", "both"]
    assert (torin["q_hierarchical"] <= torin["q"]).all()
    assert not groups.loc[groups["condition"] == "BIX 1uM", "retrieved"].any()
    assert groups.loc[groups["kind"] == "control", "drug"].tolist() == ["DMSO (control)"] * 2
    assert len(cells) == 2 * 48
    of_bix = cells["condition"] == "BIX 1uM"
    manifest = read_table(screen[0]).set_index("CellId")
    assert (manifest.loc[cells["CellId"], "condition"].to_numpy() == cells["condition"]).all()
    assert (cells.loc[of_bix, "n_positives"] == 21).all()
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
    path.write_text("")
    groups, _ = retrieval(screen, tmp_path, cellprofiler=str(path))
    assert groups["model"].unique().tolist() == ["one", "two"]
    table[["CellId", "Location_X"]].to_csv(path, index=False)
    with pytest.raises(InputError, match="Mean, StDev, Median"):
        retrieval(screen, tmp_path, cellprofiler=str(path))


@pytest.mark.parametrize("lost", ["well", "plate"])
@pytest.mark.parametrize("how", ["no column", "no value"])
def test_without_wells_or_plates_there_is_no_p_and_cells_never_stand_in(screen, tmp_path, caplog, lost, how):
    manifest = read_table(screen[0])
    write_table(
        manifest.drop(columns=lost) if how == "no column" else manifest.assign(**{lost: None}), screen[0]
    )
    groups, _ = retrieval(screen, tmp_path)
    conditions = groups[groups["kind"] == "condition"]
    assert conditions[["p", "q", "q_hierarchical"]].isna().all(axis=None)
    assert (conditions["reason"] == "its units are not known").all()
    assert conditions["mean_average_precision"].notna().all()
    assert f"no {lost}: tests have no p value" in caplog.text
    tests, scores, walk = lda(screen, tmp_path)
    assert tests[["p", "q", "cv_auroc"]].isna().all(axis=None)
    assert (tests["reason"] == "its units are not known").all()
    assert scores["score"].isna().all()
    assert np.isfinite(scores["score_fitted"]).all()
    assert len(walk) == 14


def test_a_condition_of_a_family_that_has_no_cell_is_told(screen, tmp_path, caplog):
    groups, _ = retrieval(screen, tmp_path, families={"both": ["Torin 1uM", "Torin 2uM"]})
    conditions = groups[groups["kind"] == "condition"]
    assert conditions["family"].tolist() == ["BIX 1uM", "both"] * 2
    np.testing.assert_allclose(conditions["q_hierarchical"], conditions["q"])
    assert groups.loc[groups["kind"] == "control", ["family", "q_hierarchical"]].isna().all(axis=None)
    assert "no cell has the condition Torin 2uM" in caplog.text


def test_a_well_that_is_not_declared_gives_no_p_either(screen, tmp_path, caplog):
    groups, _ = retrieval(screen, tmp_path, well=None)
    assert groups.loc[groups["kind"] == "condition", "p"].isna().all()
    assert "analyse.drugs.well names no column" in caplog.text


def test_one_well_of_a_name_on_two_plates_is_two_wells(screen, tmp_path):
    manifest = read_table(screen[0])
    # Cells of the drug in E5 alone, on both plates.
    in_one = (manifest["condition"] == "Torin 1uM") & (manifest["well"] != "E5")
    write_table(manifest.assign(condition=manifest["condition"].where(~in_one)), screen[0])
    groups, _ = retrieval(screen, tmp_path, apart="well")
    torin = groups[groups["condition"] == "Torin 1uM"]
    assert (torin["n_units"] == 2).all()
    # One of six wells on each plate.
    assert torin["smallest_p"].tolist() == pytest.approx([1 / 36] * 2)
    assert (torin["p"] == torin["smallest_p"]).all()
    assert (torin["n_scored"] == 12).all()


def test_a_condition_in_one_well_has_no_p_but_the_smallest_possible_one(screen, tmp_path):
    manifest = read_table(screen[0])
    others = (manifest["condition"] == "BIX 1uM") & ((manifest["well"] != "E7") | (manifest["plate"] != 0))
    write_table(manifest.assign(condition=manifest["condition"].where(~others)), screen[0])
    groups, _ = retrieval(screen, tmp_path)
    tests, *_ = lda(screen, tmp_path)
    for table in (groups, tests):
        bix = table[table["condition"] == "BIX 1uM"]
        assert bix[["p", "q", "q_hierarchical"]].isna().all(axis=None)
        assert bix["smallest_p"].tolist() == pytest.approx([1 / 6] * len(bix))
        assert bix["reason"].str.contains("1 units of the condition").all()


def test_lda_tables(screen, tmp_path):
    tests, scores, walk = lda(screen, tmp_path)
    assert tests["drug"].tolist() == ["BIX 1uM", "Torin"]
    by = tests.set_index("drug")
    assert by["family"].tolist() == ["both", "both"]
    assert by.loc["Torin", "control_auroc_mean"] < 0.8 < by.loc["Torin", "cv_auroc"]
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
    assert "1 units of the condition" in tests.set_index("drug").loc["BIX 1uM", "reason"]
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
