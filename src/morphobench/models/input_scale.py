"""Scale of point clouds measured on training cells: as large as the grid that the decoder folds."""

from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files import intensities
from morphobench.log import logger
from morphobench.models.cells import Cells
from morphobench.models.cloud.folding import make_grid
from morphobench.models.inputs import Config

AUTO = "auto"


def with_input_scale(model_config: Config, cells: Cells, most_cells: int) -> dict[str, Any]:
    """Return a model's configuration with a number for `input_scale: auto`, measured on training cells.

    It brings the root mean square distance from the origin, of up to `most_cells` cells, to that of the
    decoder's grid, so that folding starts from a shape of the right size. What it was measured on
    stands beside it.

    Raises
    ------
    InputError
        When all points are at the origin.
    """
    if model_config["input_scale"] != AUTO:
        return dict(model_config)
    rows = intensities.chosen_rows(cells.table["CellId"].tolist(), most_cells)
    squares = [np.square(cells.raw([row])["points_um"], dtype=np.float64).sum(-1).mean() for row in rows]
    rms_um, architecture = float(np.sqrt(np.mean(squares))), model_config["architecture"]
    if not rms_um > 0:
        raise InputError("the points of the training cells are all at the origin. Check stage sample.")
    grid = make_grid(
        architecture.get("grid", "sphere"), architecture["n_output_points"], architecture.get("grid_file")
    )
    factor = float(np.sqrt(np.square(grid).sum(-1).mean())) / rms_um
    logger.info("input_scale is %.4g model units per um, from %d training cells", factor, len(rows))
    measured = {"rms_um": rms_um, "n_cells": len(rows)}
    return {**model_config, "input_scale": factor, "measured_scale": measured}
