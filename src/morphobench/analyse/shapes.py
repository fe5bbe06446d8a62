"""Analyses that decode: latent walks, archetypes and the rotation sheet, as clouds in micrometres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphobench import models, rotation, seeds
from morphobench.analyse.examples import example_cells
from morphobench.analyse.latent import archetypes, latent_walk
from morphobench.decode import decode_points_um, to_points_um
from morphobench.files import read_table, write_table
from morphobench.loading import Cells, cell_batch
from morphobench.tables import embedding_matrix


def _cloud_table(clouds: np.ndarray | torch.Tensor, labels: pd.DataFrame) -> pd.DataFrame:
    """Stack clouds of shape (n, n_points, 3) into rows x_um, y_um, z_um with the labels of their cloud."""
    clouds = np.asarray(clouds)
    points = pd.DataFrame(clouds.reshape(-1, 3), columns=["x_um", "y_um", "z_um"])
    repeated = labels.loc[labels.index.repeat(clouds.shape[1])].reset_index(drop=True)
    return pd.concat([repeated, points], axis=1)


def _sampling(embed: Mapping[str, Any], side_um: float, seed: int, analysis: str) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seeds.integer(seed, "analyse", analysis))
    return {"n_points": embed["error_points"], "side_um": side_um, "generator": generator}


def _labelled(manifest: str | Path, embedding: str | Path, stratum: str) -> pd.DataFrame:
    labels = read_table(manifest)[["CellId", stratum]]
    return read_table(embedding).merge(labels, on="CellId", how="left", validate="1:1")


def walks(
    manifest: str | Path,
    model_path: str | Path,
    embedding: str | Path,
    out: str | Path,
    *,
    stratum: str,
    sigmas: Sequence[float],
    embed: Mapping[str, Any],
    side_um: float,
    seed: int,
) -> None:
    """Write canonical shapes along the first principal component of every stratum.

    Columns: stratum, component, sigma, x_um, y_um, z_um.
    """
    model, settings = models.load(model_path)
    table = _labelled(manifest, embedding, stratum)
    walk = latent_walk(embedding_matrix(table), table[stratum].to_numpy(), n_components=1, sigmas=sigmas)
    labels = walk[["stratum", "component", "sigma"]]
    sampling = _sampling(embed, side_um, seed, "walks")
    clouds = decode_points_um(
        model, embedding_matrix(walk), settings, batch_size=embed["batch_size"], **sampling
    )
    write_table(_cloud_table(clouds, labels), out)


def archetype_shapes(
    manifest: str | Path,
    model_path: str | Path,
    embedding: str | Path,
    shapes_out: str | Path,
    weights_out: str | Path,
    *,
    stratum: str,
    n_archetypes: int,
    n_starts: int,
    embed: Mapping[str, Any],
    side_um: float,
    seed: int,
) -> None:
    """Write the decoded archetypes (archetype, x_um, y_um, z_um) and the weight of each on every cell."""
    model, settings = models.load(model_path)
    table = _labelled(manifest, embedding, stratum)
    rng = np.random.default_rng(seeds.integer(seed, "analyse", "archetypes"))
    found = archetypes(embedding_matrix(table), n_archetypes, n_starts=n_starts, rng=rng)
    sampling = _sampling(embed, side_um, seed, "archetypes")
    clouds = decode_points_um(model, found.z, settings, batch_size=embed["batch_size"], **sampling)
    labels = pd.DataFrame(
        {"archetype": np.arange(n_archetypes), "explained_variance": found.explained_variance}
    )
    write_table(_cloud_table(clouds, labels), shapes_out)
    weights = pd.DataFrame(found.weights, columns=[f"weight_{k}" for k in range(n_archetypes)])
    write_table(pd.concat([table[["CellId", stratum]], weights], axis=1), weights_out)


@torch.inference_mode()
def rotation_sheet(
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
        x = cell_batch(cells, range(len(cells)), settings, turn=turn, draw_seed=seed).x
        latent = model.encode_with_pose(x)
        decoded = {"canonical": model.decode(latent.z), "reconstruction": model.decode(latent.z, latent.pose)}
        for kind, tensor in {"input": x, **decoded}.items():
            labels = pd.DataFrame({"stratum": cells.table[stratum], "degrees": float(angle), "kind": kind})
            tables.append(_cloud_table(to_points_um(tensor, settings, **sampling), labels))
    write_table(pd.concat(tables, ignore_index=True), out)
