"""Building blocks of the point-cloud models."""
