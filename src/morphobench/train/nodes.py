"""A training on several nodes: SLURM starts one process per device, Lightning makes them one training."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphobench.errors import InputError
from morphobench.files import write_json
from morphobench.log import logger

# What a step may know of the job around it; the rest describes the step that starts it.
_OF_THE_JOB = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CLUSTER_NAME", "SLURM_CONF")


def _command(trainer: Mapping[str, Any], threads: int, file: Path) -> list[str]:
    return [
        "srun",
        "--overlap",  # the step that waits here holds the same cores
        f"--nodes={trainer['nodes']}",
        f"--ntasks={trainer['nodes'] * trainer['devices']}",
        f"--ntasks-per-node={trainer['devices']}",
        f"--cpus-per-task={max(1, threads // trainer['devices'])}",
        "--kill-on-bad-exit=1",
        sys.executable,
        "-m",
        "morphobench.train.nodes",
        str(file),
    ]


def on_all_nodes(arguments: Mapping[str, Any]) -> None:
    """Call `morphobench.train.run.run` with these arguments in every process of the SLURM job.

    Raises
    ------
    InputError
        Outside of SLURM.
    SystemExit
        With the status of the processes when they failed or were told to end.
    """
    trainer = arguments["trainer"]
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        raise InputError(
            f"train.nodes = {trainer['nodes']} needs a SLURM job. Use --profile slurm-gpu, or set "
            "train.nodes to 1 in config/config.yaml."
        )
    file = Path(arguments["checkpoints"]) / "arguments.json"
    write_json(dict(arguments), file)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _OF_THE_JOB or not name.startswith(("SLURM_", "SRUN_", "SBATCH_", "PMI"))
    }
    step = subprocess.Popen(
        _command(trainer, arguments["threads"], file),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda received, frame: step.send_signal(received))
    for line in step.stdout:
        logger.info("%s", line.rstrip())
    if step.wait():
        raise SystemExit(step.returncode)


def train(**arguments: Any) -> None:
    """Call `morphobench.train.run.run`: here, or on the nodes that `trainer` asks for."""
    if arguments["trainer"]["nodes"] > 1:
        on_all_nodes(arguments)
    else:
        from morphobench.train import run as train

        train.run(**arguments)


def main(file: str) -> None:
    """Take part in the training that `file` describes, as one of the processes of a step."""
    from morphobench.train import run as train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        train.run(**json.loads(Path(file).read_text()))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
