"""The score stage, end to end on made-up tables: what it writes, and what it does with bad input."""

import json
import logging
import re
from fnmatch import fnmatch

import numpy as np
import pandas as pd
import pytest
from paths import ROOT
from scipy.stats import binomtest

from morphobench.errors import InputError
from morphobench.files.tables import describe_cells, read_checked
from morphobench.geometry.rotation import cube_rotations, uniform
from morphobench.score import collect, rows_embeddings, rows_rotation
from morphobench.score import pairs as score_pairs
from morphobench.score import stage as score_stage

ERRORS = {
    "reconstruction_sinkhorn_um": 0.5,
    "reconstruction_chamfer_um": 0.2,
    **{f"{name}_sinkhorn_um": 0.1 for name in ("sampling_distance", "other_cell", "mean_shape")},
    **{f"{name}_chamfer_um": 0.05 for name in ("sampling_distance", "other_cell", "mean_shape")},
    "reconstruction_sinkhorn_legacy": 7.0,
}
PAGE = ROOT / "docs/statistics.md"
FRACTIONS = np.linspace(0.1, 0.9, 9)
# How far a cell that is rotated and back is from itself.
RESAMPLED = 0.05


def with_rotated_back(table, test, rng, z):
    back = embedding_table(test, uniform(1, rng), RESAMPLED, rng, z)
    return pd.concat([table.assign(rotated_back=False), back.assign(rotated_back=True)], ignore_index=True)


def changed_table(test, z):
    """Embeddings of changed cells: so far from the cell, along the first axis; no second draw of points."""
    apart = {"reflection": 3.0, "reflection_floor": 0.0, "order": 0.0, "resolution": 1.5}
    apart |= {"resolution_floor": 1.0, "sampling": np.nan}
    tables = []
    for change, distance in apart.items():
        mu = pd.DataFrame(z[test.index] + distance * np.eye(1, z.shape[1])).add_prefix("mu_")
        mu = mu if np.isfinite(distance) else mu * np.nan
        reason = "" if np.isfinite(distance) else "all points are read"
        labels = test[["CellId"]].reset_index(drop=True).assign(change=change, reason=reason)
        tables.append(pd.concat([labels, mu], axis=1))
    return pd.concat(tables, ignore_index=True)


def embedding_table(cells, rotations, noise, rng, z):
    tables = []
    for index, matrix in enumerate(rotations):
        is_identity = np.array_equal(matrix, np.eye(3))
        rotated = z[cells.index] + (0 if is_identity else noise) * rng.normal(size=(len(cells), z.shape[1]))
        columns = {f"r_{i}{j}": matrix[i, j] for i in range(3) for j in range(3)}
        mu = pd.DataFrame(rotated.astype(np.float32), columns=[f"mu_{i}" for i in range(z.shape[1])])
        tables.append(
            pd.concat(
                [cells[["CellId"]].reset_index(drop=True).assign(rotation=index, **columns), mu], axis=1
            )
        )
    return pd.concat(tables, ignore_index=True)


@pytest.fixture
def stage(tmp_path):
    """Inputs of `score_stage.run`: 20 nuclei by 6 rules, 24 test cells, embeddings that know the rule."""
    rng = np.random.default_rng(0)
    cells = pd.DataFrame([(f"{n:02d}_{r}", f"{n:02d}", f"rule {r}") for n in range(20) for r in range(6)])
    cells.columns = ["CellId", "group", "rule"]
    number = cells["group"].astype(int)
    cells = cells.assign(split=np.select([number < 14, number < 16], ["train", "val"], "test"), success=True)
    z = rng.normal(size=(120, 8)) + 5 * np.eye(6, 8)[np.arange(120) % 6]
    cells = cells.assign(volume_um3=z @ np.arange(8), dead=np.where(np.arange(120) % 6, "no", "yes"))
    test = cells[cells["split"] == "test"]
    rotations = {"lattice": cube_rotations(), "uniform": uniform(5, rng)}
    tables = {name: embedding_table(test, some, 0.5, rng, z) for name, some in rotations.items()}
    tables["uniform"] = with_rotated_back(tables["uniform"], test, rng, z)
    tables["reconstruction"] = pd.DataFrame({"CellId": test["CellId"], **ERRORS})
    tables["invariances"] = changed_table(test, z)
    tables["identity"] = embedding_table(cells, [np.eye(3)], 0, rng, z)
    pairs = score_pairs.draw_pairs(test, 10, rng)
    tables["evolution"] = pairs.loc[pairs.index.repeat(9)].assign(
        fraction=np.tile(FRACTIONS, 10), energy=1.0 + rng.random(90), energy_input=2.0, energy_legacy=np.nan
    )
    tables["evolution"] = tables["evolution"].assign(energy_sampling=1.1, constant=False)
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    tables["manifest"] = cells
    paths = {name: tmp_path / f"{name}.parquet" for name in tables}
    for name, table in tables.items():
        table.to_parquet(paths[name], index=False)
    cost = {"parameters": 1234, "encode_s": [0.1, 0.2, 0.3], "decode_s": [0.01] * 3, "train_s": 60.0}
    cost |= {"encode_best_s": 0.02, "peak_bytes": 10**9, "energy_kwh": None, "device": "cpu"}
    (tmp_path / "cost.json").write_text(json.dumps(cost))
    return {
        "manifest": paths["manifest"],
        "embeddings": {name: paths[name] for name in ("identity", "lattice", "uniform")},
        "invariances": paths["invariances"],
        "reconstruction": paths["reconstruction"],
        "pairs": tmp_path / "pairs.csv",
        "evolution": paths["evolution"],
        "cost": tmp_path / "cost.json",
        "dataset": "made_up",
        "model": "a_model",
        "model_seed": 7,
        "dataset_config": {
            "kind": "packing",
            "labels": ["rule"],
            "targets": ["volume_um3"],
            "outlier": {"column": "dead", "outlier": ["yes"]},
        },
        "score_config": {
            "n_jackknife": 200,
            "k_neighbours": [5, 10],
            "n_compactness": 200,
            "n_fractions": 9,
            "legacy_width": 8,
        },
        "seed": 42,
        "scores_out": tmp_path / "scores.parquet",
        "items_out": tmp_path / "items.parquet",
        "replicates_out": tmp_path / "replicates.parquet",
        "outputs_out": tmp_path / "outputs.parquet",
    }


def arguments(stage):
    """Return the arguments of `score_stage.run` for a data set without folds."""
    tables = {
        name: stage[name] for name in ("manifest", "invariances", "reconstruction", "pairs", "evolution")
    }
    tables |= stage["embeddings"]
    others = {name: value for name, value in stage.items() if name not in (*tables, "embeddings")}
    return {"folds": [{name: path for name, path in tables.items() if path is not None}], **others}


def run(stage):
    score_stage.run(**arguments(stage))
    scores, items = pd.read_parquet(stage["scores_out"]), pd.read_parquet(stage["items_out"])
    return scores.set_index(["metric", "variant"]).sort_index(), items


NAMES = ["top_1", "top_2", "top_3", "balanced_accuracy", "auroc", "majority", "majority_balanced"]
ROTATED = ["top_1", "balanced_accuracy", "auroc"]
BOTH = [
    "rotation_invariance_error_lattice",
    "reconstruction",
    "evolution_energy",
    "interpolation_distance",
    "compactness",
    *[f"classification_rule_{name}" for name in NAMES[:3]],
    "regression_volume_um3_r2",
    "regression_r2",
    "outlier_balanced_accuracy",
    "inference_time",
]
CORRECTED = [
    *BOTH,
    *[f"classification_rule_{name}" for name in NAMES[3:]],
    *[f"classification_rule_{name}_rotated{end}" for name in ROTATED for end in ("", "_floor", "_lattice")],
    *[f"rotation_{name}_uniform{end}" for name in ("invariance_error", "distance") for end in ("", "_floor")],
    "rotation_distance_lattice",
    "rotation_rank_uniform",
    *(f"invariance_{change}" for change in ("reflection", "reflection_floor", "order", "sampling")),
    *(f"invariance_{change}" for change in ("resolution", "resolution_floor")),
    "reconstruction_chamfer",
    "reconstruction_missing",
    "evolution_energy_missing",
    "regression_volume_um3_r2_ols",
    "regression_r2_ols",
    "compactness_k5",
    "compactness_k10",
    *[f"reconstruction_{name}" for name in ("sampling_distance", "other_cell", "mean_shape")],
    *[f"reconstruction_chamfer_{name}" for name in ("sampling_distance", "other_cell", "mean_shape")],
    "evolution_energy_input",
    "evolution_energy_sampling",
    "regression_volume_um3_mae",
    "outlier_auroc",
    "participation_ratio",
    "parameters",
    "encode_time",
    "decode_time",
    "encode_time_best",
    "decode_time_best",
    "peak_memory",
    "energy",
    "emissions",
    "training_time",
    "gpu_hours",
]
LEGACY = [*BOTH, "regression_volume_um3_mse"]


def test_stage_writes_every_metric_once_with_interval_or_reason(stage):
    scores, items = run(stage)
    assert scores.index.is_unique
    expected = {(name, "corrected") for name in CORRECTED} | {(name, "legacy") for name in LEGACY}
    assert set(scores.index) == expected
    assert (scores["value"].notna() | (scores["reason"] != "")).all()
    bounded = scores.dropna(subset=["ci_low", "value"])
    assert len(bounded) > 25
    # Resampled areas and recalls need not straddle a value at the end of its range.
    means = bounded[~bounded.index.get_level_values(0).str.contains("auroc|balanced|r2|compactness")]
    rounding = 1e-12
    assert (means["ci_low"] <= means["value"] + rounding).all()
    assert (means["value"] <= means["ci_high"] + rounding).all()
    assert (items["seed"] == 7).all()
    assert scores.loc[("reconstruction", "corrected"), ["value", "n", "unit"]].tolist() == [0.5, 24, "um"]
    assert scores.loc[("reconstruction", "legacy"), ["value", "unit"]].tolist() == [7.0, "model units"]
    assert scores.loc[("encode_time", "corrected"), "value"] == pytest.approx(0.2)
    assert scores.loc[("inference_time", "corrected"), "value"] == pytest.approx(0.21)
    for missing in ("emissions", "energy", "gpu_hours", "decode_time_best"):
        assert "not measured" in scores.loc[(missing, "corrected"), "reason"]
        assert np.isnan(scores.loc[(missing, "corrected"), "value"])
    assert "90 of 90" in scores.loc[("evolution_energy", "legacy"), "reason"]
    assert scores.loc[("classification_rule_top_1", "corrected"), "value"] > 0.9
    assert scores.loc[("classification_rule_majority", "corrected"), "value"] == pytest.approx(1 / 6)
    assert scores.loc[("regression_volume_um3_r2", "corrected"), "value"] > 0.99
    assert scores.loc[("regression_volume_um3_mae", "corrected"), "unit"] == "um3"
    assert scores.loc[("outlier_auroc", "corrected"), "value"] > 0.9


def test_stage_has_the_published_row_counts_and_dilution(stage):
    scores, items = run(stage)
    chosen = items[(items["metric"] == "rotation_invariance_error_lattice") & (items["variant"] == "legacy")]
    assert len(chosen) == 4 * 24
    three = chosen[~chosen["item"].str.endswith("/0 deg")]
    assert len(three) == 3 * 24
    legacy = scores.loc[("rotation_invariance_error_lattice", "legacy"), "value"]
    assert legacy == pytest.approx(0.75 * three["value"].mean())
    counts = scores["n"]
    assert counts[("rotation_invariance_error_lattice", "corrected")] == 23 * 24
    assert counts[("rotation_invariance_error_uniform", "corrected")] == 5 * 24
    assert counts[("evolution_energy", "corrected")] == 10 * 9
    assert counts[("rotation_invariance_error_lattice", "legacy")] == 4 * 24
    assert counts[("reconstruction", "legacy")] == 24
    for metric in ("classification_rule_top_1", "outlier_balanced_accuracy"):
        assert counts[(metric, "legacy")] == 5
    assert counts[("regression_r2", "legacy")] == 100
    pair = (
        items[items["metric"] == "interpolation_distance"].groupby("variant")["value"].agg(["size", "mean"])
    )
    assert pair["size"].tolist() == [90, 90]


def test_stage_does_not_depend_on_row_order(stage):
    first, _ = run(stage)
    for path in (*stage["embeddings"].values(), stage["manifest"], stage["evolution"]):
        pd.read_parquet(path).sample(frac=1, random_state=1).to_parquet(path, index=False)
    second, _ = run(stage)
    pd.testing.assert_frame_equal(first, second)


def test_stage_survives_missing_numbers_and_says_so(stage, caplog):
    identity = pd.read_parquet(stage["embeddings"]["identity"])
    broken = identity["CellId"].isin(["19_0", "00_1"])
    identity.loc[broken, "mu_3"] = np.nan
    identity.to_parquet(stage["embeddings"]["identity"], index=False)
    rewrite(stage["reconstruction"], lambda t: t.assign(reconstruction_sinkhorn_um=np.nan))
    lattice = pd.read_parquet(stage["embeddings"]["lattice"])
    lattice[lattice["rotation"] < 2].to_parquet(stage["embeddings"]["lattice"], index=False)
    scores, _ = run(stage)
    assert scores.loc[("reconstruction", "corrected"), "n"] == 0
    assert "24 of 24" in scores.loc[("reconstruction", "corrected"), "reason"]
    assert scores.loc[("rotation_invariance_error_uniform", "corrected"), "n"] == 5 * 23
    assert "degrees about z" in scores.loc[("rotation_invariance_error_lattice", "legacy"), "reason"]
    assert "2 of 120" in scores.loc[("classification_rule_top_1", "corrected"), "reason"]
    assert np.isfinite(scores.loc[("compactness", "corrected"), "value"])
    assert "no estimate" in scores.loc[("compactness", "legacy"), "reason"]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(set(warnings)) < 12
    assert [text for text in warnings if "2 of 120" in text and "classification_rule_top_1" in text]
    assert not [text for text in warnings if "degrees about z" in text]


def rewrite(path, change):
    change(pd.read_parquet(path)).to_parquet(path, index=False)


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        ("manifest", lambda t: t.drop(columns="split"), "no column split"),
        ("manifest", lambda t: pd.concat([t, t[:1]]), "00_0 more than once"),
        ("manifest", lambda t: t[1:], "first 00_0, are not in the manifest"),
        ("evolution", lambda t: t[1:], "every fraction"),
        ("evolution", lambda t: t.drop(columns="energy"), "no column energy"),
        ("identity", lambda t: pd.concat([t, t[:1]]), "00_0 is there more than once"),
        ("lattice", lambda t: t.drop(columns="r_00"), "no column r_00"),
        ("identity", lambda t: t[t["CellId"] != "19_5"], "19_5 is not among the unrotated cells"),
    ],
)
def test_stage_refuses_tables_that_do_not_fit(stage, table, change, message):
    rewrite({**stage, **stage["embeddings"]}[table], change)
    with pytest.raises(InputError, match=message):
        score_stage.run(**arguments(stage))
    assert not stage["scores_out"].exists()


def test_stage_refuses_a_missing_table_and_pairs_of_strangers(stage):
    pairs = pd.read_csv(stage["pairs"])
    pairs.assign(end="nobody").to_csv(stage["pairs"], index=False)
    with pytest.raises(InputError, match="without embedding"):
        score_stage.run(**arguments(stage))
    stage["embeddings"]["lattice"].unlink()
    with pytest.raises(InputError, match="does not exist"):
        score_stage.run(**arguments(stage))


def test_pairs_are_written_for_sampled_test_cells_only(stage, tmp_path):
    rewrite(stage["manifest"], lambda t: t.assign(success=t["CellId"] != "19_5"))
    out = tmp_path / "pairs.csv"
    score_pairs.run(stage["manifest"], out, n_pairs=100, seed=42, dataset="made_up")
    pairs = pd.read_csv(out)
    assert len(pairs) == 11
    drawn = {*pairs["start"], *pairs["end"]}
    assert "19_5" not in drawn
    assert {cell[:2] for cell in drawn} <= {"16", "17", "18", "19"}


def test_combine_stacks_tables_and_refuses_strangers(stage):
    scores, _ = run(stage)
    both = collect.concatenate([stage["scores_out"], stage["scores_out"]])
    assert len(both) == 2 * len(scores)
    assert both.dtypes.equals(pd.read_parquet(stage["scores_out"]).dtypes)
    with pytest.raises(InputError, match="different columns"):
        collect.concatenate([stage["scores_out"], stage["items_out"]])
    with pytest.raises(InputError, match="no model"):
        collect.concatenate([])


def test_numeric_cell_ids_are_read_as_text(tmp_path):
    pd.DataFrame({"CellId": [1, 2], "group": [1, 1]}).to_parquet(tmp_path / "t.parquet")
    table = read_checked(tmp_path / "t.parquet", ["group"])
    assert describe_cells(pd.Series(["2"]), table, "t")["group"].tolist() == [1]


# ---------------------------------------------------------------- what is absent, and bad input


def test_what_is_absent_is_null_with_a_reason_and_no_warning(stage, caplog):
    stage["embeddings"] = {"identity": stage["embeddings"]["identity"], "lattice": None}
    missing = dict.fromkeys(("reconstruction", "evolution", "cost", "pairs"))
    with caplog.at_level(logging.INFO, logger="morphobench"):
        scores, _ = run({**stage, **missing})
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    absent = {
        "rotation_invariance_error_lattice": "no embeddings of rotated cells",
        "rotation_invariance_error_uniform": "no embeddings of rotated cells",
        "classification_rule_auroc_rotated": "no embeddings of rotated cells",
        "reconstruction": "no decoder",
        "evolution_energy": "no decoder",
        "interpolation_distance": "no table of pairs",
        "parameters": "no model to time",
        "encode_time": "no model to time",
    }
    for metric, reason in absent.items():
        rows = scores.loc[metric]
        assert rows["value"].isna().all()
        assert (rows["n"] == 0).all()
        assert rows["reason"].str.contains(reason).all()
    for reason in set(absent.values()) - {"no decoder"}:
        assert sum(reason in message for message in caplog.messages) == 1
    assert scores.loc[("classification_rule_top_1", "corrected"), "value"] > 0.9
    assert np.isfinite(scores.loc[("compactness", "corrected"), "value"])


def test_a_manifest_without_a_label_target_or_outlier_column_says_so(stage):
    rewrite(stage["manifest"], lambda t: t.drop(columns=["rule", "volume_um3", "dead"]))
    scores, _ = run(stage)
    for metric in ("classification_rule_top_1", "classification_rule_auroc_rotated"):
        assert scores.loc[(metric, "corrected"), "reason"] == "the manifest has no column rule"
    assert "no column volume_um3" in scores.loc[("regression_volume_um3_r2", "corrected"), "reason"]
    assert "no target" in scores.loc[("regression_r2", "corrected"), "reason"]
    assert "no column dead" in scores.loc[("outlier_auroc", "corrected"), "reason"]
    assert np.isfinite(scores.loc[("reconstruction", "corrected"), "value"])


def test_labels_missing_for_some_cells_are_left_out_of_classification_alone(stage):
    rewrite(stage["manifest"], lambda t: t.assign(rule=t["rule"].where(t.index % 10 > 0)))
    scores, _ = run(stage)
    assert "12 of 120 cells have no label" in scores.loc[("classification_rule_top_1", "corrected"), "reason"]
    assert scores.loc[("classification_rule_top_1", "corrected"), "n"] < 24
    assert scores.loc[("compactness", "corrected"), "reason"] == ""


def test_a_label_with_fewer_cells_than_folds_is_null_in_legacy_alone(stage):
    rewrite(stage["manifest"], lambda t: t.assign(rule=t["rule"].where(t.index > 2, "rare")))
    scores, _ = run(stage)
    assert "label rare has 3 cells" in scores.loc[("classification_rule_top_1", "legacy"), "reason"]
    assert np.isnan(scores.loc[("classification_rule_top_1", "legacy"), "value"])
    assert scores.loc[("classification_rule_top_1", "corrected"), "value"] > 0.9


def test_corrected_and_published_scores_have_their_own_classes(stage):
    rules = sorted(pd.read_parquet(stage["manifest"])["rule"].unique())
    kept, merged, left_out = rules[:2], rules[2:5], rules[5]
    corrected = {"merge": {"some": merged}, "leave_out": [left_out]}
    legacy = {"merge": {"two": kept}, "others": "rest", "empty": "rest"}
    stage["dataset_config"]["classes"] = {"rule": {"corrected": corrected, "legacy": legacy}}
    scores, _ = run(stage)
    metric = "classification_rule_top_3"
    # Three classes: three guesses are all there are. Two published ones: two guesses are always right.
    assert np.isnan(scores.loc[(metric, "corrected"), "value"])
    assert "20 of 120 cells have no label" in scores.loc[("classification_rule_top_1", "corrected"), "reason"]
    assert scores.loc[("classification_rule_top_2", "legacy"), "value"] == 1
    assert "no label" not in scores.loc[("classification_rule_top_1", "legacy"), "reason"]
    rotated = scores.loc[("classification_rule_top_1_rotated", "corrected"), "reason"]
    assert "have no label" in rotated


def test_a_cell_without_a_value_is_an_inlier_in_the_published_score_alone(stage):
    rewrite(stage["manifest"], lambda t: t.assign(dead=t["dead"].where(t.index % 10 > 0)))
    stage["dataset_config"]["outlier"]["legacy_empty"] = "inlier"
    scores, _ = run(stage)
    assert "12 of 120 cells have no label" in scores.loc[("outlier_auroc", "corrected"), "reason"]
    assert "no label" not in scores.loc[("outlier_balanced_accuracy", "legacy"), "reason"]


def constant(table):
    embeddings = [name for name in table if name.startswith("mu_")]
    return table.assign(**dict.fromkeys(embeddings, np.float32(0.3)))


def test_constant_embeddings_score_at_chance_and_have_no_dimension(stage):
    for path in stage["embeddings"].values():
        rewrite(path, constant)
    scores, _ = run(stage)
    value = scores["value"]
    assert value[("classification_rule_auroc", "corrected")] == pytest.approx(0.5)
    assert value[("classification_rule_balanced_accuracy", "corrected")] == pytest.approx(1 / 6)
    assert value[("regression_volume_um3_r2", "corrected")] <= 0
    assert value[("rotation_invariance_error_lattice", "corrected")] == 0
    assert value[("rotation_rank_uniform", "corrected")] == 0.5
    lost = ("compactness", "participation_ratio", "interpolation_distance", "rotation_distance_uniform")
    for metric in lost:
        assert np.isnan(value[(metric, "corrected")])
        assert scores.loc[(metric, "corrected"), "reason"] != ""


def test_duplicated_embeddings_count_once_in_the_dimension(stage):
    identity = pd.read_parquet(stage["embeddings"]["identity"])
    embeddings = [name for name in identity if name.startswith("mu_")]
    before, _ = run(stage)
    identity.loc[identity["CellId"] == "19_5", embeddings] = identity.loc[
        identity["CellId"] == "19_4", embeddings
    ].to_numpy()
    identity.to_parquet(stage["embeddings"]["identity"], index=False)
    scores, _ = run(stage)
    assert "1 of 24 embeddings" in scores.loc[("compactness", "corrected"), "reason"]
    assert scores.loc[("compactness", "corrected"), "value"] == pytest.approx(
        before.loc[("compactness", "corrected"), "value"], rel=0.3
    )


def test_embeddings_of_rows_that_are_not_finite_touch_only_their_cells(stage):
    embeddings = [f"mu_{i}" for i in range(8)]

    def spoil(table):
        table.loc[table["CellId"] == "18_0", embeddings] = np.nan
        return table

    rewrite(stage["embeddings"]["identity"], spoil)
    scores, _ = run(stage)
    for metric in ("classification_rule_top_1", "regression_volume_um3_mae", "outlier_auroc"):
        assert scores.loc[(metric, "corrected"), "n"] == 23
        assert (
            "1 of 120 cells have an embedding that is not finite"
            in scores.loc[(metric, "corrected"), "reason"]
        )
    assert scores.loc[("rotation_invariance_error_uniform", "corrected"), "n"] == 5 * 23
    assert scores.loc[("reconstruction", "corrected"), "n"] == 24


def test_a_test_split_of_no_cells_is_null_where_it_counts(stage, tmp_path):
    rewrite(stage["manifest"], lambda t: t.assign(split=t["split"].replace("test", "val")))
    for pose in ("lattice", "uniform"):
        rewrite(stage["embeddings"][pose], lambda t: t[:0])
    score_pairs.run(stage["manifest"], stage["pairs"], n_pairs=10, seed=1, dataset="made_up")
    assert pd.read_csv(stage["pairs"]).empty
    rewrite(stage["evolution"], lambda t: t[:0])
    scores, _ = run(stage)
    for metric in CORRECTED[:5] + ["classification_rule_auroc", "regression_r2", "outlier_auroc"]:
        row = scores.loc[(metric, "corrected")]
        assert np.isnan(row["value"]), metric
        assert row["reason"].startswith("there is no test cell"), metric
    for metric in ("classification_rule_top_1", "compactness", "regression_r2"):
        row = scores.loc[(metric, "legacy")]
        assert np.isfinite(row["value"]) or "no estimate" in row["reason"]
    assert scores.loc[("parameters", "corrected"), "value"] == 1234


def test_columns_that_merely_contain_mu_are_no_embeddings(stage):
    before, _ = run(stage)
    for path in stage["embeddings"].values():
        rewrite(path, lambda t: t.assign(maximum=1e9, mu_x=1e9, emu_1=1e9))
    after, _ = run(stage)
    pd.testing.assert_frame_equal(after, before)


def test_reasons_of_failed_interpolations_reach_the_table(stage):
    def fail(table):
        failed = table["pair"] == 0
        return table.assign(
            energy=table["energy"].mask(failed), reason=np.where(failed, "no surface was decoded", "")
        )

    rewrite(stage["evolution"], fail)
    scores, _ = run(stage)
    row = scores.loc[("evolution_energy", "corrected")]
    assert row["n"] == 81
    assert scores.loc[("evolution_energy_missing", "corrected"), "value"] == pytest.approx(0.1)
    assert row["reason"] == "9 of 90 values are missing or not finite; no surface was decoded"


def test_pairs_without_a_distance_count_with_their_stated_energy_and_are_counted(stage):
    def collapse(table):
        alike = table["pair"] < 2
        reason = np.where(alike, "the end points decode to one shape", "")
        return table.assign(energy=table["energy"].mask(alike, 2.0), constant=alike, reason=reason)

    rewrite(stage["evolution"], collapse)
    scores, _ = run(stage)
    row = scores.loc[("evolution_energy", "corrected")]
    assert row["n"] == 90
    assert row["reason"].startswith("18 of 90 interpolants are between ends that decode to one shape")
    assert scores.loc[("evolution_energy_sampling", "corrected"), ["value", "n"]].tolist() == [
        pytest.approx(1.1),
        10,
    ]


def test_a_number_of_neighbours_that_cells_do_not_reach_is_no_missing_value(stage):
    stage["score_config"] = {**stage["score_config"], "k_neighbours": [5, 500]}
    scores, items = run(stage)
    shown = items[(items["metric"] == "compactness") & (items["variant"] == "corrected")]
    assert shown["item"].tolist() == ["k = 5"]
    assert scores.loc[("compactness_k500", "corrected"), "reason"]


def test_shapes_are_scored_by_overlap_and_surface(stage):
    shapes = {
        "noise_floor_iou": 0.05,
        "other_cell_iou": 0.6,
        "other_cell_surface_um": 0.9,
        "mean_shape_iou": 0.5,
        "mean_shape_surface_um": 0.8,
        "reconstruction_iou": 0.3,
        "reconstruction_surface_um": 0.4,
        "reconstruction_iou_legacy": 0.1,
    }
    rewrite(stage["reconstruction"], lambda t: t[["CellId"]].assign(**shapes))
    scores, _ = run(stage)
    found = {key: scores.loc[key, "value"] for key in scores.index if key[0].startswith("reconstruction")}
    assert found == pytest.approx(
        {
            ("reconstruction", "corrected"): 0.3,
            ("reconstruction", "legacy"): 0.1,
            ("reconstruction_surface", "corrected"): 0.4,
            ("reconstruction_mean_shape", "corrected"): 0.5,
            ("reconstruction_surface_mean_shape", "corrected"): 0.8,
            ("reconstruction_missing", "corrected"): 0.0,
            ("reconstruction_noise_floor", "corrected"): 0.05,
            ("reconstruction_surface_noise_floor", "corrected"): np.nan,
            ("reconstruction_other_cell", "corrected"): 0.6,
            ("reconstruction_surface_other_cell", "corrected"): 0.9,
        },
        nan_ok=True,
    )
    reason = scores.loc[("reconstruction_surface_noise_floor", "corrected"), "reason"]
    assert "no column noise_floor_surface_um" in reason


def test_shapes_that_decode_to_nothing_say_so(stage):
    def empty(table):
        lost = table["CellId"] == "18_0"
        return table.assign(
            reconstruction_iou=np.where(lost, np.nan, 0.3),
            reason=np.where(lost, "no surface", ""),
        )

    rewrite(stage["reconstruction"], lambda t: empty(t[["CellId"]]))
    scores, _ = run(stage)
    row = scores.loc[("reconstruction", "corrected")]
    assert row["n"] == 23
    assert row["reason"] == "1 of 24 values are missing or not finite; no surface"
    # The mean leaves that cell out; how many are left out stands beside it.
    counted = scores.loc[("reconstruction_missing", "corrected")]
    assert counted["value"] == pytest.approx(1 / 24)
    assert 0 <= counted["ci_low"] < 1 / 24 < counted["ci_high"] < 1


# ---------------------------------------------------------------- published counts


def test_row_counts_are_the_published_ones_for_the_published_splits(stage, tmp_path):
    """cellPACK: 39 test nuclei of 6 rules; elsewhere 20 pairs, and at most 4001 cells are rotated."""
    rng = np.random.default_rng(0)
    n_nuclei = {"train": 177, "val": 38, "test": 39}
    cells = pd.DataFrame(
        [(f"{s}{n:03d}_{r}", f"{s}{n:03d}", f"rule {r}", s) for s in n_nuclei for n in range(n_nuclei[s])
         for r in range(6)],
        columns=["CellId", "group", "rule", "split"],
    )  # fmt: skip
    cells = cells.assign(success=True)
    z = rng.normal(size=(len(cells), 4))
    test = cells[cells["split"] == "test"]
    identity = embedding_table(cells, [np.eye(3)], 0, rng, z)
    identity.to_parquet(stage["embeddings"]["identity"], index=False)
    pd.DataFrame({"CellId": test["CellId"], **ERRORS}).to_parquet(stage["reconstruction"], index=False)
    embedding_table(test, cube_rotations(), 0.5, rng, z).to_parquet(stage["embeddings"]["lattice"])
    rotated = with_rotated_back(embedding_table(test, uniform(2, rng), 0.5, rng, z), test, rng, z)
    rotated.to_parquet(stage["embeddings"]["uniform"])
    changed_table(test, z).to_parquet(stage["invariances"])
    cells.to_parquet(stage["manifest"])
    score_pairs.run(stage["manifest"], stage["pairs"], n_pairs=117, seed=1, dataset="made_up")
    pairs = pd.read_csv(stage["pairs"])
    evolution = pairs.loc[pairs.index.repeat(9)].assign(fraction=np.tile(FRACTIONS, len(pairs)))
    values = dict.fromkeys(("energy", "energy_input", "energy_sampling", "energy_legacy"), 1.0)
    evolution.assign(**values, constant=False).to_parquet(stage["evolution"])
    stage["dataset_config"] |= {"targets": None, "outlier": None}
    counts = run(stage)[0]["n"]
    assert counts[("rotation_invariance_error_lattice", "legacy")] == 936
    assert counts[("evolution_energy", "legacy")] == 1053
    assert counts[("interpolation_distance", "legacy")] == 1053
    assert counts[("reconstruction", "legacy")] == 234
    assert counts[("classification_rule_top_1", "legacy")] == counts[("compactness", "legacy")] == 5
    stage["dataset_config"]["kind"] = "punctate"
    counts = run(stage)[0]["n"]
    assert counts[("evolution_energy", "legacy")] == counts[("interpolation_distance", "legacy")] == 180
    assert counts[("evolution_energy", "corrected")] == 1053


def test_no_more_cells_are_rotated_in_legacy_than_were_as_published(stage, monkeypatch):
    monkeypatch.setattr("morphobench.score.rows_rotation._LEGACY_CELLS", 10)
    counts = run(stage)[0]["n"]
    assert counts[("rotation_invariance_error_lattice", "legacy")] == 4 * 10
    assert counts[("rotation_invariance_error_lattice", "corrected")] == 23 * 24


def test_each_cell_is_rotated_by_its_own_rotation_and_a_model_that_is_not_invariant_loses(stage):
    first, _ = run(stage)
    metric = ("classification_rule_auroc_rotated", "corrected")
    assert first.loc[metric, "value"] > 0.9
    assert first.loc[metric, "n"] == 24

    def other_labels(table):
        embeddings = [f"mu_{i}" for i in range(8)]
        table[embeddings] = table.groupby(["rotation", "rotated_back"])[embeddings].shift(3, fill_value=0.0)
        return table

    rewrite(stage["embeddings"]["uniform"], other_labels)
    second, _ = run(stage)
    assert second.loc[metric, "value"] < 0.6
    assert second.loc[("rotation_rank_uniform", "corrected"), "value"] > 0.2
    assert first.loc[("rotation_rank_uniform", "corrected"), "value"] < 0.02
    same = ("classification_rule_auroc", "corrected")
    assert second.loc[same, "value"] == first.loc[same, "value"]


def test_what_resampling_does_stands_beside_the_rotation_errors(stage):
    found = run(stage)[0]["value"]
    for name in ("invariance_error", "distance"):
        error, floor = (found[f"rotation_{name}_uniform{end}", "corrected"] for end in ("", "_floor"))
        # The made-up embeddings move by 0.5 and 0.05 per component.
        assert floor == pytest.approx(error * RESAMPLED / 0.5, rel=0.2)
    assert run(stage)[0]["n"]["rotation_invariance_error_uniform_floor", "corrected"] == 24


def test_changed_cells_are_measured_in_the_distance_between_cells(stage, caplog):
    with caplog.at_level(logging.WARNING):
        scores, items = run(stage)
    found = scores.xs("corrected", level="variant")
    reflection, floor = found.loc["invariance_reflection"], found.loc["invariance_reflection_floor"]
    resolution, order = found.loc["invariance_resolution"], found.loc["invariance_order"]
    assert [floor["value"], order["value"]] == pytest.approx([0, 0], abs=1e-6)
    assert reflection["value"] == pytest.approx(2 * resolution["value"], rel=1e-6)
    assert reflection["value"] == pytest.approx(
        3 * found.loc["invariance_resolution_floor", "value"], rel=1e-6
    )
    embedded = pd.read_parquet(stage["embeddings"]["identity"]).merge(pd.read_parquet(stage["manifest"]))
    test = embedded[embedded["split"] == "test"].filter(like="mu_").to_numpy()
    distances = np.linalg.norm(test[:, None] - test, axis=-1)
    mean = distances.sum() / (len(test) * (len(test) - 1))
    assert reflection["value"] == pytest.approx(3 / mean, rel=1e-6)
    assert reflection["n_units"] == 4
    assert reflection["better"] == "none"
    assert found.loc["invariance_sampling", "reason"] == "all points are read"
    assert not [line for line in caplog.messages if "all points are read" in line]
    assert len(items[items["metric"] == "invariance_reflection"]) == len(test)


def test_a_common_shift_changes_the_published_ratio_alone(stage):
    before = run(stage)[0]["value"]
    mu = [f"mu_{i}" for i in range(8)]
    for path in stage["embeddings"].values():
        rewrite(path, lambda t: t.assign(**(t[mu] + 50)))
    after = run(stage)[0]["value"]
    for rotations in ("lattice", "uniform"):
        key = (f"rotation_distance_{rotations}", "corrected")
        assert after[key] == pytest.approx(before[key], rel=1e-3)
        ratio = (f"rotation_invariance_error_{rotations}", "corrected")
        assert after[ratio] < 0.2 * before[ratio]
    assert after["rotation_rank_uniform", "corrected"] == before["rotation_rank_uniform", "corrected"]


def test_poses_are_read_in_batches_of_any_size(stage, monkeypatch):
    whole, items = run(stage)
    original = rows_rotation.read_batches
    monkeypatch.setattr(rows_rotation, "read_batches", lambda path, columns: original(path, columns, rows=7))
    again, other = run(stage)
    pd.testing.assert_frame_equal(again, whole)
    pd.testing.assert_frame_equal(other, items)


# ---------------------------------------------------------------- units, intervals, comparisons


def test_pairs_of_the_same_units_are_one_unit(stage):
    scores, items = run(stage)
    for metric in ("evolution_energy", "interpolation_distance"):
        assert scores.loc[(metric, "corrected"), "n_units"] == 2
        own = items[(items["metric"] == metric) & (items["variant"] == "corrected")]
        assert own["group"].nunique() == 2
    assert scores.loc[("reconstruction", "corrected"), "n_units"] == 4


def test_one_unit_has_no_interval_and_says_so(stage):
    rewrite(stage["manifest"], lambda t: t.assign(group=t["group"].where(t["split"] != "test", "16")))
    scores, _ = run(stage)
    for metric in ("reconstruction", "classification_rule_top_1", "regression_r2"):
        row = scores.loc[(metric, "corrected")]
        assert np.isfinite(row["value"])
        assert np.isnan([row["ci_low"], row["ci_high"]]).all()
        assert "one independent unit" in row["reason"]


def test_a_rare_label_has_its_count_and_no_interval(stage):
    scores, _ = run(stage)
    outputs = pd.read_parquet(stage["outputs_out"])
    for metric in ("classification_rule_auroc", "classification_rule_balanced_accuracy", "outlier_auroc"):
        row = scores.loc[(metric, "corrected")]
        assert np.isnan(row["ci_low"])
        assert "4 test cells of" in row["reason"]
        assert metric not in set(outputs["metric"])
    halves = {f"rule {number}": f"half {number % 2}" for number in range(6)}
    rewrite(stage["manifest"], lambda t: t.assign(rule=t["rule"].map(halves)))
    scores, _ = run(stage)
    row = scores.loc[("classification_rule_balanced_accuracy", "corrected")]
    assert row["ci_low"] < row["value"] <= row["ci_high"] <= 1
    own = pd.read_parquet(stage["outputs_out"])
    means = own[own["label"] == ""].groupby("metric")["value"].mean()
    for metric in ("classification_rule_balanced_accuracy", "regression_r2", "regression_volume_um3_r2_ols"):
        assert means[metric] == pytest.approx(scores.loc[(metric, "corrected"), "value"])


def test_hits_in_all_units_have_the_exact_interval(stage):
    row = run(stage)[0].loc[("classification_rule_top_1", "corrected")]
    assert (row["value"], row["ci_high"]) == (1, 1)
    assert row["ci_low"] == pytest.approx(binomtest(4, 4).proportion_ci(method="exact").low)


def test_floors_and_baselines_are_not_compared(stage):
    _, items = run(stage)
    corrected = items[items["variant"] == "corrected"].groupby("metric")["group"].first()
    floors = ["reconstruction_sampling_distance", "reconstruction_other_cell", "evolution_energy_sampling"]
    floors += ["rotation_distance_uniform_floor", "classification_rule_majority"]
    assert (corrected[floors] == "").all()
    assert (corrected[["reconstruction", "classification_rule_top_1"]] != "").all()


def test_the_dimension_takes_as_many_cells_of_every_dataset_and_no_siblings(stage):
    stage["score_config"] |= {"n_compactness": 18, "k_neighbours": [5]}
    scores, _ = run(stage)
    row = scores.loc[("compactness", "corrected")]
    assert (row["n"], row["better"]) == (18, "none")
    assert scores.loc[("compactness_k5", "corrected"), "value"] == pytest.approx(row["value"])


def in_folds(stage, tmp_path, n_folds):
    """Give the stage folds of whole nuclei, each with embeddings of other axes, mirrored and shuffled."""
    tables = {name: pd.read_parquet(path) for name, path in stage["embeddings"].items()}
    cells, manifest = tables["identity"], pd.read_parquet(stage["manifest"])
    fold = manifest["group"].astype(int).to_numpy() % n_folds
    rng, parts = np.random.default_rng(1), []
    mu = [name for name in cells if name.startswith("mu_")]
    z = cells[mu].to_numpy()
    for number in range(n_folds):
        order, signs = rng.permutation(len(mu)), rng.choice([-1, 1], len(mu))
        own, test = (z * signs)[:, order], manifest[fold == number]
        table = manifest.assign(split=np.where(fold == number, "test", "train"))
        columns = dict(zip(mu, own.T, strict=True))
        rotated = embedding_table(test, cube_rotations(), 0.0, rng, own)
        frames = {"manifest": table, "identity": cells.assign(**columns), "lattice": rotated}
        uniform_ones = embedding_table(test, uniform(2, rng), 0.0, rng, own)
        frames["uniform"] = with_rotated_back(uniform_ones, test, rng, own)
        frames["reconstruction"] = pd.DataFrame({"CellId": test["CellId"], **ERRORS})
        paths = {name: tmp_path / f"fold{number}_{name}.parquet" for name in frames}
        for name, frame in frames.items():
            frame.to_parquet(paths[name], index=False)
        pairs = score_pairs.draw_pairs(test, 5, rng)
        pairs.to_csv(tmp_path / f"fold{number}_pairs.csv", index=False)
        repeated = pairs.loc[pairs.index.repeat(9)].assign(fraction=np.tile(FRACTIONS, len(pairs)))
        values = {"energy": 1.5, "energy_input": 2.0, "energy_sampling": 1.1, "energy_legacy": 1.0}
        repeated.assign(**values, constant=False).to_parquet(tmp_path / f"fold{number}_evolution.parquet")
        paths |= {"evolution": tmp_path / f"fold{number}_evolution.parquet"}
        parts.append(paths | {"pairs": tmp_path / f"fold{number}_pairs.csv"})
    return parts


def test_folds_are_scored_within_their_own_axes_and_every_cell_once(stage, tmp_path):
    parts = in_folds(stage, tmp_path, 4)
    score_stage.run(**{**arguments(stage), "folds": parts})
    scores = pd.read_parquet(stage["scores_out"])
    values = scores[scores["variant"] == "corrected"].set_index("metric")
    # One classifier over the embeddings of four models would be at a loss.
    assert values.loc["classification_rule_balanced_accuracy", "value"] == 1
    assert values.loc["classification_rule_balanced_accuracy_rotated", "value"] == 1
    assert values.loc["regression_volume_um3_r2", "value"] > 0.99
    items = pd.read_parquet(stage["items_out"])
    hits = items[(items["metric"] == "classification_rule_top_1") & (items["variant"] == "corrected")]
    assert sorted(hits["item"]) == sorted(pd.read_parquet(stage["manifest"])["CellId"])
    assert hits["group"].nunique() == 20
    for metric in (
        "reconstruction",
        "evolution_energy",
        "interpolation_distance",
        "rotation_distance_uniform",
    ):
        own = items[(items["metric"] == metric) & (items["variant"] == "corrected")]
        assert own["item"].is_unique
        assert len(own) == values.loc[metric, "n"]
    assert values.loc[["reconstruction", "classification_rule_auroc"], "n"].tolist() == [120, 120]
    assert np.isfinite(values.loc["compactness", ["value", "ci_low", "ci_high"]].astype(float)).all()


def test_folds_of_other_cells_or_with_a_cell_twice_are_refused(stage, tmp_path):
    parts = in_folds(stage, tmp_path, 2)
    with pytest.raises(InputError, match="test cell of two folds"):
        score_stage.run(**{**arguments(stage), "folds": [parts[0], parts[0]]})
    rewrite(parts[1]["identity"], lambda t: t[1:])
    with pytest.raises(InputError, match="has other cells than"):
        score_stage.run(**{**arguments(stage), "folds": parts})


def test_shapes_scaled_to_one_size_are_classified_with_their_volume_too(stage):
    rng = np.random.default_rng(2)
    large = np.arange(120) % 2 == 0
    volume_um3 = np.exp(rng.normal(size=120) + np.where(large, 5, 0))
    rewrite(
        stage["manifest"], lambda t: t.assign(rule=np.where(large, "large", "small"), volume_um3=volume_um3)
    )
    mu = [f"mu_{number}" for number in range(8)]
    rewrite(
        stage["embeddings"]["identity"], lambda t: t.assign(**{name: rng.normal(size=120) for name in mu})
    )
    stage["dataset_config"]["scale_factor"] = {"mode": "per_cell"}
    scores, _ = run(stage)
    accuracy = scores["value"].xs("corrected", level="variant")
    assert accuracy["classification_rule_balanced_accuracy_sized"] > 0.9
    assert accuracy["classification_rule_balanced_accuracy"] < 0.8
    stage["dataset_config"]["scale_factor"] = {"mode": "global"}
    assert not any(metric.endswith("_sized") for metric, _ in run(stage)[0].index)


# What docs/statistics.md says of random embeddings, here of six labels alike in number.
RANDOM = {
    "classification_rule_top_1": 1 / 6,
    "classification_rule_top_3": 1 / 2,
    "classification_rule_balanced_accuracy": 1 / 6,
    "classification_rule_auroc": 1 / 2,
    "classification_rule_auroc_rotated": 1 / 2,
    "rotation_invariance_error_lattice": 0.71,
    "rotation_invariance_error_uniform": 0.71,
    "rotation_distance_uniform": 1.0,
    "rotation_rank_uniform": 1 / 2,
    "invariance_order": 1.0,
    "interpolation_distance": 0.89,
}


def test_random_embeddings_get_what_the_page_of_statistics_says(stage):
    rng = np.random.default_rng(3)
    mu = [f"mu_{number}" for number in range(8)]
    for path in (*stage["embeddings"].values(), stage["invariances"]):
        rewrite(path, lambda t: t.assign(**{name: rng.normal(size=len(t)) for name in mu}))
    found = run(stage)[0]["value"].xs("corrected", level="variant")
    assert found[list(RANDOM)].to_dict() == pytest.approx(RANDOM, abs=0.2)


def test_the_page_of_statistics_explains_every_metric(stage):
    lines = [
        line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")
    ]
    # Number, what it is, range, perfect, random, average shape, what the interval resamples.
    assert all(len(line) == 7 and all(line) for line in lines)
    patterns = [pattern for line in lines for pattern in re.findall("`([^`]+)`", line[0])]
    scores, _ = run(stage)
    known = set(scores.xs("corrected", level="variant").index)
    known |= {metric.name for metric in rows_embeddings._SHAPE_ERRORS.values()}
    known |= {"classification_rule_auroc_sized", f"reconstruction{collect.SPREAD}"}
    assert [name for name in sorted(known) if not any(fnmatch(name, one) for one in patterns)] == []
    assert [one for one in patterns if not any(fnmatch(name, one) for name in known)] == []
