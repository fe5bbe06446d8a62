"""What runs for a figure: everything on a fresh clone, nothing twice after a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.clone import job_counts, make_clone, snakemake

pytestmark = pytest.mark.end_to_end

FIGURE = "figures/fig3.pdf"
SCALE = ("--config", "scale=paper", "datasets={pcna: {n_shards: 2}}", "--")


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    counts = job_counts(snakemake(folder, "-n", *arguments).stdout)
    counts.pop("total", None)
    return counts


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    return make_clone(tmp_path_factory.mktemp("jobs") / "morphobench")


@pytest.fixture(scope="module")
def fresh(clone) -> dict[str, dict[str, int]]:
    """What a clone without results plans: all, and until the embeddings."""
    until = ("--until", "embed")
    return {"all": planned(clone, *SCALE, FIGURE), "embed": planned(clone, *until, *SCALE, FIGURE)}


@pytest.fixture(scope="module")
def finished(clone, fresh) -> Path:
    """The clone after a run that is made up: every output is there, empty, and as new as it should be."""
    table = snakemake(clone, "--summary", *SCALE, FIGURE).stdout
    names = [line.split("\t")[0] for line in table.splitlines() if line.startswith(("results/", "figures/"))]
    assert len(names) > 50
    for name in names:
        path = clone / name
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            path.mkdir(parents=True, exist_ok=True)
    snakemake(clone, "--cores", "1", "--touch", *SCALE, FIGURE)
    return clone


def stages(counts: dict[str, int]) -> set[str]:
    return {name.split("_")[0] for name in counts}


def test_a_fresh_clone_plans_every_stage_and_one_figure(fresh):
    before_plot = {"download", "align", "mask", "sample", "train", "embed", "score", "analyse"}
    assert stages(fresh["all"]) == before_plot | {"plot"}
    assert {name for name in fresh["all"] if name.startswith("plot_")} == {"plot_figure"}


def test_until_embed_stops_after_the_embeddings(fresh):
    assert fresh["embed"]["embed"] > 0
    assert stages(fresh["embed"]) <= {"download", "align", "mask", "sample", "train", "embed"}


@pytest.mark.long
def test_after_a_finished_run_only_what_is_asked_for_runs(finished):
    assert planned(finished, *SCALE, FIGURE) == {}
    assert planned(finished, "--forcerun", "plot_figure", *SCALE, FIGURE) == {"plot_figure": 1}
    # As it is typed: the name of the figure follows that of the rule.
    assert planned(finished, *SCALE[:-1], "--forcerun", "plot_figure", FIGURE) == {"plot_figure": 1}
    assert planned(finished, "--until", "embed", *SCALE, FIGURE) == {}
