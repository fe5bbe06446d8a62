"""morphobench: morphology-appropriate representation learning, benchmarked.

One module per stage of the workflow: download, align, mask, sample, train, embed, score, analyse, plot; and
`load`, a trained model in Python. Importing the package imports none of them; the heavy ones (torch) load
where they are used. Axes, units and rotations are fixed in ``conventions.md`` beside this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from morphobench.api.model import TrainedModel

__version__ = "0.1.0"


def load(path: str, *, device: str = "cpu") -> TrainedModel:
    """Load a trained model with its preprocessing; see `morphobench.api.model.load`."""
    from morphobench.api.model import load as load_model

    return load_model(path, device=device)
