"""Analyses of embeddings from files to files, without decoding."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench import seeds
from morphobench.analyse.archetypal import Archetypes, archetypes, explained_variances
from morphobench.analyse.cells import EmbeddedCells, numeric_columns, read
from morphobench.analyse.map import pacmap_map
from morphobench.analyse.pca import principal_components, varies
from morphobench.analyse.pieces import compare_features
from morphobench.analyse.strata import stratum_by_archetype
from morphobench.analyse.volume_bins import assign_bins, bin_edges, bin_means
from morphobench.analyse.walks import closest_cells, latent_walk
from morphobench.errors import InputError
from morphobench.files import FilePath, read_table, write_table
from morphobench.files.manifests import strata_of
from morphobench.files.tables import embedding_matrix, read_checked, with_embeddings
from morphobench.files.values import text
from morphobench.log import logger

Keep = Mapping[str, Iterable[Any]] | None


def _generator(seed: int, analysis: str) -> np.random.Generator:
    return np.random.default_rng(seeds.integer(seed, "analyse", analysis))


def _closest_in_group(
    points: pd.DataFrame, column: str, cells: EmbeddedCells, groups: np.ndarray
) -> pd.DataFrame:
    """Return CellId and distance of the nearest cell of its own group for each row of `points`."""
    nearest = []
    for name, part in points.groupby(column, sort=False):
        own = cells.take(groups == name)
        nearest.append(closest_cells(embedding_matrix(part), own.z, own.ids).set_index(part.index))
    return pd.concat(nearest) if nearest else pd.DataFrame(columns=["CellId", "distance"])


def walk_embeddings(
    manifest: FilePath,
    embedding: FilePath,
    embeddings_out: FilePath,
    cells_out: FilePath,
    *,
    stratum: str,
    n_components: int,
    sigmas: Sequence[float],
    keep: Keep,
) -> None:
    """Write the walk through every stratum (`latent_walk`), and its cell nearest to each point.

    The second table has stratum, component, sigma, CellId, distance.
    """
    cells = read(manifest, embedding, keep)
    strata = strata_of(cells.manifest, stratum)
    labelled = pd.notna(strata)
    if not labelled.any():
        raise InputError(f"{embedding}: no cell is left to analyse; see analyse.keep of the dataset's yaml.")
    cells, strata = cells.take(labelled), strata[labelled]
    walk = latent_walk(cells.z, strata, n_components=n_components, sigmas=sigmas)
    labels = walk[["stratum", "component", "sigma"]]
    write_table(labels.join(_closest_in_group(walk, "stratum", cells, strata)), cells_out)
    write_table(walk, embeddings_out)


def archetype_embeddings(
    manifest: FilePath,
    embedding: FilePath,
    embeddings_out: FilePath,
    weights_out: FilePath,
    cells_out: FilePath,
    variance_out: FilePath,
    *,
    stratum: str,
    n_archetypes: int,
    k_list: Sequence[int],
    n_starts: int,
    keep: Keep,
    seed: int,
) -> None:
    """Write archetypes, their weights in every cell, nearest cells, and explained variance by number.

    The tables have archetype, explained_variance, start_distance, mu_0 ...; CellId, group, the stratum,
    weight_0 ...; archetype, CellId, distance; k, explained_variance, start_distance, chosen. Embeddings that
    are all equal have one archetype, their mean, with explained variance NaN; fewer cells than archetypes
    have as many as cells.
    """
    cells = read(manifest, embedding, keep)
    fit = _archetypes(cells.z, n_archetypes, n_starts, _generator(seed, "archetypes"))
    k = len(fit.z)
    quality = {"explained_variance": fit.explained_variance, "start_distance": fit.start_distance}
    labels = pd.DataFrame({"archetype": np.arange(k), **quality})
    write_table(with_embeddings(labels, fit.z), embeddings_out)
    weights = pd.DataFrame({"CellId": cells.ids, "group": cells.manifest["group"].to_numpy()})
    weights[stratum] = strata_of(cells.manifest, stratum)
    write_table(weights.assign(**{f"weight_{i}": fit.weights[:, i] for i in range(k)}), weights_out)
    write_table(labels[["archetype"]].join(closest_cells(fit.z, cells.z, cells.ids)), cells_out)
    ks = [number for number in k_list if number != k] if varies(cells.z) else []
    others = explained_variances(cells.z, ks, n_starts=n_starts, rng=_generator(seed, "variance"))
    own = pd.DataFrame({"k": [k], **quality})
    variance = pd.concat([others.assign(chosen=False), own.assign(chosen=True)], ignore_index=True)
    write_table(variance.sort_values("k", ignore_index=True), variance_out)


def _archetypes(z: np.ndarray, k: int, n_starts: int, rng: np.random.Generator) -> Archetypes:
    if not len(z):
        raise InputError("no cell is left to analyse; see analyse.keep of the dataset's yaml.")
    if not varies(z):
        logger.warning("all embeddings are equal: the model has collapsed; its one archetype is their mean")
        return Archetypes(z.mean(axis=0)[None], np.ones((len(z), 1)), np.nan, np.empty(0))
    if k > len(z):
        logger.warning("n_archetypes is %d, but there are %d cells: as many as cells", k, len(z))
    return archetypes(z, min(k, len(z)), n_starts=n_starts, rng=rng)


def strata(weights: FilePath, out: FilePath, *, stratum: str, n_permutations: int, seed: int) -> None:
    """Write the mean weight of archetypes by stratum, and its test (`stratum_by_archetype`)."""
    table = read_checked(weights, ("CellId", "group", stratum))
    columns = sorted(
        (c for c in table if re.fullmatch(r"weight_\d+", c) and c != stratum), key=lambda name: int(name[7:])
    )
    draws = {"n_permutations": n_permutations, "rng": _generator(seed, "strata")}
    labels = table[stratum], table["group"]
    write_table(stratum_by_archetype(table[columns].to_numpy(float), *labels, **draws), out)


def pca(manifest: FilePath, embedding: FilePath, out: FilePath, *, stratum: str, keep: Keep) -> None:
    """Write CellId, stratum, PC_1, PC_2, explained_variance_1, explained_variance_2 (shares of the total).

    A component without variance has scores 0 and share 0.
    """
    cells = read(manifest, embedding, keep)
    table = pd.DataFrame({"CellId": cells.ids, "stratum": strata_of(cells.manifest, stratum)})
    scores, shares = np.zeros((len(cells.z), 2)), np.zeros(2)
    if varies(cells.z):
        components = principal_components(cells.z, 2)
        n = len(components.variance)
        scores[:, :n], shares[:n] = components.scores, components.variance / components.total
    for number in range(2):
        table[f"PC_{number + 1}"] = scores[:, number]
        table[f"explained_variance_{number + 1}"] = shares[number]
    write_table(table, out)


def embedding_map(
    manifest: FilePath,
    embedding: FilePath,
    archetypes: FilePath,
    out: FilePath,
    archetypes_out: FilePath,
    *,
    stratum: str,
    keep: Keep,
    seed: int,
) -> None:
    """Write the map of cells (CellId, stratum, dim_0, dim_1) and of archetypes (archetype, dim_0, dim_1).

    NaN where there is no map: fewer than 8 cells, or embeddings that are all equal.
    """
    cells, extremes = read(manifest, embedding, keep), read_table(archetypes)
    map_seed = seeds.integer(seed, "analyse", "map")
    cells_map, archetypes_map = pacmap_map(cells.z, embedding_matrix(extremes), seed=map_seed)
    if not np.isfinite(cells_map).all():
        logger.warning("too few cells, or embeddings that are all equal: they have no map")
    labels = pd.DataFrame({"CellId": cells.ids, "stratum": strata_of(cells.manifest, stratum)})
    others = extremes[["archetype"]]
    for table, xy, path in ((labels, cells_map, out), (others, archetypes_map, archetypes_out)):
        write_table(table.assign(dim_0=xy[:, 0], dim_1=xy[:, 1]), path)


def _volume_bins(cells: EmbeddedCells, bins: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the bin of each cell and the edges."""
    volumes_um3 = numeric_columns(cells.manifest, [bins["column"]])[:, 0]
    options = {key: bins[key] for key in ("edges_um3", "n_bins", "quantiles") if key in bins}
    edges_um3 = bin_edges(volumes_um3, **options)
    numbers = assign_bins(volumes_um3, edges_um3)
    if (numbers < 0).any():
        logger.warning("%d of %d cells have no volume and are in no bin", (numbers < 0).sum(), len(numbers))
    return numbers, edges_um3


def volume_bins(
    manifest: FilePath,
    embedding: FilePath,
    bins_out: FilePath,
    embeddings_out: FilePath,
    cells_out: FilePath,
    *,
    bins: Mapping[str, Any],
    keep: Keep,
) -> None:
    """Write volume bins (bin, lo_um3, hi_um3, n), the mean embedding of each, and the nearest of its cells.

    Bins without cells are in the first table only. Without any known volume there are none but those whose
    edges are given.
    """
    cells = read(manifest, embedding, keep)
    numbers, edges_um3 = _volume_bins(cells, bins)
    counts, means = bin_means(cells.z, numbers, edges_um3)
    write_table(counts, bins_out)
    write_table(means, embeddings_out)
    write_table(means[["bin"]].join(_closest_in_group(means, "bin", cells, numbers)), cells_out)


def pieces(
    manifest: FilePath,
    embeddings: Mapping[str, FilePath],
    out: FilePath,
    *,
    settings: Mapping[str, Any],
    bins: Mapping[str, Any],
) -> None:
    """Write the accuracy of `settings["label"]` within volume bins (`compare_features`).

    Compared are the embedding tables, by name, and the shape features in the columns `settings["features"]`.
    Cells without a finite value in one of these are left out of both.
    """
    tables = []
    for name, embedding in embeddings.items():
        cells = read(manifest, embedding)
        numbers, edges_um3 = _volume_bins(cells, bins)
        shape = numeric_columns(cells.manifest, settings["features"])
        numbers = np.where(np.isfinite(shape).all(axis=1), numbers, -1)
        labels = cells.manifest.get(settings["label"], pd.Series(np.nan, cells.manifest.index))
        labels, split = text(labels).to_numpy(object), cells.manifest["split"].to_numpy()
        compared, n_bins = {} if tables else {"shape": shape}, max(len(edges_um3) - 1, 0)
        tables.append(compare_features({**compared, name: cells.z}, labels, split, numbers, n_bins=n_bins))
        logger.info("compared the features of %s", name)
    write_table(pd.concat(tables, ignore_index=True), out)
