"""Rows of the score table about labels and outliers predicted from embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphobench.files.values import numbers
from morphobench.metrics import classification
from morphobench.metrics.classes import classes_of
from morphobench.metrics.outliers import outlier_detection_legacy, outlier_labels
from morphobench.metrics.predictions import predictions
from morphobench.score.rows import SHARE, Fold, Metric, ScoreRows

NO_COLUMN = "the manifest has no column {}"
_ROTATED = ("top_1", "balanced_accuracy", "auroc")
_VOLUME = "volume_um3"
_BASELINES = ("majority", "majority_balanced")
# A label of fewer test cells, or in fewer units where not all have it, has too few to resample.
_FEW = 10


# Rules of the classes of a label by definition of a score, corrected or legacy; see `classes_of`.
Classes = Mapping[str, Mapping[str, Any]]


def add_classification(rows: ScoreRows, folds: Sequence[Fold], label: str, classes: Classes) -> None:
    """Add every score of the linear classifier of `label`, and the published cross-validation."""
    metrics = _metrics(f"classification_{label}_{{}}", classification.SCORES)
    legacy = [metrics[name].legacy for name in classification.SCORES[:3]]
    if label not in folds[0].cells.manifest:
        rows.add_missing(NO_COLUMN.format(label), *metrics.values(), *legacy)
        return
    values = folds[0].cells.manifest[label]
    _add_scores(rows, metrics, folds, classes_of(values, classes.get("corrected")))
    names = classes_of(values, classes.get("legacy"))
    published = [classification.classification_scores_legacy(fold.cells.z, names) for fold in folds]
    for number, metric in enumerate(legacy):
        rows.add_folds(
            metric, [one for own in published for one in own.values[:, number]], published[0].reason
        )


def add_rotated_classification(
    rows: ScoreRows,
    folds: Sequence[Fold],
    label: str,
    classes: Classes,
    z_rotated: Sequence[np.ndarray] | None,
    reason: str,
    ending: str,
) -> None:
    """Add scores of the same classifier on rotated test cells, each by its own rotation.

    `z_rotated` holds, for each fold, their embeddings in the order of its test cells; None, for the `reason`,
    without any.
    """
    metrics = _metrics(f"classification_{label}_{{}}_{ending}", _ROTATED)
    known = folds[0].cells.manifest
    if label not in known or z_rotated is None:
        rows.add_missing(reason if label in known else NO_COLUMN.format(label), *metrics.values())
        return
    _add_scores(rows, metrics, folds, classes_of(known[label], classes.get("corrected")), z_rotated)


def add_sized_classification(rows: ScoreRows, folds: Sequence[Fold], label: str, classes: Classes) -> None:
    """Add scores of the classifier of `label` that knows each cell's volume beside its embedding.

    Of shapes that models see scaled to one size each: `..._sized`, on unrotated cells.
    """
    known = folds[0].cells.manifest
    metrics = _metrics(f"classification_{label}_{{}}_sized", _ROTATED)
    if absent := [name for name in (label, _VOLUME) if name not in known]:
        rows.add_missing(NO_COLUMN.format(absent[0]), *metrics.values())
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        log_volume = np.log(numbers(known[_VOLUME], f"column {_VOLUME}"))
    sized = [
        fold._replace(cells=fold.cells._replace(z=np.column_stack([fold.cells.z, log_volume])))
        for fold in folds
    ]
    _add_scores(rows, metrics, sized, classes_of(known[label], classes.get("corrected")))


def _metrics(pattern: str, names: Sequence[str]) -> dict[str, Metric]:
    """Return the metrics of some scores of a classifier; models are not compared by baselines and floors."""
    compared = not pattern.endswith("_floor")
    return {
        name: Metric(pattern.format(name), "high", within=SHARE, compared=compared and name not in _BASELINES)
        for name in names
    }


def _add_scores(
    rows: ScoreRows,
    metrics: dict[str, Metric],
    folds: Sequence[Fold],
    names: Sequence[object],
    z_test: Sequence[np.ndarray] | None = None,
) -> None:
    """Add some scores of a classifier of `names`, by their names in `SCORES`.

    Embeddings of different trainings share no axes: each fold has a classifier of its own, which predicts its
    test cells, or `z_test` in their place.
    """
    both = zip(folds, z_test or [None] * len(folds), strict=True)
    parts = [predictions(cells.z, names, cells.split, z_test=z) for (cells, _), z in both]
    result = classification.scores_of(parts)
    items, groups = folds[0].cells.ids[result.rows], folds[0].cells.groups[result.rows]
    rare = _rare_label(result.truth, groups)
    for name, metric in metrics.items():
        if name in result.per_cell:
            rows.add_mean(metric, result.per_cell[name], items, groups, result.reason)
        elif np.isfinite(result.scores[name]):
            statistic = result.statistics[name]
            outputs = _outputs(name, result, items, groups) if metric.compared else None
            rows.add_statistic(metric, statistic, groups, result.reason, outputs=outputs, unbounded=rare)
        else:
            rows.add_missing(result.reason or "undefined with so few different labels", metric)


def _rare_label(truth: np.ndarray, units: np.ndarray) -> str:
    """Say which label has too few test cells, or units, for an interval; empty if none."""
    table = pd.DataFrame({"label": truth, "unit": units}).groupby("label")["unit"].agg(["size", "nunique"])
    if table.empty:
        return ""
    rarest, n_units = table["size"].idxmin(), len(np.unique(units))
    if table["size"].min() < _FEW:
        return f"{table['size'].min()} test cells of {rarest}: no interval below {_FEW}"
    scattered = table["nunique"]
    if scattered.min() < min(_FEW, n_units):
        return f"{scattered.min()} units of {n_units} with {scattered.idxmin()}: no interval below {_FEW}"
    return ""


def _outputs(
    name: str, result: classification.Classification, items: np.ndarray, groups: np.ndarray
) -> pd.DataFrame | None:
    """Return what two classifiers exchange: hits, or ranks by label; see `difference_table`."""
    if name == "balanced_accuracy":
        return contributions(items, result.recalls)
    if name != "auroc":
        return None
    parts = [
        pd.DataFrame({"item": items, "group": groups, "value": ranks}).assign(
            label=str(label), positive=result.truth == label
        )
        for label, ranks in result.ranks.items()
    ]
    return pd.concat(parts)


def contributions(items: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """Return values of items whose mean is a score, as two models exchange them."""
    return pd.DataFrame({"item": items, "label": "", "positive": False, "value": values})


def add_outliers(rows: ScoreRows, folds: Sequence[Fold], rule: Mapping[str, Any]) -> None:
    """Add the scores of outlier detection, and the published cross-validation."""
    metrics = _metrics("outlier_{}", ("balanced_accuracy", "auroc"))
    legacy = metrics["balanced_accuracy"].legacy
    if rule["column"] not in folds[0].cells.manifest:
        rows.add_missing(NO_COLUMN.format(rule["column"]), *metrics.values(), legacy)
        return
    values = folds[0].cells.manifest[rule["column"]]
    _add_scores(rows, metrics, folds, outlier_labels(values, rule))
    labels = outlier_labels(values, rule, empty=rule.get("legacy_empty"))
    published = [outlier_detection_legacy(fold.cells.z, labels) for fold in folds]
    rows.add_folds(legacy, np.concatenate([own.values for own in published]), published[0].reason)
