"""From the tables of single trainings to those of a dataset, and of several datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import read_table, write_table
from morphobench.score.differences import difference_table
from morphobench.score.summary import Score, score_table, standardise

ALL_SEEDS = -1
SPREAD = "_spread"


def combine(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Concatenate tables of one kind, of single trainings, in the order given.

    Raises
    ------
    InputError
        When there is no table, or their columns differ.
    """
    if not len(paths):
        raise InputError("no model to collect scores of. List at least one model in the dataset's yaml.")
    tables = [read_table(path) for path in paths]
    for path, one in zip(paths, tables, strict=True):
        if list(one.columns) != list(tables[0].columns):
            raise InputError(
                f"{path} and {paths[0]} have different columns. Run the score stage again for both."
            )
    filled = [one for one in tables if len(one)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def spread_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """Return how far trainings of one model lie apart, as further rows of the score table.

    Metric `<metric>_spread`, seed -1: standard deviation (n - 1) over the trainings with a value, `n` of
    them; none for a single training.
    """
    rows = []
    for (model, metric, variant), part in scores.groupby(["model", "metric", "variant"], sort=False):
        values, first = part["value"].dropna(), part.iloc[0]
        if len(part) > 1:
            names = (first["dataset"], model, ALL_SEEDS, metric + SPREAD, variant, first["unit"], "low")
            known = len(values) > 1
            spread = float(values.std(ddof=1)) if known else np.nan
            reason = "" if known else "fewer than two trainings with a value"
            rows.append(Score(*names, spread, np.nan, np.nan, len(values), reason))
    return score_table(rows)


def collect(
    *,
    scores: Sequence[str | Path],
    items: Sequence[str | Path],
    replicates: Sequence[str | Path],
    scores_out: str | Path,
    items_out: str | Path,
    differences_out: str | Path,
    models: Sequence[str],
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> None:
    """Write the score table of a dataset, the values behind it, and the differences between its models.

    Parameters
    ----------
    scores, items, replicates
        Tables of single trainings, see `stage.run`.
    scores_out, items_out, differences_out
        Tables to write: the fields of `Score`, `spread_rows` last; items; see `difference_table`.
    models, n_resamples, n_permutations, seed
        See `difference_table`.
    """
    all_scores, all_items = combine(scores), combine(items)
    spread = spread_rows(all_scores)
    write_table(pd.concat([all_scores, spread], ignore_index=True) if len(spread) else all_scores, scores_out)
    write_table(all_items, items_out)
    differences = difference_table(
        all_scores,
        all_items,
        combine(replicates),
        models=models,
        n_resamples=n_resamples,
        n_permutations=n_permutations,
        seed=seed,
    )
    write_table(differences, differences_out)


def across(paths: Mapping[str, str | Path], models: Mapping[str, Sequence[str]], out: str | Path) -> None:
    """Write one score table of several datasets, or of one at several resolutions.

    Parameters
    ----------
    paths
        Score table of each dataset.
    models
        Models of each dataset that are standardised together.
    out
        Table to write: the columns of the score table, the model as `<model>_<dataset>`, and `relative`: see
        `standardise`, over all of these models of all datasets, trainings averaged; NaN for other models, for
        spreads, and where one of them has no value.
    """
    parts = []
    for dataset, path in paths.items():
        scores = read_table(path)
        chosen = scores["model"].isin(models[dataset]) & (scores["seed"] != ALL_SEEDS)
        parts.append(scores.assign(model=scores["model"] + "_" + dataset, chosen=chosen))
    joined = pd.concat(parts, ignore_index=True)
    joined["relative"] = np.nan
    n_models = sum(len(names) for names in models.values())
    for (_, _, better), part in joined[joined["chosen"]].groupby(["metric", "variant", "better"]):
        means = part.groupby("model")["value"].mean()
        if len(means) == n_models and means.notna().all():
            joined.loc[part.index, "relative"] = part["model"].map(standardise(means, better))
    write_table(joined.drop(columns="chosen"), out)
