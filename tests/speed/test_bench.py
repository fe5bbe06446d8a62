"""The speed tables: at tiny sizes, both formulations agree."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

HERE = Path(__file__).parent
# The published annealing starts from the diameter of the batch, which tells in the gradient.
ROWS = {
    "encode 2x256x3": 1e-5,
    "without loss": 1e-3,
    "with Sinkhorn": 2e-2,
    "Sinkhorn with": 1e-3,
    "Chamfer": 1e-5,
    "SO(3)": 1e-5,
    "mean square": 1e-3,
}


def run(name, *arguments):
    """Print a table at tiny sizes, in this process, which has imported most; return what it prints."""
    script = str(HERE / f"{name}.py")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr("sys.argv", [script, "--quick", *arguments])
        runpy.run_path(script, run_name="__main__")
    return printed.getvalue()


def table_lines(printed):
    """Return the cells of each line of a table, without its header."""
    return [line.strip("| ").split("|") for line in printed.splitlines() if line.startswith("| ")][1:]


@pytest.fixture(scope="module")
def printed():
    return run("bench_models", "--device", "cpu")


@pytest.fixture(scope="module")
def table(printed):
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in table_lines(printed)}


@pytest.mark.parametrize(("row", "tolerance"), ROWS.items())
def test_both_formulations_give_the_same(table, row, tolerance):
    (cells,) = [cells for name, cells in table.items() if row in name]
    assert float(cells[-1]) < tolerance


def test_memory_and_loader_are_reported(table, printed):
    (memory,) = [cells for name, cells in table.items() if "peak memory" in name]
    # What a step adds can only be seen in a process of its own, which tests do not start.
    assert all(np.isfinite(float(cell.removesuffix(" GB"))) for cell in memory[:2])
    assert "of a training step" in printed.splitlines()[-1]


@pytest.mark.long
def test_preprocessing_reports_every_step_and_both_laws_agree():
    printed, _, of_meshes = run("bench_preprocess").partition("\nDistances to one mesh")
    lines = table_lines(printed)
    seconds = [float(cells[2].split()[0]) for cells in lines]
    assert len(seconds) == 8
    assert min(seconds) > 0
    ratios = [float(cells[3]) for cells in lines[:3]]
    assert min(ratios) > 0
    assert re.search(r"per process: [\d.]+ in 1, [\d.]+ in 2\.", printed)
    assert re.search(r"shard adds: \d+ MB for 2 cells, \d+ MB for 4 cells\.", printed)
    difference = re.search(r"mode reference: ([\d.e+-]+)\.$", printed)[1]
    assert float(difference) < 1e-9
    *grids, samples = table_lines(of_meshes)
    assert len(grids) == 2
    assert all(float(cells[2].split()[0]) > 0 for cells in (*grids, samples))
    assert max(float(cells[4]) for cells in grids) < 1e-4


@pytest.fixture(scope="module")
def scores():
    """The tables of bench_score, which has the rows of bench_score_models and bench_retrieval too."""
    _, times, memory = run("bench_score").split("\n\n")
    return [[cell.strip() for cell in cells] for cells in table_lines(times)], memory


def test_scores_agree_with_the_published_procedure(scores):
    times, memory = scores
    assert all(float(cell.split()[0]) > 0 for cells in times for cell in cells[1:4])
    named = {cells[0].split()[0]: float(cells[4]) for cells in times if cells[4:] and cells[4]}
    # Both classifiers stop near the same minimum: a cell on the border may fall on either side.
    assert named["classification"] <= 2 / 80
    # Rounded as published.
    assert named["regression"] <= 0.0051
    assert named["compactness"] < 1e-6
    assert named["nearest"] < 1e-6
    assert memory.count(" MB |") == 20


def test_scores_that_run_models_agree_with_the_published_procedure(scores):
    kinds = ("rotation error", "evolution energy", "... without decoding")
    lines = [cells for cells in scores[0] if cells[0].split(",")[0] in kinds]
    differences = [float(cells[4]) for cells in lines if not cells[0].endswith("corrected")]
    assert len(lines) == 10
    assert len(differences) == 6
    assert max(differences) < 1e-5


def test_retrieval_agrees_with_copairs(scores):
    precision, *nulls = [cells for cells in scores[0] if re.search(r"copairs|random rankings", cells[0])]
    assert float(precision[4]) < 1e-12
    # 200 draws of each null.
    assert len(nulls) == 2
    assert max(float(cells[4]) for cells in nulls) < 0.25


@pytest.mark.long
def test_growth_has_an_exponent_for_every_stage():
    stages = {}
    for group in ("packing", "punctate", "polymorphic", "indexing", "embeddings"):
        lines = table_lines(run("bench_growth", "--only", group))
        stages[group] = [cells[0].strip().removeprefix(f"{group}: ") for cells in lines]
        assert all(np.isfinite(float(cells[-1])) for cells in lines)
        assert all(len(cells[2].split("/")) == 2 for cells in lines)
    assert {"download", "align", "mask", "sample", "manifest"} <= set(stages["packing"])
    assert stages["punctate"][3] == "box"
    assert stages["polymorphic"][3] == "scale factors"
    assert {"score_model", "score_table", "archetypes", "retrieval"} <= set(stages["embeddings"])


def test_trainings_report_their_seconds_and_what_the_plan_reads():
    kind = "rotation_invariant_pointcloud/cellpack"
    printed = run("bench_training", kind)
    cells, _, of_step = table_lines(printed)
    training, step, validation = map(float, cells[3:6])
    assert min(training, step, validation) > 0
    assert torch.cuda.is_available() or printed.startswith("no GPU at hand: ")
    step_ms, gflop, tflops = map(float, of_step[3:6])
    assert step_ms == step
    assert tflops == pytest.approx(gflop / step_ms, rel=0.02)
    assert of_step[1].strip().endswith(" points")
    assert 100 < int(of_step[7]) < 1000
    # Kernels are those of a GPU.
    assert of_step[8].strip() == "-" or int(of_step[8]) > 100
    assert 0 <= float(of_step[9].strip(" %")) < 100
    (known,) = yaml.safe_load(printed[printed.index("gpu_s:") :])["gpu_s"].values()
    assert known.keys() == {"train", "identity", "lattice", "uniform"}
    assert known["train"] == pytest.approx((training + validation * 0.15 / 0.7) / 1e3, rel=0.02)


@pytest.mark.long
def test_profiles_add_up_what_a_step_reads_and_writes():
    printed = run("profile_step", "rotation_invariant_pointcloud/cellpack")
    assert re.search(r"cellpack on \w+, 32-true: [\d.]+ ms per training step", printed)
    *rows, together = table_lines(printed.partition("| kernel")[0])
    assert {"aten.mm", "others"} < {row[0].strip() for row in rows}
    for column in (1, 2, 3):
        assert sum(float(row[column]) for row in rows) == pytest.approx(float(together[column]), rel=0.05)
