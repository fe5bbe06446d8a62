"""Controls through the score stage: random numbers, the labels and the pose stand at the ends of metrics."""

import numpy as np
import pandas as pd
import pytest

from morphobench.embed import baselines
from morphobench.score import pairs, stage

N, N_POINTS = 600, 24
CONTROLS = {
    "random": {"n_values": 4},
    "known": {},
    "principal_axes": {"n_points": N_POINTS},
}
DATASET = {"kind": "polymorphic", "labels": ["kind"], "targets": ["volume_um3"]}
SCORE = {"n_jackknife": 20, "k_neighbours": [5], "n_compactness": 100, "n_fractions": 3, "legacy_width": 2}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Corrected values by metric and control."""
    root = tmp_path_factory.mktemp("controls")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"CellId": [f"c{i:03d}" for i in range(N)], "index": np.arange(N), "shard": 0})
    table = table.assign(success=True, group=table["CellId"], kind=rng.choice(["a", "b", "c"], N))
    table = table.assign(split=np.repeat(["train", "val", "test"], N // 3), volume_um3=rng.gamma(4, size=N))
    table.to_parquet(root / "manifest.parquet")
    (root / "shard-0").mkdir()
    points = rng.normal(size=(N, N_POINTS, 3)) * [5, 3, 1]
    np.save(root / "shard-0/points_um.npy", points.astype(np.float32))
    pairs.run(root / "manifest.parquet", root / "pairs.csv", n_pairs=20, seed=1, dataset="made_up")
    return pd.DataFrame({name: scored(root, name, options) for name, options in CONTROLS.items()})


def scored(root, name, options):
    outs = {
        rotations: root / f"{name}_{rotations}.parquet" for rotations in ("identity", "lattice", "uniform")
    }
    baseline = {"features": name, "options": options}
    known = {key: DATASET[key] for key in ("labels", "targets")}
    place = {"n_uniform": 4, "dataset": "made_up", "seed": 1}
    changed = root / f"{name}_changes.parquet"
    baselines.run(
        root / "manifest.parquet", [root / "shard-0"], outs, changed, baseline=baseline, **place, **known
    )
    written = {
        f"{table}_out": root / f"{name}_{table}.parquet"
        for table in ("scores", "items", "replicates", "outputs")
    }
    stage.run(
        folds=[
            {
                "manifest": root / "manifest.parquet",
                "pairs": root / "pairs.csv",
                **outs,
                "invariances": changed,
            }
        ],
        cost=None,
        dataset="made_up",
        model=name,
        model_seed=1,
        dataset_config=DATASET,
        score_config=SCORE,
        seed=1,
        **written,
    )
    table = pd.read_parquet(written["scores_out"])
    return table[table["variant"] == "corrected"].set_index("metric")["value"]


def test_the_labels_themselves_have_the_best_value_of_every_metric_of_labels_and_rotations(scores):
    known = scores["known"]
    told = known[known.index.str.match(r"(classification_kind_(top_1|bal|auroc)|regression_.*r2)")]
    assert len(told) > 8
    np.testing.assert_allclose(told, 1, atol=0.01)
    rotated = known[known.index.str.match(r"rotation_(invariance_error|distance|rank)")]
    assert len(rotated) >= 7
    np.testing.assert_allclose(rotated, 0, atol=1e-3)


def test_random_numbers_have_the_value_of_chance(scores):
    random = scores["random"]
    for ending in ("", "_rotated", "_rotated_lattice"):
        assert random[f"classification_kind_balanced_accuracy{ending}"] == pytest.approx(1 / 3, abs=0.13)
        assert random[f"classification_kind_auroc{ending}"] == pytest.approx(0.5, abs=0.1)
    assert random["regression_volume_um3_r2"] < 0.1
    assert random["rotation_rank_uniform"] == pytest.approx(0.5, abs=0.1)
    assert random["rotation_distance_uniform"] == pytest.approx(1, abs=0.1)
    assert random["rotation_distance_lattice"] == pytest.approx(1, abs=0.1)


def test_each_invariance_has_both_ends(scores):
    """Random numbers are another cell's after every change, and labels change with none."""
    names = ["reflection", "order", "sampling", "resolution"]
    np.testing.assert_allclose(scores.loc[[f"invariance_{name}" for name in names], "random"], 1, atol=0.1)
    np.testing.assert_allclose(scores.loc[[f"invariance_{name}" for name in names], "known"], 0, atol=1e-6)


def test_the_pose_alone_turns_like_another_cell_and_knows_no_label(scores):
    pose = scores["principal_axes"]
    assert pose["rotation_distance_uniform"] > 0.8
    assert pose["rotation_invariance_error_uniform"] > 0.4
    assert pose["rotation_rank_uniform"] == pytest.approx(0.5, abs=0.12)
    assert pose["classification_kind_auroc_rotated"] == pytest.approx(0.5, abs=0.12)
    assert pose["invariance_order"] == pytest.approx(0, abs=1e-6)
    # Rotated back, nothing has turned.
    assert pose["rotation_distance_uniform_floor"] == pytest.approx(0, abs=1e-6)
