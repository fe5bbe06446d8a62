"""Stage `sample`: fixed-size clouds and cubes for the models, and the manifest of all cells."""

from morphobench.sample.points import sample_points

__all__ = ["sample_points"]
