"""Training on several nodes under SLURM: srun starts one process per device, Lightning joins them."""

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

# The SLURM variables of the job; the others describe the step that this process runs in.
_JOB_VARIABLES = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CLUSTER_NAME", "SLURM_CONF")


def train(**arguments: Any) -> None:
    """Call `morphobench.train.run.run` here, or on the nodes that `train_config` asks for."""
    if arguments["train_config"]["nodes"] > 1:
        train_on_nodes(arguments)
    else:
        from morphobench.train import run

        run.run(**arguments)


def train_on_nodes(arguments: Mapping[str, Any]) -> None:
    """Call `morphobench.train.run.run` with these arguments in every process of the SLURM job.

    Raises
    ------
    InputError
        Outside of SLURM.
    SystemExit
        With the status of the processes when they failed or were interrupted.
    """
    train_config = arguments["train_config"]
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        needed = f"train.nodes = {train_config['nodes']} needs a SLURM job"
        raise InputError(f"{needed}: use --profile slurm-gpu, or set train.nodes to 1.")
    file = Path(arguments["checkpoints"]) / "arguments.json"
    write_json(dict(arguments), file)
    of_step = [n for n in os.environ if n.startswith(("SLURM_", "SRUN_", "SBATCH_", "PMI"))]
    environment = {n: v for n, v in os.environ.items() if n in _JOB_VARIABLES or n not in of_step}
    command, pipe = _srun(train_config, arguments["threads"], file), subprocess.PIPE
    step = subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda received, frame: step.send_signal(received))
    for line in step.stdout:
        logger.info("%s", line.rstrip())
    if step.wait():
        raise SystemExit(step.returncode)


def _srun(train_config: Mapping[str, Any], threads: int, file: Path) -> list[str]:
    nodes, devices = train_config["nodes"], train_config["devices"]
    # The waiting step holds the same cores: overlap.
    processes = [f"--nodes={nodes}", f"--ntasks={nodes * devices}", f"--ntasks-per-node={devices}"]
    options = [
        "--overlap",
        *processes,
        f"--cpus-per-task={max(1, threads // devices)}",
        "--kill-on-bad-exit=1",
    ]
    return ["srun", *options, sys.executable, "-m", "morphobench.train.nodes", str(file)]


def main(file: str) -> None:
    """Train as one process of a SLURM step, with the arguments in `file`."""
    from morphobench.train import run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        run.run(**json.loads(Path(file).read_text(encoding="utf-8")))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1])
