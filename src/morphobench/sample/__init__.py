"""Stage `sample`: fixed-size clouds and volumes for the models, and the manifest of all cells."""
