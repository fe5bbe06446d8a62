"""Names that stages give to columns: the user's own make room, and no stage writes others."""

import logging

import pandas as pd
import pytest

from morphobench.align import packing as align_packing
from morphobench.align import punctate as align
from morphobench.errors import InputError
from morphobench.files import crops, layout, reserved
from morphobench.mask import pieces, polymorphic, punctate
from morphobench.sample import polymorphic as sample_polymorphic

WRITTEN = {
    "punctate": [*align._DEFAULTS, *crops.MARKS, *punctate._DEFAULTS, *layout.VOXELS],
    "polymorphic": [
        *align._DEFAULTS,
        *crops.MARKS,
        *polymorphic.DEFAULTS,
        *pieces.FEATURES,
        *sample_polymorphic._LOC,
        *layout.VERTICES,
        *layout.FACES,
        *layout.VOXELS,
    ],
    "packing": [*layout.TRANSLATION, *layout.POINTS],
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_column_that_stages_write_is_reserved(kind):
    assert align_packing.TRANSLATION == layout.TRANSLATION
    known = reserved.stored(kind) | reserved.measured(kind)
    assert set(WRITTEN[kind]) <= known
    assert not reserved.stored(kind) & reserved.measured(kind)


def test_a_users_columns_make_room_and_it_is_told(caplog):
    caplog.set_level(logging.WARNING)
    table = pd.DataFrame({"group": ["a"], "plate": ["c"]})
    kept = reserved.keep_apart(table, {"group", "split"}, "t.csv")
    assert kept.to_dict("list") == {"source_group": ["a"], "plate": ["c"]}
    assert "t.csv" in caplog.text
    assert "group as source_group" in caplog.text
    assert [reserved.own_name(name, kept) for name in ("group", "plate")] == ["source_group", "plate"]
    with pytest.raises(InputError, match=r"t\.csv: stages write a column group.*Rename"):
        reserved.keep_apart(table.assign(source_group="b"), {"group"}, "t.csv")
