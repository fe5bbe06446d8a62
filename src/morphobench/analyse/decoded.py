"""Analyses that decode: the shapes of codes, and the rotation sheet, as clouds in micrometres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench import models, seeds
from morphobench.files import read_table, write_table
from morphobench.files.manifests import example_cells
from morphobench.files.tables import embedding_matrix
from morphobench.geometry import rotation
from morphobench.log import logger
from morphobench.models.cells import Cells, cell_batch
from morphobench.models.decode import decode_shapes
from morphobench.models.decode_clouds import to_points_um

# Representations whose models decode into points.
_DECODED = ("points", "cube")
_POINTS = ["x_um", "y_um", "z_um"]


def _cloud_table(clouds: np.ndarray | torch.Tensor, labels: pd.DataFrame) -> pd.DataFrame:
    """Stack clouds of shape (n, n_points, 3) into rows x_um, y_um, z_um with the labels of their cloud."""
    clouds = np.asarray(clouds)
    points = pd.DataFrame(clouds.reshape(-1, 3), columns=_POINTS)
    repeated = labels.loc[labels.index.repeat(clouds.shape[1])].reset_index(drop=True)
    return pd.concat([repeated, points], axis=1)


def _sampling(embed: Mapping[str, Any], side_um: float, seed: int, analysis: str) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seeds.integer(seed, "analyse", analysis))
    return {"n_points": embed["error_points"], "side_um": side_um, "generator": generator}


# Labels of the shapes of each analysis, and the names of their tables.
LABELS = {
    "walks": ["stratum", "component", "sigma"],
    "archetypes": ["archetype", "explained_variance"],
    "volume_bins": ["bin"],
}


def decode(
    model_path: str | Path,
    codes: str | Path,
    out: str | Path,
    *,
    analysis: str,
    embed: Mapping[str, Any],
    side_um: float | None,
    seed: int,
) -> None:
    """Write the canonical shapes of the codes of an analysis: its labels, x_um, y_um, z_um.

    A model whose codes do not decode into points has no row; its shapes are those of the nearest real cells.

    Parameters
    ----------
    model_path
        The trained model.
    codes
        Table with the labels of the analysis and mu_0 ...
    out
        Table to write.
    analysis
        A key of `LABELS`.
    embed
        Section `embed` of the configuration.
    side_um
        Side of the dataset's cubes, where it has cubes.
    seed
        Seed of the run.
    """
    model, settings = models.load(model_path)
    table = read_table(codes)
    labels = table[LABELS[analysis]]
    # The one place where codes of analyses become shapes.
    if settings["representation"] not in _DECODED or table.empty:
        logger.warning("%s: no shapes are decoded for the %s", settings["representation"], analysis)
        points = pd.DataFrame(columns=_POINTS, dtype=np.float32)
        write_table(pd.concat([labels.iloc[:0], points], axis=1), out)
        return
    sampling = _sampling(embed, side_um, seed, analysis)
    z = embedding_matrix(table)
    clouds = decode_shapes(model, z, settings, batch_size=embed["batch_size"], **sampling)
    write_table(_cloud_table(clouds, labels), out)


@torch.inference_mode()
def rotations(
    manifest: str | Path,
    shards: Sequence[str | Path],
    model_path: str | Path,
    out: str | Path,
    *,
    stratum: str,
    degrees: Sequence[float],
    embed: Mapping[str, Any],
    side_um: float,
    seed: int,
) -> None:
    """Write input, canonical shape and reconstruction of the example cells turned about the optical axis.

    Columns: stratum, degrees, kind (input | canonical | reconstruction), x_um, y_um, z_um.
    """
    model, settings = models.load(model_path)
    cells = Cells(
        example_cells(read_table(manifest), stratum),
        dict(enumerate(map(Path, shards))),
        settings,
    )
    sampling = _sampling(embed, side_um, seed, "rotations")
    tables = []
    for angle in degrees:
        turn = rotation.about_z(angle)
        x = cell_batch(cells, range(len(cells)), settings, rotation=turn, seed=seed).x
        latent = model.encode_with_pose(x)
        decoded = {"canonical": model.decode(latent.z), "reconstruction": model.decode(latent.z, latent.pose)}
        for kind, tensor in {"input": x, **decoded}.items():
            labels = pd.DataFrame({"stratum": cells.table[stratum], "degrees": float(angle), "kind": kind})
            tables.append(_cloud_table(to_points_um(tensor, settings, **sampling), labels))
    write_table(pd.concat(tables, ignore_index=True), out)
