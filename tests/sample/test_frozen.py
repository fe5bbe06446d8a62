"""The manifest of a frozen data set: splits that are kept, cells that changed, cells that are gone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphobench import seeds
from morphobench.errors import InputError
from morphobench.files import frozen, read_table, write_table
from morphobench.sample import manifest
from morphobench.sample.split import split_groups

SPLIT = {"train": 0.7, "val": 0.15, "test": 0.15}
NAMES = [f"g{number}" for number in range(4)]


def write_shard(folder, names, **columns):
    """Write cells of one group each, with arrays that follow from the name."""
    folder.mkdir()
    table = pd.DataFrame({"CellId": names, "group": names, "index": range(len(names))})
    write_table(table.assign(success=True, error="").assign(**columns), folder / "cells.parquet")
    values = np.array([[seeds.place(name)] * 5 for name in names], np.float32)
    np.save(folder / "points_um.npy", values)
    np.save(folder / "cube.npy", values + 1)
    return folder


def run(folder, out, kept=None, column=None):
    manifest.run({0: folder}, out, split=SPLIT, seed=1, dataset_name="tiny", frozen=kept, column=column)
    return read_table(out).set_index("CellId")


@pytest.fixture
def kept(tmp_path):
    """Freeze four cells, of which some fill an empty split."""
    shard = write_shard(tmp_path / "before", NAMES)
    table = run(shard, tmp_path / "before.parquet").reset_index()
    write_table(table.assign(digest=table["CellId"].map(frozen.digests(shard))), tmp_path / "kept.parquet")
    return tmp_path / "kept.parquet"


def test_old_cells_keep_their_split_and_that_of_new_ones_follows_from_their_names(kept, tmp_path):
    more = [f"h{number}" for number in range(30)]
    table = run(write_shard(tmp_path / "after", [*NAMES, *more]), tmp_path / "after.parquet", kept)
    before = read_table(kept).set_index("CellId")["split"]
    by_name = split_groups(
        [*NAMES, *more], SPLIT, lambda group: seeds.place(1, "tiny", "split", group), fill=False
    )
    assert table["split"][NAMES].tolist() == before[NAMES].tolist()
    assert table["split"][NAMES].tolist() != [by_name[name] for name in NAMES], "nothing had to be kept"
    assert table["split"][more].to_dict() == {name: by_name[name] for name in more}


@pytest.mark.parametrize("array", ["points_um", "cube"])
def test_a_cell_that_changed_is_refused_by_name(kept, tmp_path, array):
    shard = write_shard(tmp_path / "after", [*NAMES, "h"])
    changed = np.load(shard / f"{array}.npy")
    changed[2, 3] += 1e-3
    np.save(shard / f"{array}.npy", changed)
    with pytest.raises(InputError, match=r"1 of 4 frozen cells have other arrays now, g2 first\. Restore"):
        run(shard, tmp_path / "after.parquet", kept)
    assert not (tmp_path / "after.parquet").exists()


def test_a_new_cell_is_no_change(kept, tmp_path):
    shard = write_shard(tmp_path / "after", ["a", *NAMES])
    cells = run(shard, tmp_path / "after.parquet", kept)
    assert cells.index.tolist() == ["a", *NAMES]


@pytest.mark.parametrize("how", ["column", "group"])
def test_a_cell_of_another_split_is_refused_with_both(kept, tmp_path, how):
    before = read_table(kept).set_index("CellId")["split"]
    other = next(name for name in NAMES if before[name] != before["g0"])
    moved = [before[other], *before[NAMES[1:]]] if how == "column" else [other, *NAMES[1:]]
    columns = {"part" if how == "column" else "group": moved}
    shard = write_shard(tmp_path / "after", NAMES, **columns)
    with pytest.raises(InputError, match=f"g0 was {before['g0']} and is {before[other]}"):
        run(shard, tmp_path / "after.parquet", kept, "part" if how == "column" else None)


def test_cells_that_are_gone_are_warned_of(kept, tmp_path, caplog):
    table = run(write_shard(tmp_path / "after", NAMES[1:]), tmp_path / "after.parquet", kept)
    assert table.index.tolist() == NAMES[1:]
    assert "1 of 4 frozen cells are not usable now, g0 first" in caplog.text
