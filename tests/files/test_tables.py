"""Tables of embeddings."""

import pandas as pd
import pytest

from morphobench.errors import InputError
from morphobench.files.tables import embedding_matrix, mu_columns


def test_embedding_columns_are_chosen_by_exact_name_in_numeric_order():
    table = pd.DataFrame(
        {"mu_10": [3.0], "maximum": [9.0], "mu_2": [2.0], "mu_2_sd": [9.0], "emu_1": [9.0], "mu_": [9.0]}
    )
    assert mu_columns(table) == ["mu_2", "mu_10"]
    assert embedding_matrix(table).tolist() == [[2.0, 3.0]]
    with pytest.raises(InputError, match="mu_0"):
        embedding_matrix(table[["maximum"]])
