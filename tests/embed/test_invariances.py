"""Embeddings of changed cells by small models: order of points, handedness, sampling, resolution."""

import numpy as np
import pytest
import torch
from fabricate.sampled import CUBE, DATASET, write_sampled
from fabricate.trained import EMBED, FAMILIES, small_config, write_untrained

from morphobench import models
from morphobench.embed import invariances
from morphobench.embed import run as embed
from morphobench.embed.changes import CHANGES, MIRROR
from morphobench.files import read_table
from morphobench.files.tables import embedding_matrix

PACKING = {"cube": CUBE, "points": {"n_points": 64, "jitter_um": 0.1, "jitter_clip_um": 0.2}}
INVARIANT = "rotation_invariant_pointcloud"


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("changed"))


def apart(case, folder, family, **changes):
    """Distance of changed cells from the cells by change, over the embedding's length; NaN for none."""
    model, own = write_untrained(folder / "model.pt", family), folder / "own.parquet"
    options = {"dataset": DATASET, "embed_config": EMBED, "seed": 1, "accelerator": "cpu", "threads": 1}
    embed.run(case.manifest, case.shards, model, own, rotations="identity", **options)
    out, options = folder / "changed.parquet", {**options, "packing": None, **changes}
    invariances.run(case.manifest, case.shards, model, out, **options)
    table, z = read_table(out), read_table(own).set_index("CellId")
    names = [name for name in z if name.startswith("mu_")]
    moved = np.linalg.norm(embedding_matrix(table) - z.loc[table["CellId"], names].to_numpy(), axis=1)
    relative = moved / np.linalg.norm(z.loc[table["CellId"], names].to_numpy(), axis=1)
    return table.assign(apart=relative).groupby("change")["apart"].max()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_change_is_there_where_the_cells_can_have_it(case, tmp_path, family):
    found = apart(case, tmp_path, family)
    assert set(found.index) == set(CHANGES)
    absent = {"order", "sampling"} if family.endswith("image") else {"sampling", "resolution_floor"}
    # Surfaces are subsampled, so there are other points to draw.
    absent = set() if family == "rotation_invariant_pointcloud_sdf" else absent
    assert set(found.index[found.isna()]) == absent
    assert (found.drop(list({"order", *absent} & set(found.index))) >= 0).all()
    assert found["resolution"] > 1e-4


@pytest.mark.parametrize("family", [family for family in FAMILIES if not family.endswith("image")])
def test_the_order_of_points_does_not_matter(case, tmp_path, family):
    # Beyond the rounding of 32-bit sums, which follow the order.
    assert apart(case, tmp_path, family)["order"] < 2e-6


def test_spheres_are_copied_and_jittered_anew(case, tmp_path):
    found = apart(case, tmp_path, INVARIANT, packing=PACKING)
    assert 1e-4 < found["sampling"] == found["resolution_floor"]


def test_no_result_depends_on_batches(case, tmp_path):
    parts = [apart(case, tmp_path, INVARIANT, embed_config={**EMBED, "batch_size": n}) for n in (2, 16)]
    np.testing.assert_allclose(*parts, atol=1e-5)


@pytest.mark.parametrize("family", [INVARIANT, "rotation_invariant_image"])
def test_an_invariant_model_tells_a_chiral_cell_from_its_mirror_image_alone(family):
    """A cell with a plane of symmetry is its mirror image; half a turn is no change."""
    torch.manual_seed(3)
    config = small_config(family)
    model = models.create(family, **config["architecture"]).eval()
    rng = np.random.default_rng(8)
    if family == INVARIANT:
        chiral = torch.tensor(rng.gamma(2.0, size=(1, 40, 3)) * [0.3, 0.2, 0.1], dtype=torch.float32)
        mirror = torch.tensor(MIRROR, dtype=torch.float32)
        shapes = {"chiral": chiral, "symmetric": torch.cat([chiral, chiral @ mirror], dim=1)}
        mirrored = {name: shape @ mirror for name, shape in shapes.items()}
    else:
        chiral = torch.tensor(rng.random((1, 1, 9, 9, 9)), dtype=torch.float32)
        shapes = {"chiral": chiral, "symmetric": chiral + chiral.flip(-1)}
        mirrored = {name: shape.flip(-1) for name, shape in shapes.items()}
    with torch.inference_mode():
        z = {name: model.encode(shape) for name, shape in shapes.items()}
        apart = {name: (model.encode(mirrored[name]) - z[name]).norm() / z[name].norm() for name in z}
    # Of the image model, whose weights are as drawn, the invariant part is small yet.
    assert apart["symmetric"] < 0.02 * apart["chiral"]
    assert apart["chiral"] > 2e-5
