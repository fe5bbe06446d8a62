"""Where a clone lies: paths that nothing can run under are named before set-up; a moved clone goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.clone import make_clone, snakemake
from paths import ROOT

from morphobench.config import check_places
from morphobench.errors import InputError

STAMP = ".venv/.ready-0123456789abcdef-{:08d}"
SET_UP = ["Makefile", "requirements.lock.txt", "requirements-numpy2.lock.txt"]
SET_UP += [f"workflow/{name}.sh" for name in ("place", "setup", "python")]
PLAIN = ["plain", "übung-1.2_3+", "a,b=c@d%e~f"]
SPECIAL = {"my clone (1) & $x": "a space", "a(1)": "character (", "b&c": "character &", "$x": "character $"}
SPECIAL |= {"q'q": "character '", "a:b": "character :", "{x}": "character {", "tab\tx": "a space"}


@pytest.fixture
def place(tmp_path):
    """Make the two scripts of set-up, in a folder of this name; return it."""

    def make(name):
        folder = tmp_path / name
        (folder / "workflow").mkdir(parents=True)
        for file in SET_UP:
            shutil.copy(ROOT / file, folder / file)
        return folder

    return make


def environment(folder, path):
    """Make a .venv whose only program says where its Python lies, as if set up at `path`."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    (folder / ".venv/bin/activate").write_text(f"VIRTUAL_ENV={path}/.venv\n")
    (folder / ".venv/pyvenv.cfg").write_text(f"command = python -m venv {path}/.venv\n")
    program = folder / ".venv/bin/snakemake"
    program.write_text(f"#!{path}/.venv/bin/python\nimport sys\nprint(sys.executable)\n")
    program.chmod(0o755)
    return program


def call(folder, number=2):
    command = ["bash", "workflow/place.sh", STAMP.format(number)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def make_setup(folder, python):
    variables = {"PATH": "/usr/bin:/bin", "PYTHON": str(python)}
    return subprocess.run(["make", "setup"], cwd=folder, capture_output=True, text=True, env=variables)


@pytest.mark.parametrize("name", SPECIAL)
def test_a_path_that_jobs_cannot_be_started_under_is_said_before_set_up(place, name):
    done = make_setup(place(name), "/bin/false")
    assert done.returncode != 0
    assert f"has {'the ' if 'character' in SPECIAL[name] else ''}{SPECIAL[name]}" in done.stderr
    assert "Move the clone" in done.stderr
    assert "Python 3.11" not in done.stderr


@pytest.mark.parametrize("name", PLAIN)
def test_other_paths_are_set_up(place, name):
    folder = place(name)
    assert call(folder).returncode == 3
    check_places(f"{folder}/.venv/bin/python", str(folder))


def test_another_python_is_said_before_set_up(place, tmp_path):
    python = tmp_path / "python3.12"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = make_setup(place("plain"), python)
    assert done.returncode != 0
    assert "Python 3.11 is needed. Install it, or name it" in done.stderr


def test_a_moved_clone_is_noticed_and_its_programs_run_again_wherever_it_goes(place, tmp_path):
    folder = place("here")
    environment(folder, folder)
    (folder / STAMP.format(1)).touch()
    for number, name in enumerate(["there", "elsewhere", "here"], start=2):
        folder = folder.rename(tmp_path / name)
        done = call(folder, number)
        assert done.returncode == 0, done.stderr
        assert "moved or copied" in done.stderr
        said = subprocess.run([folder / ".venv/bin/snakemake"], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == f"{folder}/.venv/bin/python"
        assert f"{folder}/.venv" in (folder / ".venv/bin/activate").read_text()
        # The stamp of a place that it left would pass for its programs' when it returns.
        assert [path.name for path in (folder / ".venv").glob(".ready-*")] == [
            Path(STAMP.format(number)).name
        ]
    assert "moved" not in call(folder, 5).stderr


def test_a_shared_environment_is_left_as_it_is(place):
    owner, folder = place("owner"), place("other")
    program = environment(owner, owner)
    (owner / STAMP.format(1)).touch()
    (folder / ".venv").symlink_to(owner / ".venv")
    before = program.read_text()
    assert call(folder).returncode == 0
    assert program.read_text() == before
    assert (owner / STAMP.format(1)).exists()


@pytest.mark.parametrize("fault", ["other packages", "no program", "a program of a shell"])
def test_what_cannot_be_changed_is_set_up_anew(place, fault):
    folder = place("here")
    program = environment(folder, "/where/it/was")
    stamp = STAMP.format(1)
    (folder / (stamp.replace("0123", "9999") if fault == "other packages" else stamp)).touch()
    if fault == "no program":
        program.unlink()
    elif fault != "other packages":
        program.write_text("#!/bin/sh\n'''exec' \"/where it was/.venv/bin/python\" \"$0\"\n")
    assert call(folder).returncode == 3


def test_the_stamp_names_the_place(place):
    folders = [place("one"), place("two")]
    stamps = {make_setup(folder, "/bin/false").stderr.partition("ready-")[2].split()[0] for folder in folders}
    assert len({stamp[:16] for stamp in stamps}) == 1
    assert len(stamps) == 2


@pytest.mark.parametrize(
    ("python", "clone"), [("/my cells/python", "/a"), ("/a$b/python", "/a"), ("/p", "/a:b")]
)
def test_a_python_or_clone_that_jobs_cannot_be_started_with_is_refused(python, clone):
    with pytest.raises(InputError, match="which jobs cannot be started under. Move the clone"):
        check_places(python, clone)


def test_a_clone_under_any_path_plans_with_a_python_elsewhere(tmp_path):
    clone = make_clone(tmp_path / "my clone (1) & $x" / "morphobench")
    assert "analyse" in snakemake(clone, "-n", "--config", "scale=demo", "--", "figures/fig2.pdf").stdout


def test_a_clone_with_braces_in_its_path_is_refused_in_words(tmp_path):
    done = snakemake(make_clone(tmp_path / "{x}"), "-n", "--config", "scale=demo", check=False)
    assert done.returncode != 0
    assert "the character {, which jobs cannot be started under" in done.stdout + done.stderr
