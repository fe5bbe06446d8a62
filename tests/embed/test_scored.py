"""One job for what scores read of a training: the same tables as one by one."""

from __future__ import annotations

import pandas as pd
from fabricate.sampled import DATASET, write_sampled
from fabricate.trained import EMBED, write_untrained

from morphobench.embed import invariances, reconstruction, scored
from morphobench.embed import run as embed
from morphobench.files import read_table


def test_one_job_writes_the_tables_that_three_would(tmp_path):
    case = write_sampled(tmp_path / "cells")
    model = write_untrained(tmp_path / "model.pt", "classical_pointcloud")
    options = {"dataset": DATASET, "embed_config": EMBED, "seed": 1, "accelerator": "cpu", "threads": 1}
    identity, alone = tmp_path / "identity.parquet", tmp_path / "alone.parquet"
    embed.run(case.manifest, case.shards, model, identity, rotations="identity", **options)
    tables = (*scored.ROTATIONS, "invariances", "reconstruction")
    outs = {name: tmp_path / f"{name}.parquet" for name in tables}
    cells = (case.manifest, case.shards, model)
    scored.run(*cells, identity, outs, packing=None, **options)
    for name, out in outs.items():
        if name == "invariances":
            invariances.run(*cells, alone, packing=None, **options)
        elif name == "reconstruction":
            reconstruction.run(*cells, identity, alone, side_um=None, **options)
        else:
            embed.run(*cells, alone, rotations=name, **options)
        pd.testing.assert_frame_equal(read_table(out), read_table(alone))
    # Kept rows go to the set of rotations that they are of.
    kept = [outs[name] for name in scored.ROTATIONS]
    again = {name: tmp_path / f"again_{name}.parquet" for name in outs}
    scored.run(*cells, identity, again, packing=None, frozen=kept, **options)
    for name in outs:
        pd.testing.assert_frame_equal(read_table(again[name]), read_table(outs[name]))
