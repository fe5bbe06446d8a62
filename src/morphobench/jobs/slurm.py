"""SLURM's answer for each partition, asked once before the first job is submitted."""

import subprocess
from collections.abc import Iterable

from morphobench.errors import InputError

_REMEDY = (
    "Name partitions of `sinfo` in MORPHOBENCH_CPU_PARTITION and MORPHOBENCH_GPU_PARTITION and your account "
    "in SBATCH_ACCOUNT, or change the block at the top of the profile (profiles/slurm-gpu/config.yaml)."
)


def check(partitions: Iterable[str]) -> None:
    """Ask SLURM whether each partition would take a small job; Snakemake hides what sbatch says of a group.

    Raises
    ------
    InputError
        With SLURM's words when it would not, or when there is no SLURM here.
    """
    for name in sorted(partitions):
        command = ["sbatch", "--test-only", f"--partition={name}", "--time=1", "--mem=100", "--wrap=true"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except FileNotFoundError as error:
            remedy = "Run this on the cluster's login node, or use --profile profiles/local"
            raise InputError(f"there is no sbatch here. {remedy}.") from error
        except subprocess.TimeoutExpired as error:
            raise InputError("SLURM has not answered sbatch for a minute; try `sinfo`.") from error
        if answer.returncode:
            raise InputError(f"SLURM takes no jobs in partition {name}: {answer.stderr.strip()}\n{_REMEDY}")
