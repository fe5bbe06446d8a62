"""The metrics of the benchmark, one public function each, and the tables they fill."""

from __future__ import annotations

from morphobench.files.tables import embedding_matrix
from morphobench.geometry.overlap import iou_error, iou_error_legacy, mean_surface_distance_um
from morphobench.score.collect import across, collect, combine, spread_rows
from morphobench.score.differences import difference_table, paired_differences, replicate_difference
from morphobench.score.metrics.classification import classification_scores, classification_scores_legacy
from morphobench.score.metrics.dimension import (
    intrinsic_dimension,
    intrinsic_dimension_legacy,
    participation_ratio,
)
from morphobench.score.metrics.interpolation import (
    evolution_energy,
    evolution_pairs,
    interpolation_distance,
    interpolation_distance_legacy,
    write_pairs,
)
from morphobench.score.metrics.invariance import rotation_invariance_error, rotation_invariance_error_legacy
from morphobench.score.metrics.logistic import fit_logistic
from morphobench.score.metrics.outliers import outlier_detection, outlier_detection_legacy, outlier_labels
from morphobench.score.metrics.regression import regression_scores, regression_scores_legacy
from morphobench.score.metrics.retrieval import Retrieval, retrieval_map
from morphobench.score.stage import run
from morphobench.score.summary import Interval, Score, bootstrap_mean, bootstrap_statistic, standardise, table

__all__ = [
    "Interval",
    "Retrieval",
    "Score",
    "across",
    "bootstrap_mean",
    "bootstrap_statistic",
    "classification_scores",
    "classification_scores_legacy",
    "collect",
    "combine",
    "difference_table",
    "embedding_matrix",
    "evolution_energy",
    "evolution_pairs",
    "fit_logistic",
    "interpolation_distance",
    "interpolation_distance_legacy",
    "intrinsic_dimension",
    "intrinsic_dimension_legacy",
    "iou_error",
    "iou_error_legacy",
    "mean_surface_distance_um",
    "outlier_detection",
    "outlier_detection_legacy",
    "outlier_labels",
    "paired_differences",
    "participation_ratio",
    "regression_scores",
    "regression_scores_legacy",
    "replicate_difference",
    "retrieval_map",
    "rotation_invariance_error",
    "rotation_invariance_error_legacy",
    "run",
    "spread_rows",
    "standardise",
    "table",
    "write_pairs",
]
