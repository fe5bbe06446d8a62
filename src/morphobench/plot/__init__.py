"""Figures from tables: nothing here loads a model or an image."""
