"""Packings of the same nuclei by the same rules, drawn anew, to hold an error of reconstruction against."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from morphobench.download import packing as download
from morphobench.files.layout import PACKINGS, TRANSLATION, positions_name
from morphobench.files.packings import SHAPE_MANIFEST, read_positions
from morphobench.geometry.rotation import packing_to_um


def packed_anew_um(cells: pd.DataFrame, dataset: dict, seed: int, root: Path = Path()) -> torch.Tensor:
    """Return another packing of these cells of a manifest, in their frame, shape (n, 256, 3), micrometres."""
    shapes = (root / dataset["source"]["shapes"]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        own, out = Path(folder) / "shapes", Path(folder) / "shard"
        own.mkdir()
        for mesh in shapes.iterdir():
            (own / mesh.name).symlink_to(mesh)
        listed = pd.read_csv(shapes / SHAPE_MANIFEST, dtype=str)
        (own / SHAPE_MANIFEST).unlink()
        listed[listed["CellId"].isin(cells["group"])].to_csv(own / SHAPE_MANIFEST, index=False)
        dataset = dataset | {"source": dataset["source"] | {"shapes": str(own)}}
        download.run(out, dataset=dataset, shard=0, n_shards=1, seed=seed, max_failed_fraction=0.0)
        clouds = []
        for row in cells.to_dict("records"):
            name = positions_name(row["rule"], row["group"], row["angle"])
            packed_um = packing_to_um(read_positions(out / PACKINGS / name), dataset["voxel_um"])
            clouds.append(packed_um + [row[column] for column in TRANSLATION])
    return torch.from_numpy(np.stack(clouds)).float()
