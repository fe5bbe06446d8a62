"""Tables that panels require."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphobench.plot.context import EmptyPanel, require


def test_a_table_that_gives_its_reason_is_believed():
    table = pd.DataFrame({"value": [np.nan], "reason": ["two cells are too few"]})
    with pytest.raises(EmptyPanel, match="too few"):
        require({"one": table}, "one", ["value"])
    assert len(require({"one": table.assign(value=1.0)}, "one", ["value"])) == 1
