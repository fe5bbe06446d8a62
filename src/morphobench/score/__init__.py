"""The metrics of the benchmark, one public function each, and the table they fill."""

from __future__ import annotations

from morphobench.score.classification import classification_scores, classification_scores_legacy
from morphobench.score.dimension import intrinsic_dimension, intrinsic_dimension_legacy, participation_ratio
from morphobench.score.interpolation import (
    evolution_energy,
    evolution_pairs,
    interpolation_distance,
    interpolation_distance_legacy,
    write_pairs,
)
from morphobench.score.invariance import rotation_invariance_error
from morphobench.score.overlap import iou_error, iou_error_legacy, mean_surface_distance_um
from morphobench.score.stage import combine, run
from morphobench.score.summary import Interval, Score, bootstrap_mean, standardise, table
from morphobench.tables import embedding_matrix

__all__ = [
    "Interval",
    "Score",
    "bootstrap_mean",
    "classification_scores",
    "classification_scores_legacy",
    "combine",
    "embedding_matrix",
    "evolution_energy",
    "evolution_pairs",
    "interpolation_distance",
    "interpolation_distance_legacy",
    "intrinsic_dimension",
    "intrinsic_dimension_legacy",
    "iou_error",
    "iou_error_legacy",
    "mean_surface_distance_um",
    "participation_ratio",
    "rotation_invariance_error",
    "run",
    "standardise",
    "table",
    "write_pairs",
]
