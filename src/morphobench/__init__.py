"""morphobench: morphology-appropriate representation learning, benchmarked.

One module per stage of the workflow: download, align, mask, sample, train, embed, score, analyse, plot; and
`load`, a trained model in Python. Importing the package imports none of them; the heavy ones (torch) load
where they are used. Axes, units and rotations are fixed in ``conventions.md`` beside this file.
"""

import importlib
from typing import Any

__version__ = "0.1.0"


def load(path: str, *, device: str = "cpu") -> Any:
    """Load a trained model with its preprocessing, a `TrainedModel`; see `morphobench.api.model.load`."""
    # By name: every module that asks for the version would import the models.
    return importlib.import_module("morphobench.api.model").load(path, device=device)
