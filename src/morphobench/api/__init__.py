"""Trained models in Python: `morphobench.load`. Over the stages; the workflow reads nothing of it."""
