"""The analyses that read codes and the manifest and write tables; nothing here decodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.analyse.archetypal import Archetypes, archetypes, explained_variances
from morphobench.analyse.cells import Coded, numbers_of, read
from morphobench.analyse.map import pacmap_map
from morphobench.analyse.pca import principal_components, varies
from morphobench.analyse.pieces import compare_features
from morphobench.analyse.strata import stratum_by_archetype
from morphobench.analyse.volume_bins import bin_edges, bin_means, bin_of
from morphobench.analyse.walks import closest_cells, latent_walk
from morphobench.errors import InputError
from morphobench.files import read_table, write_table
from morphobench.files.manifests import strata_of
from morphobench.files.tables import embedding_matrix, read_checked
from morphobench.log import logger


def _generator(seed: int, analysis: str) -> np.random.Generator:
    return np.random.default_rng(seeds.integer(seed, "analyse", analysis))


def _with_codes(labels: pd.DataFrame, z: np.ndarray) -> pd.DataFrame:
    codes = pd.DataFrame(z, columns=[f"mu_{i}" for i in range(z.shape[1])])
    return pd.concat([labels.reset_index(drop=True), codes], axis=1)


def walk_embeddings(
    manifest: str | Path,
    embedding: str | Path,
    codes_out: str | Path,
    cells_out: str | Path,
    *,
    stratum: str,
    n_components: int,
    sigmas: Sequence[float],
    keep: Mapping[str, Iterable[Any]] | None,
) -> None:
    """Walk through every stratum: the points, and the real cell of the stratum nearest to each.

    Writes stratum, component, sigma, sd, n_cells, mu_0 ...; and stratum, component, sigma, CellId, distance.
    A stratum of one cell, or without variance, has one point: itself. Of two cells there is one component.
    """
    cells = read(manifest, embedding, keep)
    strata = strata_of(cells.known, stratum)
    labelled = np.array([value is not None for value in strata], dtype=bool)
    if not labelled.any():
        raise InputError(f"{embedding}: no cell is left to analyse; see analyse.keep of the dataset's yaml.")
    cells, strata = cells.only(labelled), strata[labelled]
    walk = latent_walk(cells.z, strata, n_components=n_components, sigmas=sigmas)
    nearest = []
    for name, points in walk.groupby("stratum", sort=False):
        own = cells.only(strata == name)
        found = closest_cells(embedding_matrix(points), own.z, own.ids)
        nearest.append(found.set_index(points.index))
    labels = walk[["stratum", "component", "sigma"]]
    write_table(labels.join(pd.concat(nearest)), cells_out)
    write_table(walk, codes_out)


def archetype_embeddings(
    manifest: str | Path,
    embedding: str | Path,
    codes_out: str | Path,
    weights_out: str | Path,
    cells_out: str | Path,
    variance_out: str | Path,
    *,
    stratum: str,
    n_archetypes: int,
    k_list: Sequence[int],
    n_starts: int,
    keep: Mapping[str, Iterable[Any]] | None,
    seed: int,
) -> None:
    """Find the archetypes, the weight of each on every cell, the real cell nearest to each.

    Writes archetype, explained_variance, mu_0 ...; CellId, the stratum, weight_0 ...; archetype, CellId,
    distance; and k, explained_variance, chosen, for every k asked for and `n_archetypes`. Codes without
    variance have one archetype, their mean, and explained variance NaN; fewer cells than archetypes have as
    many as there are cells. The log says so.
    """
    cells = read(manifest, embedding, keep)
    found = _archetypes(cells, n_archetypes, n_starts, _generator(seed, "archetypes"))
    k = len(found.z)
    labels = pd.DataFrame({"archetype": np.arange(k), "explained_variance": found.explained_variance})
    write_table(_with_codes(labels, found.z), codes_out)
    weights = pd.DataFrame(found.weights, columns=[f"weight_{i}" for i in range(k)])
    weights.insert(0, stratum, strata_of(cells.known, stratum))
    weights.insert(0, "CellId", cells.ids)
    write_table(weights, weights_out)
    write_table(labels[["archetype"]].join(closest_cells(found.z, cells.z, cells.ids)), cells_out)
    ks = [number for number in k_list if number != k] if varies(cells.z) else []
    variance = explained_variances(cells.z, ks, n_starts=n_starts, rng=_generator(seed, "variance"))
    own = pd.DataFrame({"k": [k], "explained_variance": [found.explained_variance]})
    table = pd.concat([variance.assign(chosen=False), own.assign(chosen=True)], ignore_index=True)
    write_table(table.sort_values("k", ignore_index=True), variance_out)


def _archetypes(cells: Coded, k: int, n_starts: int, rng: np.random.Generator) -> Archetypes:
    if not len(cells.z):
        raise InputError("no cell is left to analyse; see analyse.keep of the dataset's yaml.")
    if not varies(cells.z):
        logger.warning("all codes are equal: the model has collapsed; its one archetype is their mean")
        return Archetypes(cells.z.mean(axis=0)[None], np.ones((len(cells.z), 1)), np.nan, np.empty(0))
    if k > len(cells.z):
        logger.warning("%d archetypes asked for, but there are %d cells: as many as cells", k, len(cells.z))
    return archetypes(cells.z, min(k, len(cells.z)), n_starts=n_starts, rng=rng)


def strata(weights: str | Path, out: str | Path, *, stratum: str, n_permutations: int, seed: int) -> None:
    """Write how archetypes divide among strata, with the test of `stratum_by_archetype`."""
    table = read_checked(weights, ("CellId", stratum))
    columns = sorted((c for c in table if c.startswith("weight_")), key=lambda name: int(name[7:]))
    strata = table[stratum].where(table[stratum].notna(), None)
    found = stratum_by_archetype(
        table[columns].to_numpy(float), strata, n_permutations=n_permutations, rng=_generator(seed, "strata")
    )
    write_table(found, out)


def pca(
    manifest: str | Path,
    embedding: str | Path,
    out: str | Path,
    *,
    stratum: str,
    keep: Mapping[str, Iterable[Any]] | None,
) -> None:
    """Write CellId, stratum, PC_1, PC_2, explained_variance_1, explained_variance_2 (shares of the whole).

    A direction without variance has scores 0 and share 0.
    """
    cells = read(manifest, embedding, keep)
    components = principal_components(cells.z, 2)
    scores = components.scores(cells.z)
    table = pd.DataFrame({"CellId": cells.ids, "stratum": strata_of(cells.known, stratum)})
    for number in range(2):
        there = number < scores.shape[1] and components.total > 0 and varies(cells.z)
        table[f"PC_{number + 1}"] = scores[:, number] if there else 0.0
        share = components.variance[number] / components.total if there else 0.0
        table[f"explained_variance_{number + 1}"] = share
    write_table(table, out)


def embedding_map(
    manifest: str | Path,
    embedding: str | Path,
    archetype_codes: str | Path,
    out: str | Path,
    archetypes_out: str | Path,
    *,
    stratum: str,
    keep: Mapping[str, Iterable[Any]] | None,
    seed: int,
) -> None:
    """Write the map: CellId, stratum, dim_0, dim_1; and in it archetype, dim_0, dim_1.

    NaN where there is no map: fewer than 8 cells, or codes without variance.
    """
    cells, placed = read(manifest, embedding, keep), read_table(archetype_codes)
    found, found_archetypes = pacmap_map(
        cells.z, embedding_matrix(placed), seed=seeds.integer(seed, "analyse", "map")
    )
    if not np.isfinite(found).all():
        logger.warning("too few cells, or codes that are all equal: they have no map")
    labels = pd.DataFrame({"CellId": cells.ids, "stratum": strata_of(cells.known, stratum)})
    write_table(labels.assign(dim_0=found[:, 0], dim_1=found[:, 1]), out)
    write_table(
        placed[["archetype"]].assign(dim_0=found_archetypes[:, 0], dim_1=found_archetypes[:, 1]),
        archetypes_out,
    )


def _volume_bins(cells: Coded, bins: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each cell and the edges."""
    volumes_um3 = numbers_of(cells.known, [bins["column"]])[:, 0] * bins.get("unit_um3", 1.0)
    how = {key: bins[key] for key in ("edges_um3", "n_bins", "quantiles") if key in bins}
    edges_um3 = bin_edges(volumes_um3, **how)
    which = bin_of(volumes_um3, edges_um3)
    if (which < 0).any():
        logger.warning("%d of %d cells have no volume and are in no bin", (which < 0).sum(), len(which))
    return which, edges_um3


def volume_bins(
    manifest: str | Path,
    embedding: str | Path,
    bins_out: str | Path,
    codes_out: str | Path,
    cells_out: str | Path,
    *,
    bins: Mapping[str, Any],
    keep: Mapping[str, Iterable[Any]] | None,
) -> None:
    """Write volume bins: bin, lo_um3, hi_um3, n; bin, mu_0 ... (mean code); bin, CellId, distance.

    The nearest real cell is one of the bin. Bins without cells stand in the first table only; when no
    volume is known there are none but those whose edges are given.
    """
    cells = read(manifest, embedding, keep)
    which, edges_um3 = _volume_bins(cells, bins)
    table, codes = bin_means(cells.z, which, edges_um3)
    nearest = [pd.DataFrame(columns=["CellId", "distance"])]
    for number, code in zip(codes["bin"], embedding_matrix(codes), strict=True):
        own = cells.only(which == number)
        nearest.append(closest_cells(code[None], own.z, own.ids))
    found = pd.concat(nearest[1:] or nearest, ignore_index=True)
    write_table(table, bins_out)
    write_table(codes, codes_out)
    write_table(codes[["bin"]].join(found), cells_out)


def pieces(
    manifest: str | Path,
    embeddings: Mapping[str, str | Path],
    out: str | Path,
    *,
    settings: Mapping[str, Any],
    bins: Mapping[str, Any],
) -> None:
    """Write how well codes and shape features tell the number of pieces, within volume bins.

    Parameters
    ----------
    manifest
        Table of all cells.
    embeddings
        Embedding table by the name of its features.
    out
        Table to write, see `compare_features`.
    settings
        label, the column to tell; features, the columns of the shape features. A cell without a finite value
        in one of them is left out of both.
    bins
        Settings of the volume bins.
    """
    tables = []
    for name, embedding in embeddings.items():
        cells = read(manifest, embedding)
        which, edges_um3 = _volume_bins(cells, bins)
        shape = numbers_of(cells.known, settings["features"])
        which = np.where(np.isfinite(shape).all(axis=1), which, -1)
        column = settings["label"]
        values = cells.known[column] if column in cells.known else pd.Series(np.nan, cells.known.index)
        features = {name: cells.z} if tables else {"shape": shape, name: cells.z}
        tables.append(
            compare_features(
                features,
                values.where(values.notna(), None).to_numpy(object),
                cells.known["split"].to_numpy(),
                which,
                n_bins=max(len(edges_um3) - 1, 0),
            )
        )
        logger.info("compared the features of %s", name)
    write_table(pd.concat(tables, ignore_index=True), out)
