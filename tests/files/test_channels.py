"""Faults of a channel: marked from the configured share of saturated voxels on."""

import numpy as np
import pytest

from morphobench.files import channels


@pytest.mark.parametrize(
    ("n_full", "share", "expected"), [(5, 0.05, "saturated"), (4, 0.05, ""), (4, 0.04, "saturated")]
)
def test_a_channel_is_saturated_from_the_share_on(n_full, share, expected):
    counts_zyx = np.arange(100, dtype=np.uint16).reshape(4, 5, 5)
    counts_zyx.ravel()[:n_full] = 2**12 - 1
    assert channels.fault(counts_zyx, np.ones(counts_zyx.shape, bool), share) == expected
