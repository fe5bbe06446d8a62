"""The Python of set-up: the machine's 3.11, one that uv brings from a mirror, or a newer one offline."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile

import pytest
from paths import ROOT

# Where uv says that its Pythons come from; a mirror stands for this.
ORIGIN = "https://github.com/astral-sh/python-build-standalone/releases/download"
RELEASE = "20990101/cpython-3.11.99%2B20990101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
VARIABLES = "lib/python3.11/_sysconfigdata__linux_x86_64-linux-gnu.py"
SYSCONFIG = b"# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n"
NAME = "cpython-3.11.99-linux-x86_64-gnu"


@pytest.fixture
def machine(tmp_path):
    """Run workflow/python.sh on a machine with these Pythons, by name, and uv."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "grep", "mktemp", "rm"):
        (programs / name).symlink_to(shutil.which(name))
    uv = shutil.which("uv") or pytest.skip("needs uv, which requirements.lock.txt pins")
    (programs / "uv").symlink_to(uv)

    def run(pythons, **variables):
        for name, version in pythons.items():
            pretend = f'exec {sys.executable} -c "import sys; sys.version_info = {version}; $2"'
            (programs / name).write_text(f"#!{programs}/bash\n{pretend}\n")
            (programs / name).chmod(0o755)
        known = {
            "PATH": str(programs),
            "HOME": str(tmp_path),
            "UV_PYTHON_INSTALL_DIR": f"{tmp_path}/uv",
            "UV_PYTHON_INSTALL_MIRROR": f"file://{tmp_path}/nowhere",
        }
        command = ["bash", ROOT / "workflow/python.sh"]
        done = subprocess.run(command, capture_output=True, text=True, env=known | variables)
        return done.stdout.strip(), done.stderr, done.returncode

    return programs, run


def make_mirror(folder):
    """Make a mirror with one Python 3.11, which starts this one; return the variables that name it to uv."""
    program = f'#!/bin/bash\nexec -a "$0" {sys.executable} "$@"\n'.encode()
    archive = folder / RELEASE.replace("%2B", "+")
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in {"bin/python3.11": program, VARIABLES: SYSCONFIG}.items():
            entry = tarfile.TarInfo(f"python/{name}")
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    entry = {"name": "cpython", "arch": {"family": "x86_64", "variant": None}, "os": "linux", "libc": "gnu"}
    entry |= {"major": 3, "minor": 11, "patch": 99, "prerelease": "", "variant": None, "build": "20990101"}
    entry |= {"url": f"{ORIGIN}/{RELEASE}", "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
    (folder / "downloads.json").write_text(json.dumps({NAME: entry}))
    downloads = {"UV_PYTHON_DOWNLOADS_JSON_URL": str(folder / "downloads.json")}
    return downloads | {"UV_PYTHON_INSTALL_MIRROR": f"file://{folder}"}


@pytest.mark.parametrize("name", ["python3.11", "python3"])
def test_a_python_3_11_of_the_machine_comes_first(machine, name):
    programs, run = machine
    assert run({"python3": (3, 13), name: (3, 11)}) == (str(programs / name), "", 0)


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_a_python_that_is_named_is_taken(machine, minor):
    programs, run = machine
    named = str(programs / "mine")
    assert run({"mine": (3, minor), "python3.11": (3, 11)}, PYTHON=named) == (named, "", 0)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the mirror's Python starts this one")
@pytest.mark.parametrize("minor", [9, 13])
def test_uv_brings_a_python_from_a_mirror_where_the_machine_has_none(machine, tmp_path, minor):
    _, run = machine
    found, said, code = run({"python3": (3, minor)}, **make_mirror(tmp_path / "mirror"))
    assert code == 0, said
    assert "uv brings one" in said
    assert found.startswith(f"{tmp_path}/uv/cpython-3.11")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("Python 3.11")


def test_offline_a_newer_python_serves(machine):
    programs, run = machine
    found, said, code = run({"python3": (3, 13)})
    assert (found, code) == (str(programs / "python3"), 0)
    assert "with the packages of requirements-numpy2.lock.txt" in said


@pytest.mark.parametrize("minor", [10, 14])
def test_offline_another_python_ends_with_the_remedies(machine, minor):
    found, said, code = machine[1]({"python3": (3, minor)})
    assert (found, code) == ("", 1)
    assert "is this machine offline? Install it, or name it: make PYTHON=" in said
    assert "UV_PYTHON_INSTALL_MIRROR" in said


@pytest.mark.parametrize("pythons", [{}, {"python3": (3, 8)}])
def test_without_python_3_9_nothing_is_fetched(machine, pythons):
    assert "Python 3.9 or later is needed" in machine[1](pythons)[1]


def test_a_named_python_of_another_version_is_refused(machine):
    programs, run = machine
    _, said, code = run({"mine": (3, 14), "python3": (3, 11)}, PYTHON=str(programs / "mine"))
    assert code == 1
    assert "is no Python 3.11, 3.12 or 3.13" in said
