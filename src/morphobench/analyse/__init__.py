"""Analyses of embeddings: walks, archetypes, maps, volume bins, drugs, and the cells that represent them."""
