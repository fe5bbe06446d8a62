"""What figures cost: jobs times measured costs, each job once."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml
from paths import ROOT

from morphobench import config as configuration
from morphobench.config import schema
from morphobench.files import write_table
from morphobench.jobs import plan

COSTS = yaml.safe_load((ROOT / plan.COSTS).read_text())


@pytest.fixture(scope="module")
def config():
    return configuration.resolve(schema.read_yaml(ROOT / "config/config.yaml"), ROOT)


def output(path, rule, config):
    (found,) = plan.outputs_of(f"{path}\t-\t{rule}\t-\tmissing\tupdate pending\n", config)
    return found


def cost(path, rule, config):
    return plan.cost_of(output(path, rule, config), config, COSTS)


def test_an_output_tells_its_rule_dataset_and_model(config):
    path = "results/embed/pcna/classical_image/seed-42/uniform.parquet"
    assert output(path, "embed_scored", config) == ("embed_scored", "pcna", "classical_image", "uniform")
    assert output("figures/fig2.pdf", "plot_figure", config) == ("plot_figure", None, None, "fig2")
    assert plan.outputs_of("output_file\tdate\trule\tlog\tstatus\tplan\nConfig file\n", config) == []


def test_a_shard_costs_its_share_of_the_cells(config):
    pcna, per_cell = config["datasets"]["pcna"], COSTS["cells_s"]["punctate"]["align"]
    cells = pcna["n_cells"] / pcna["n_shards"]
    found = cost("results/align/pcna/shard-0", "align", config)
    assert found.cpu_h * 3600 == pytest.approx(COSTS["job_start_s"] + per_cell * cells)
    assert found.gpu_most_h == 0
    assert found.disk_gb == pytest.approx(COSTS["cells_mb"]["punctate"]["align"] * cells / 1000)


def test_a_training_costs_its_cells_and_epochs(config):
    found = cost("results/train/cellpack/classical_pointcloud/seed-42/model.pt", "train", config)
    n_cells = config["datasets"]["cellpack"]["n_cells"]
    epoch_s = COSTS["gpu_s"]["classical_pointcloud/points"]["train"] * 0.7 * n_cells
    hours = [found.gpu_least_h, found.gpu_likely_h, found.gpu_most_h]
    assert [3600 * value / epoch_s for value in hours] == pytest.approx([400, 800, 800])
    assert found.extrapolated_h == 0


@pytest.mark.parametrize(("share", "epochs"), [(0.0, 400), (0.5, 450), (0.9, 770), (1.0, 800)])
def test_early_stopping_ends_a_training_some_epochs_after_its_best(share, epochs):
    training = {"min_epochs": 400, "max_epochs": 800, "patience": 50}
    assert plan.epochs_of({"training": training}, share) == (400, epochs, 800)
    assert plan.epochs_of({"training": training | {"max_epochs": 5}}, share) == (5, 5, 5)


def test_volumes_cost_by_their_voxels(config):
    found = {
        name: cost(f"results/train/{name}/classical_image_sdf/seed-42/model.pt", "train", config)
        for name in ("npm1", "npm1_64_res")
    }
    sizes = [
        configuration.model_for(config, name, "classical_image_sdf")["architecture"]["size"] for name in found
    ]
    if sizes[0] == sizes[1]:
        assert found["npm1"] == found["npm1_64_res"]
    else:
        ratio = found["npm1_64_res"].gpu_most_h / found["npm1"].gpu_most_h
        assert ratio == pytest.approx((sizes[1] / sizes[0]) ** 3)
        assert found["npm1_64_res"].extrapolated_h == found["npm1_64_res"].gpu_most_h


def test_volumes_take_the_nearest_size_that_was_measured(config):
    known = {33: {"train": 1.0}, 65: {"train": 5.0}}
    for size, expected in ((33, 1.0), (35, (35 / 33) ** 3), (65, 5.0), (129, 5 * (129 / 65) ** 3)):
        seconds, extrapolated = plan._gpu_seconds({"architecture": {"size": size}}, known, "train")
        assert seconds == pytest.approx(expected)
        assert extrapolated == (size not in known)


@pytest.mark.parametrize(("rule", "name"), [("embed", "identity"), ("embed_scored", "uniform")])
def test_every_pose_costs_its_encodings(rule, name, config):
    found = cost(
        f"results/embed/cellpack/classical_pointcloud/seed-42/{name}.parquet", rule, config
    ).gpu_most_h
    test, n_uniform = 0.15, config["embed"]["n_uniform"]
    rotated = {"lattice": test * 24, "uniform": test * (n_uniform + 1)}
    passes = {"embed": {"identity": 1}, "embed_scored": rotated}[rule]
    known = COSTS["gpu_s"]["classical_pointcloud/points"]
    per_cell = sum(n * known[kind] for kind, n in passes.items())
    assert found * 3600 == pytest.approx(per_cell * config["datasets"]["cellpack"]["n_cells"])


def test_a_job_with_several_outputs_counts_once(config):
    folder = "results/train/cellpack/classical_pointcloud/seed-42"
    one = [output(f"{folder}/model.pt", "train", config)]
    three = one + [output(f"{folder}/{name}", "train", config) for name in ("record.json", "curves.csv")]
    costs = [plan.total(outputs, {"train": 1}, config, COSTS) for outputs in (one, three)]
    assert costs[0] == pytest.approx(costs[1])


def test_every_model_of_the_seven_datasets_has_a_cost(config):
    for name in config["outputs"]["datasets"]:
        for model in config["datasets"][name]["models"]:
            settings = configuration.model_for(config, name, model)
            assert f"{settings['family']}/{settings['representation']}" in COSTS["gpu_s"], model
            assert 0 < COSTS["best_epoch_share"][settings["family"]] <= 1


def test_clouds_alone_cost_what_no_model_of_cubes_makes(config):
    folder = "results/train/pcna"
    paths = {"classical_pointcloud": "train", "classical_image": "train"}
    outputs = [output(f"{folder}/{model}/seed-42/model.pt", rule, config) for model, rule in paths.items()]
    outputs.append(output("results/align/pcna/shard-0", "align", config))
    kept = plan.clouds_alone(outputs, config)
    assert [one.model for one in kept] == ["classical_pointcloud", None]
    assert plan.clouds_alone(kept, config) is None
    shapes = output("results/train/npm1/classical_image_sdf/seed-42/model.pt", "train", config)
    assert plan.clouds_alone([*outputs, shapes], config) is None
    assert plan.shared_jobs({"train": 2, "align": 3, "plot_figure": 1}, outputs, kept) == {
        "train": 1,
        "align": 3,
        "plot_figure": 1,
    }


def test_descriptors_with_a_decoder_need_no_gpu(config):
    path = "results/embed/red_blood_cells/harmonic_surface/seed-42/fold-0/uniform.parquet"
    assert cost(path, "embed_scored", config).gpu_most_h == 0


def test_submitted_and_local_jobs_are_told_apart():
    line = plan.row(
        "`figures/fig2.pdf`",
        {"train": 5, "score_pairs": 1, "plot_figure": 1},
        plan.Cost(2, 1, 1.5, 20, 30, 6),
    )
    assert line == "| `figures/fig2.pdf` | 5 + 2 | 2.0 | 1.5 / 20 / 30 | 20% | 1.0 GB |"


def test_costs_are_measured_from_benchmark_files(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    write_table(pd.DataFrame({"CellId": list("abcd")}), tmp_path / "results/align/pcna/shard-0/cells.parquet")
    for path, seconds in {"align/pcna/shard-0": 2.0, "score_pairs/pcna": 0.5}.items():
        file = tmp_path / f"benchmarks/{path}.tsv"
        file.parent.mkdir(parents=True)
        file.write_text(f"s\tcpu_time\n9.0\t{seconds}\n")
    found = plan.measure([tmp_path], job_start_s=8.0)
    assert found["cells_s"] == {"punctate": {"align": 0.5}}
    assert found["cells_mb"]["punctate"]["align"] > 0
    assert found["jobs_s"] == {"score_pairs": 0.5}
    assert json.dumps(found)
