"""Tables of a dataset from those of single trainings, and of several datasets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench.errors import InputError
from morphobench.files import FilePath, read_table, write_table
from morphobench.log import logger
from morphobench.metrics.relative import relative_scores
from morphobench.score.differences import difference_table
from morphobench.score.scaled import scaled_values
from morphobench.score.summary import Score, score_table

ALL_SEEDS = -1
SPREAD = "_spread"


def concatenate(paths: Sequence[FilePath]) -> pd.DataFrame:
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
        if not one.columns.equals(tables[0].columns):
            raise InputError(f"{path} and {paths[0]} have different columns. Run their score stage again.")
    filled = [one for one in tables if len(one)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def spread_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the spread between trainings of one model, as further rows of the score table.

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
            rows.append(Score(*names, spread, np.nan, np.nan, len(values), 0, reason))
    return score_table(rows)


def collect_dataset(
    *,
    scores: Sequence[FilePath],
    items: Sequence[FilePath],
    replicates: Sequence[FilePath],
    outputs: Sequence[FilePath],
    scores_out: FilePath,
    items_out: FilePath,
    differences_out: FilePath,
    anchors: Mapping[str, str] | None = None,
    **comparison: Any,
) -> None:
    """Write the score table of a dataset, the values behind it, and the differences between its models.

    Reads the four tables that `stage.run` wrote for each training. The score table ends with `spread_rows`;
    its last column is `scaled` (`scaled_values` between the controls that `anchors` name). `comparison` holds
    the keyword arguments of `difference_table`.
    """
    all_scores, all_items = concatenate(scores), concatenate(items)
    spread = spread_rows(all_scores)
    if spread.empty:
        logger.info("one training of each model: the spread over trainings is unknown (train.seeds)")
    table = pd.concat([all_scores, spread], ignore_index=True) if len(spread) else all_scores
    write_table(table.assign(scaled=scaled_values(table, anchors or {})), scores_out)
    write_table(all_items, items_out)
    behind = concatenate(replicates), concatenate(outputs)
    differences = difference_table(all_scores, all_items, *behind, **comparison)
    write_table(differences, differences_out)


def combine_datasets(
    paths: Mapping[str, FilePath], models: Mapping[str, Sequence[str]], out: FilePath
) -> None:
    """Write one score table of several datasets, or of one at several resolutions.

    `paths` and `models` give the score table of each dataset and its models that are standardised together.
    The model is named `<model>_<dataset>`; `relative` has `relative_scores` over all these models of
    all datasets, trainings averaged; NaN for other models, spreads, and where one has no value or interval.
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
        means = part.groupby("model")[["value", "ci_low", "ci_high"]].mean()
        if len(means) == n_models and means.notna().all(axis=None):
            joined.loc[part.index, "relative"] = part["model"].map(relative_scores(means, better))
    write_table(joined.drop(columns="chosen"), out)
