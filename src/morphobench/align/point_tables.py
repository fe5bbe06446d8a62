"""Stage `align` for clouds of recorded points: their long axis along x, their mean as the origin."""

from functools import partial

import numpy as np

from morphobench.align import coordinates
from morphobench.files.layout import WEIGHTED_CLOUD


def _covariance(points_um: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.cov(points_um, rowvar=False, ddof=0)


def _mean(points_um: np.ndarray, _: float) -> np.ndarray:
    return points_um.mean(axis=0)


run = partial(coordinates.run, arrays=WEIGHTED_CLOUD, covariance=_covariance, origin=_mean)
