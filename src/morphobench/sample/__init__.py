"""Stage `sample`: fixed-size clouds and cubes for the models, and the manifest of all cells."""
