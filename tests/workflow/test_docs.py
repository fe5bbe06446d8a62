"""Every command in README.md and docs runs as it stands: snakemake and make as dry-runs, Python for real."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.clone import make_clone, snakemake
from paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# Planned by test_profiles, test_rules and test_sweep, or run by the tests of the demo.
ELSEWHERE = {
    "snakemake -n figures/fig2.pdf",
    "snakemake --profile profiles/demo figures/fig2.pdf",
    "snakemake --profile profiles/demo results/train/sweeps/example.csv",
    "snakemake --profile profiles/local figures/fig3.pdf",
    "snakemake --profile slurm-gpu figures/fig3.pdf",
    "snakemake --profile slurm-gpu -n all",
    "snakemake all",
}
INLINE = re.compile(r"`([^`]+)`")


def commands() -> list[str]:
    """Return the commands of fenced blocks and inline code that begin with snakemake or make, once each."""
    lines = []
    for page in PAGES:
        text = page.read_text()
        lines += [line for _, body in FENCED.findall(text) for line in body.splitlines()]
        lines += [code.replace("\n", " ") for code in INLINE.findall(FENCED.sub("", text))]
    stripped = (re.sub(r"\s+# .*", "", line).strip() for line in lines)
    return sorted({line for line in stripped if re.match(r"(snakemake|make) \S", line)})


def of(program: str) -> list[str]:
    return [line for line in commands() if line.startswith(program + " ")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = make_clone(tmp_path_factory.mktemp("docs") / "morphobench")
    # The data set that the walk-through adds.
    shutil.copy(folder / "config/datasets/hipsc_nuclei.yaml", folder / "config/datasets/mine.yaml")
    # What `make publish` leaves; an empty one, for a plan does not depend on where the folder lies.
    published = folder / "results/publish/cellpack/published.yaml"
    published.parent.mkdir(parents=True)
    published.write_text("{}\n")
    return folder


def test_there_are_commands():
    assert len(of("snakemake")) > 10
    assert {"make demo", "make test"} <= set(of("make"))
    assert set(of("snakemake")) >= ELSEWHERE


def plans() -> list[str]:
    """Return the commands of Snakemake to try, once each whatever their cores."""
    return sorted({re.sub(r" --cores \d+", "", line) for line in of("snakemake") if line not in ELSEWHERE})


@pytest.mark.long
@pytest.mark.parametrize("command", plans())
def test_a_snakemake_command_plans(clone, command):
    snakemake(clone, "--dry-run", "--quiet=all", *shlex.split(command)[1:])


@pytest.mark.parametrize("command", of("make"))
def test_a_make_command_has_its_target(command):
    done = subprocess.run(["make", "--dry-run", *shlex.split(command)[1:]], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_python_examples_run_from_any_folder(tmp_path):
    if not list(Path(sys.prefix).glob(".ready-*")):
        pytest.skip("needs the environment that `make setup` makes: run `make test`")
    # python.md needs a trained model: tests/api/test_page.py.
    pages = [page for page in PAGES if page.name != "python.md"]
    blocks = [body for page in pages for kind, body in FENCED.findall(page.read_text()) if kind == "python"]
    assert blocks
    for body in blocks:
        environment = {"PATH": "/usr/bin:/bin"}
        subprocess.run([sys.executable, "-c", body], cwd=tmp_path, env=environment, check=True)
