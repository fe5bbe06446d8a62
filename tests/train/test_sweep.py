"""Sweeps: every combination once, names that last, unknown keys refused, one table, lowest loss first."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
import yaml
from fabricate.sampled import write_sampled
from fabricate.trained import run_training, small_config
from harness.clone import job_counts, make_clone, snakemake
from paths import ROOT

from morphobench import config as configuration
from morphobench.errors import InputError
from morphobench.train import sweep


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


@pytest.fixture(scope="module")
def config():
    return configuration.resolve(yaml.safe_load((ROOT / "config/config.yaml").read_text()), ROOT)


def write(root, **content):
    content = {"dataset": "cellpack", "model": "classical_pointcloud", **content}
    (root / "config/sweeps/mine.yaml").write_text(yaml.safe_dump(content))


def test_a_grid_is_every_combination_once():
    points = sweep.expand({"grid": {"training.lr": [1, 2, 3], "architecture.k": [4, 5]}})
    found = {(point["training.lr"], point["architecture.k"]) for point in points.values()}
    assert len(points) == 6
    assert found == {(lr, k) for lr in (1, 2, 3) for k in (4, 5)}


def test_equal_points_count_once_whatever_the_order_of_their_keys():
    points = sweep.expand({"list": [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2, "b": 1}]})
    assert list(points.values()) == [{"a": 1, "b": 2}, {"a": 2, "b": 1}]


def test_a_sweep_that_grows_keeps_the_names_of_its_points():
    few = sweep.expand({"grid": {"training.lr": [1, 2]}})
    many = sweep.expand({"grid": {"training.lr": [3, 2, 1]}})
    assert few.items() < many.items()


def test_a_point_changes_its_keys_and_nothing_else(root, config):
    write(root, list=[{"training.loss_options.blur": 0.02, "architecture.latent_dim": 32}])
    (point,) = sweep.read("mine", config, root)["points"]
    found = sweep.point_config("mine", point, config, root)
    expected = configuration.model_for(config, "cellpack", "classical_pointcloud")
    expected["training"]["loss_options"]["blur"] = 0.02
    expected["architecture"]["latent_dim"] = 32
    assert found == expected
    assert config["models"]["classical_pointcloud"]["architecture"]["latent_dim"] == 256


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"grid": {"training.lrr": [1]}}, ["unknown key 'lrr' at training", "did you mean 'lr'"]),
        ({"grid": {"architecture.width": [1]}}, ["unknown key 'architecture.width'", "latent_dim"]),
        ({"grid": {"trainin.lr": [1]}}, ["unknown key 'trainin'", "did you mean 'training'"]),
        ({"list": [{"training.lr": -1}]}, ["training.lr", "learning rate of Adam"]),
        ({"list": [{"training.lr.x": 1}]}, ["training.lr"]),
        ({"grid": {"training.lr": []}}, ["grid.training.lr"]),
        ({"grid": {"training.lr": 0.1}}, ["grid.training.lr"]),
        ({"list": []}, ["list"]),
        ({}, ["mine.yaml", "not valid under any of the given schemas"]),
        ({"grid": {"training.lr": [1]}, "list": [{"training.lr": 1}]}, ["mine.yaml"]),
        ({"gird": {"training.lr": [1]}}, ["unknown key 'gird'", "did you mean 'grid'"]),
        ({"grid": {"training.lr": [1]}, "model": "vit"}, ["unknown model 'vit'", "classical_image"]),
        ({"grid": {"training.lr": [1]}, "dataset": "celpack"}, ["unknown dataset 'celpack'", "cellpack"]),
    ],
)
def test_a_bad_sweep_is_refused_with_its_file_and_remedy(root, config, content, words):
    write(root, **content)
    with pytest.raises(InputError) as caught:
        sweep.read("mine", config, root)
    for word in ("config/sweeps/mine.yaml", *words):
        assert word in str(caught.value)


def test_a_sweep_or_point_that_is_not_there_is_refused(root, config):
    with pytest.raises(InputError, match=r"sweeps/nothing\.yaml cannot be read"):
        sweep.read("nothing", config, root)
    with pytest.raises(InputError, match="example.yaml has no point p00000000; it has p"):
        sweep.point_config("example", "p00000000", config, root)


def test_the_table_compares_what_was_trained(tmp_path):
    case, points = write_sampled(tmp_path / "data"), sweep.expand({"grid": {"training.lr": [1e-5, 1e-2]}})
    records = []
    for name, overrides in points.items():
        chosen = small_config("classical_pointcloud", lr=overrides["training.lr"], max_epochs=4, jitter=0.0)
        records.append(run_training(case, tmp_path / name, chosen) / "record.json")
    sweep.run(points, records, tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    assert list(table) == ["point", "training.lr", *sweep.MEASURED]
    assert table["best_val_loss"].is_monotonic_increasing
    assert table["training.lr"].tolist() == [1e-2, 1e-5], "four tiny steps get nowhere"
    for row in table.to_dict("records"):
        record = json.loads((tmp_path / row["point"] / "record.json").read_text())
        for key in sweep.MEASURED:
            assert row[key] == pytest.approx(record[key])


def test_a_list_with_different_keys_leaves_the_others_empty():
    points = sweep.expand({"list": [{"a": 1}, {"b": [2, 3]}]})
    records = [dict.fromkeys(sweep.MEASURED, value) for value in (2.0, 1.0)]
    table = sweep.compare(points, records)
    assert table["b"].tolist()[0] == [2, 3]
    assert table["a"].isna().tolist() == [True, False]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("clone") / "morphobench")


@pytest.mark.long
def test_the_example_is_one_training_per_point_and_one_table(clone):
    target = "results/train/sweeps/example.csv"
    jobs = job_counts(snakemake(clone, "--profile", "profiles/demo", "-n", "--", target).stdout)
    assert jobs["train_sweep_point"] == 4
    assert jobs["train_sweep"] == 1
    assert "train" not in jobs
    assert "embed" not in jobs


def test_a_bad_sweep_stops_the_plan_with_its_message_alone(clone):
    (clone / "config/sweeps/bad.yaml").write_text(
        "dataset: cellpack\nmodel: classical_image\ngrid: {training.lrr: [1]}\n"
    )
    done = snakemake(clone, "-n", "--", "results/train/sweeps/bad.csv", check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert "unknown key 'lrr' at training; did you mean 'lr'?" in text
    assert "Traceback" not in text
    assert ".smk" not in text
