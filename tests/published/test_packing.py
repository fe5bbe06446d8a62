"""Published packings: the cells sampled here come back, or keep the published frame for published weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import trimesh
from fabricate.packings import ellipsoid, packing_dataset, write_shapes
from fabricate.published_folders import DOWNLOAD

from morphobench import files
from morphobench.align import packing as align
from morphobench.download import packing as download
from morphobench.errors import InputError
from morphobench.geometry.overlap import voxelise
from morphobench.geometry.packing import rasterise
from morphobench.mask import packing as mask
from morphobench.published import folder, manifest, packing, shard
from morphobench.sample import packing as sample

POINTS = {"n_points": 100, "jitter_um": 0.01, "jitter_clip_um": 0.02}
CUBE = {"size": 16, "side_um": 8.0, "radius_um": 0.1, "oversample": 2}
MASK = {"tolerance_um": 0.05, "min_points": 16}
LIMIT = {"max_failed_fraction": 0.0}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> tuple[Path, dict]:
    """Pack, sample and publish two shapes; return the folder of all, and the dataset that reads them back."""
    root = tmp_path_factory.mktemp("packings")
    shapes = write_shapes(root / "shapes", {"1": ellipsoid([3, 2.5, 1.5]), "2": ellipsoid([2, 3, 1.8])})
    dataset = packing_dataset(shapes) | {
        "mask": MASK,
        "sample": {"points": POINTS, "cube": CUBE},
        "stratum": "rule",
    }
    dataset["source"] |= {"derive": {"law": {"from": "rule", "pattern": "^([a-z]+)"}}}
    at = {stage: root / stage for stage in ("download", "align", "mask", "sample")}
    download.run(at["download"], dataset=dataset, shard=0, n_shards=1, seed=1, **LIMIT)
    align.run(at["download"], at["align"], dataset=dataset, **LIMIT)
    mask.run(at["align"], at["mask"], **MASK, **LIMIT)
    sample.run(at["mask"], at["sample"], dataset_name="cellpack", points=POINTS, cube=CUBE, seed=1, **LIMIT)
    cells = files.read_cells(at["sample"]).assign(shard=0, split="test")
    files.write_table(cells, root / "manifest.parquet")
    shards = {stage: [at[stage]] for stage in ("download", "mask", "sample")}
    folder.run(root / "manifest.parquet", shards, {}, {}, {}, root / "out", dataset=dataset, seed=1)
    dataset["published"] = {
        "location": str(root / "out"),
        "preprocessed": "preprocessed_data/cellpack/manifest.csv",
    }
    dataset["source"] |= {"shape_unit_um": dataset["voxel_um"], "shape_axes": "depth_first"}
    manifest.run(root / "published.parquet", dataset=dataset, max_cells=None, download_config=DOWNLOAD)
    return root, dataset


def read(root: Path, out: Path, dataset: dict) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    shard.run(
        root / "published.parquet",
        out,
        dataset=dataset,
        shard=0,
        n_shards=1,
        download_config=DOWNLOAD,
        seed=1,
        **LIMIT,
    )
    return files.read_cells(out), {name: np.load(out / f"{name}.npy") for name in ("points_um", "cube")}


def test_derived_columns_are_derived_again(published):
    root, _ = published
    made = files.read_cells(root / "download")
    assert (made["law"] == made["rule"].str.extract("^([a-z]+)")[0]).all()
    assert "law" not in pd.read_csv(root / "out/preprocessed_data/cellpack/manifest.csv")
    read_back = pd.read_parquet(root / "published.parquet")
    assert read_back["law"].tolist() == made.sort_values("CellId")["law"].tolist()


def test_published_packings_are_sampled_as_those_made_here(published, tmp_path):
    root, dataset = published
    cells, arrays = read(root, tmp_path / "shard", dataset)
    made = files.read_cells(root / "sample").set_index("CellId")
    assert set(cells["CellId"]) == set(made.index)
    for row in cells.itertuples():
        for name, array in arrays.items():
            stored = np.load(root / f"sample/{name}.npy")[made.loc[row.CellId, "index"]]
            np.testing.assert_array_equal(array[row.index], stored)


# Images


def packed_image(points_um, size, oversample, side_um):
    fine = size * oversample
    spheres = rasterise(points_um, size=fine, side_um=side_um, radius_um=0.3, oversample=1)
    return packing.to_image(np.zeros_like(spheres), spheres)


def test_blocks_of_a_published_image_are_the_cubes_drawn_here(tmp_path):
    points_um = np.random.default_rng(3).uniform(-2, 2, (20, 3)) * [1, 1, 0.5]
    cube_zyx = rasterise(points_um, size=6, side_um=6.0, radius_um=0.3, oversample=4)
    image = packed_image(points_um, 6, 4, 6.0)
    assert image.shape[:3] == (24, 2, 24)
    assert image.shape[3] < 24
    tifffile.imwrite(tmp_path / "a.ome.tiff", image, metadata={"axes": "ZCYX"})
    found = packing.read_image(tmp_path / "a.ome.tiff", 6)
    # The image's axes are the packing's y, z and x, which are x, y and z here.
    np.testing.assert_array_equal(found / 255, cube_zyx.transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("shape", "words"),
    [((24, 24, 20), "expected axes"), ((24, 2, 20, 20), "not square"), ((25, 2, 25, 21), "no multiple")],
)
def test_an_image_of_a_packing_with_other_axes_is_named(tmp_path, shape, words):
    tifffile.imwrite(tmp_path / "a.ome.tiff", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=rf"a\.ome\.tiff.*{words}"):
        packing.read_image(tmp_path / "a.ome.tiff", 6)


def test_the_nucleus_of_an_image_is_where_its_mesh_is():
    box = trimesh.creation.box((2.0, 1.0, 0.5))
    box.apply_translation((1.0, 0.5, -0.5))
    inside_zyx = voxelise((box.vertices, box.faces), packing.centred_grid(40, 8.0))
    k, j, i = (np.flatnonzero(inside_zyx.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    centre = ((i.mean(), j.mean(), k.mean()) + np.full(3, 0.5)) * 0.2 - 4
    np.testing.assert_allclose(centre, (1.0, 0.5, -0.5), atol=0.11)
    assert inside_zyx.sum() * 0.2**3 == pytest.approx(1.0, rel=0.25)
