"""Jobs: source digests, GPUs, SLURM, the state of a run and its plan."""
