# The package is imported from src, here and in every script job, so that a fresh clone needs no installation.
import os
import sys
import time
from pathlib import Path

# The folder of the clone, also where another workflow takes this one as a module.
CLONE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).resolve().parents[1]
if not (CLONE / "src/morphobench").is_dir():
    # From a remote place, Snakemake fetches rules alone.
    sys.exit(
        f"morphobench: {CLONE} is no clone. Clone the workflow, and name its workflow/Snakefile in the module."
    )
SOURCE = str(CLONE / "src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)
    paths = [SOURCE, dict(os.environ).get("PYTHONPATH")]
    os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, paths)))

from morphobench import config as configuration
from morphobench import log
from morphobench.errors import InputError
from morphobench.jobs import slurm, warned

STARTED = time.time()
SCALE_MARKER = Path("results/.scale")


def or_stop(check, *arguments):
    """Call `check`; an InputError ends the run with its message alone."""
    try:
        return check(*arguments)
    except InputError as error:
        # A WorkflowError would add lines of code that the user has nothing to do with.
        sys.exit(f"morphobench: {error}")


or_stop(configuration.check_places, sys.executable, str(CLONE))
for name in ("results", "logs", "benchmarks", "figures"):
    or_stop(configuration.check_folder, Path(name))


SCALE = or_stop(configuration.scale_of, config, SCALE_MARKER)
# A job may run without the results folder that holds the scale, such as in a cloud.
os.environ["MORPHOBENCH_SCALE"] = SCALE


envvars:
    "MORPHOBENCH_SCALE",
