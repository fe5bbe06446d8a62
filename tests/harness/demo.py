"""`make demo` in a clone."""

import os
import subprocess

import psutil


def engines(folder):
    """The snakemake processes that work in `folder`."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        line = process.info["cmdline"] or []
        if process.info["cwd"] == str(folder) and any(part.endswith("bin/snakemake") for part in line):
            found.append(process)
    return found


def make_demo(folder, **more):
    environment = {**os.environ, "CORES": str(min(os.cpu_count(), 4))}
    return subprocess.Popen(
        ["make", "demo"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )
