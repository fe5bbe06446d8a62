"""Building blocks of the image models."""
