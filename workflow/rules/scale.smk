# The package is imported from src, here and in every script job, so that a fresh clone needs no installation.
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

SOURCE = str(Path(workflow.basedir) / "src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")]))

from morphobench import code, config as configuration
from morphobench.errors import InputError

SCALE_MARKER = Path("results/.scale")


def or_stop(check, *arguments):
    """Call `check`; what a user can mend ends the run with its message alone."""
    try:
        return check(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def remember_scale():
    SCALE_MARKER.parent.mkdir(exist_ok=True)
    SCALE_MARKER.write_text(SCALE + "\n")


SCALE = or_stop(configuration.scale_of, config, SCALE_MARKER)
