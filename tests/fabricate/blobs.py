"""Gaussian blobs: one per label, around the corners of a simplex."""

import numpy as np


def blobs(rng, n=150, n_labels=3, distance=6.0, dimension=5):
    labels = np.arange(n) % n_labels
    z = rng.normal(size=(n, dimension)) + distance * np.eye(n_labels, dimension)[labels]
    split = np.array(["train", "train", "val", "test"])[np.arange(n) // n_labels % 4]
    return z, labels.astype(str), split
