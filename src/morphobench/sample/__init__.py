"""Stage `sample`: fixed-size clouds and volumes for the models, and the manifest of all cells."""

from morphobench.mask.pieces import piece_features
from morphobench.sample.distances import signed_distance_grid
from morphobench.sample.points import sample_points

__all__ = ["piece_features", "sample_points", "signed_distance_grid"]
