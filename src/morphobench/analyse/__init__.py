"""Analyses of a latent space; the functions that need no decoder are re-exported here."""

from __future__ import annotations

from morphobench.analyse.archetypal import Archetypes, archetypes
from morphobench.analyse.walks import closest_cells, latent_walk

__all__ = ["Archetypes", "archetypes", "closest_cells", "latent_walk"]
