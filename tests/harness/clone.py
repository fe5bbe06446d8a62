"""A clone as a user has it, and Snakemake run in it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from paths import ROOT


def make_clone(folder):
    """Copy what git tracks, as it is in the working tree, into a new folder: a clone without results."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in files.decode().strip("\0").split("\0"):
        source, target = ROOT / name, folder / name
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    return folder


def snakemake(folder, *arguments, check=True):
    command = [str(Path(sys.executable).with_name("snakemake")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1200)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def job_counts(text):
    """Read Snakemake's table of jobs; without one, nothing is to be done."""
    if "Job stats:" not in text:
        assert "Nothing to be done" in text, text
        return {}
    table = text.split("Job stats:")[1].split("Reasons:")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
