"""Every environment of envs/ made anew, and what its rules import found in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.clone import make_clone

HERE = Path(__file__).parent
MODEL = "rotation_invariant_image"
CONFIG = [
    f"datasets={{cellpack: {{n_shards: 1, models: [{MODEL}], benchmark: [{MODEL}], analysis_model: {MODEL},"
    " sample: {cube: {size: 9}}}}",
    f"models={{{MODEL}: {{training: {{max_epochs: 1}}}}}}",
]
# Target -> rule that makes it; of each environment what imports most of it.
TARGETS = {
    "results/download/hipsc_nuclei/shard-0": "download",
    "results/plot/cells/hipsc_nuclei.png": "plot_cells",
    f"results/train/cellpack/{MODEL}/seed-42/model.pt": "train",
    "results/publish/cellpack": "published_folder",
    "results/score/cellpack/pairs.csv": "score_pairs",
}
pytestmark = [
    pytest.mark.envs,
    pytest.mark.skipif(
        shutil.which("conda") is not None, reason="the stand-in is for where there is no conda"
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    clone = make_clone(tmp_path_factory.mktemp("clone") / "morphobench")
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{HERE / 'bin'}:{programs}:{os.environ['PATH']}",
        "MORPHOBENCH_UV": str(programs / "uv"),
    }
    # uv reads neither pip's find-links nor its certificate.
    if "PIP_FIND_LINKS" in environment:
        environment.setdefault("UV_FIND_LINKS", environment["PIP_FIND_LINKS"].replace(" ", ","))
    if "PIP_CERT" in environment:
        environment.setdefault("SSL_CERT_FILE", environment["PIP_CERT"])
    environment.pop("PYTHONPATH", None)
    command = ["snakemake", "--profile", "profiles/demo", "--sdm", "conda", "--cores", "2"]
    done = subprocess.run(
        [programs / command[0], *command[1:], "--config", "scale=demo", *CONFIG, "--", *TARGETS],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return clone


def test_one_rule_of_each_environment_ran_in_it(run):
    names = {path.stem for path in (run / "envs").glob("*.yaml")}
    of_rule = {}
    for path in (run / "workflow/rules").glob("*.smk"):
        for rule, block in re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", path.read_text(), re.M | re.S):
            if named := re.search(r"envs/(\w+)\.yaml", block):  # not rule all, which runs nothing
                of_rule[rule] = named.group(1)
    assert {of_rule[rule] for rule in TARGETS.values()} == names
    assert all((run / target).exists() for target in TARGETS)
    made = [path for path in (run / ".snakemake/conda").iterdir() if (path / "bin/python").exists()]
    assert len(made) == len(names)


def test_the_versions_are_those_of_the_pins(run):
    lock = dict(line.split("==") for line in (run / "requirements.lock.txt").read_text().splitlines())
    script = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    for python in (run / ".snakemake/conda").glob("*/bin/python"):
        found = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout
        for entry in found.split():
            name, version = entry.lower().replace("_", "-").split("==")
            assert lock.get(name, version) == version.split("+")[0], f"{python}: {entry}"
