"""Analyses that decode: clouds of embeddings, and of rotated example cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench import models, seeds
from morphobench.files import FilePath, read_table, write_table
from morphobench.files.manifests import example_cells
from morphobench.files.tables import embedding_matrix
from morphobench.geometry import rotation
from morphobench.log import logger
from morphobench.models.cells import Cells, cell_batch
from morphobench.models.decode import decode_shapes
from morphobench.models.decode_clouds import to_points_um

# Representations whose models decode into points.
_DECODED = ("points", "cube")
# Columns that label the embeddings of each analysis.
LABELS = {
    "walks": ["stratum", "component", "sigma"],
    "archetypes": ["archetype", "explained_variance", "start_distance"],
    "volume_bins": ["bin"],
}


def _cloud_table(clouds: np.ndarray | torch.Tensor, labels: pd.DataFrame) -> pd.DataFrame:
    """Stack clouds (n, n_points, 3) into rows x_um, y_um, z_um after the labels of their cloud."""
    clouds = np.asarray(clouds)
    points = pd.DataFrame(clouds.reshape(-1, 3), columns=["x_um", "y_um", "z_um"])
    repeated = labels.loc[labels.index.repeat(clouds.shape[1])].reset_index(drop=True)
    return pd.concat([repeated, points], axis=1)


def _sampling(embed: Mapping[str, Any], side_um: float | None, seed: int, analysis: str) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seeds.integer(seed, "analyse", analysis))
    return {"n_points": embed["error_points"], "side_um": side_um, "generator": generator}


def decode(
    model_path: FilePath,
    embeddings: Mapping[str, FilePath],
    out: Mapping[str, FilePath],
    *,
    embed: Mapping[str, Any],
    side_um: float | None,
    seed: int,
) -> None:
    """Decode embeddings in the canonical frame, from a table for each analysis into one of its name in `out`.

    It has the labels of the analysis (`LABELS`), x_um, y_um, z_um, and no rows if the model does not decode
    into points. `side_um` is the side of the dataset's cubes.
    """
    model, model_config = models.load(model_path)
    for analysis, path in out.items():
        table = read_table(embeddings[analysis])
        labels, clouds = table[LABELS[analysis]], np.empty((0, 0, 3), np.float32)
        if model_config["representation"] in _DECODED and len(table):
            options = {"batch_size": embed["batch_size"], **_sampling(embed, side_um, seed, analysis)}
            clouds = decode_shapes(model, embedding_matrix(table), model_config, **options)
        else:
            logger.warning("%s: no shapes are decoded for the %s", model_config["representation"], analysis)
        write_table(_cloud_table(clouds, labels[: len(clouds)]), path)


@torch.inference_mode()
def rotations(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    out: FilePath,
    *,
    stratum: str,
    degrees: Sequence[float],
    embed: Mapping[str, Any],
    side_um: float,
    seed: int,
) -> None:
    """Encode and decode example cells rotated about the optical axis.

    Writes stratum, degrees, kind (input | canonical | reconstruction), x_um, y_um, z_um.
    """
    model, model_config = models.load(model_path)
    examples = example_cells(read_table(manifest), stratum)
    cells = Cells(examples, dict(enumerate(map(Path, shards))), model_config)
    sampling = _sampling(embed, side_um, seed, "rotations")
    tables = []
    for angle in degrees:
        about_z = rotation.about_z(angle)
        x = cell_batch(cells, range(len(cells)), model_config, rotation=about_z, seed=seed).x
        latent = model.encode_with_pose(x)
        decoded = {"canonical": model.decode(latent.z), "reconstruction": model.decode(latent.z, latent.pose)}
        for kind, tensor in {"input": x, **decoded}.items():
            labels = pd.DataFrame({"stratum": examples[stratum], "degrees": float(angle), "kind": kind})
            tables.append(_cloud_table(to_points_um(tensor, model_config, **sampling), labels))
    write_table(pd.concat(tables, ignore_index=True), out)
