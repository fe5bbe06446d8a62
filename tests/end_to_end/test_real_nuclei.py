"""Real nuclei: the committed ones, and hiPS cell nuclei from a field of view when its data are at hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import trimesh
from fabricate.packings import RULES
from paths import ROOT
from scipy import ndimage
from skimage.measure import marching_cubes

from morphobench import files
from morphobench.align import packing as align
from morphobench.download import packing as download
from morphobench.geometry import meshes
from morphobench.mask import packing as mask
from morphobench.sample import packing as sample

COMMITTED = ROOT / "workflow/resources/nuclei_series006"
SHARED = ROOT.parent / "shared/data"
SPACING_ZYX_UM = (0.29, 0.26, 0.26)
BOX = [[-55, -118, -118], [64, 118, 118]]


def packing(shapes: Path) -> dict:
    source = {"shapes": str(shapes), "shape_unit_um": 1.0, "shape_axes": "depth_last", "packings": None}
    spheres = {"n_spheres": 256, "radius": 1.0, "spacing": 2.0, "box": BOX}
    rest = {"name": "real", "kind": "packing", "voxel_um": 0.108, "rules": RULES, "packing": spheres}
    return {**rest, "source": source}


@pytest.mark.parametrize("path", sorted(COMMITTED.glob("*.ply")), ids=lambda path: path.stem)
def test_the_inside_of_a_committed_nucleus_has_its_volume(path):
    """The sign of the distance decides what is packed; slivers in nucleus 29 once fooled it."""
    mesh = meshes.read_closed_mesh(path)
    low, high = mesh.bounds
    points = np.random.default_rng(0).uniform(low, high, (4000, 3))
    distance, _ = meshes.signed_distance(points, mesh.vertices, mesh.faces)
    share = mesh.volume / np.prod(high - low)
    assert abs((distance < 0).mean() - share) < 5 * np.sqrt(share * (1 - share) / len(points))


def test_committed_nuclei_agree_with_their_authors_table():
    table = SHARED / "nuclei_series006/areas_volumes.csv"
    if not table.is_file():
        pytest.skip("the authors' table (../shared/data/nuclei_series006) is not here")
    for row in pd.read_csv(table).itertuples():
        mesh = meshes.read_closed_mesh(COMMITTED / f"{int(row.record)}_0.ply")
        assert mesh.volume == pytest.approx(row.volume_um3, rel=1e-6)
        assert mesh.area == pytest.approx(row.surface_area_um2, rel=1e-6)


@pytest.fixture(scope="module")
def field_of_view(tmp_path_factory):
    """Meshes of the labelled nuclei that lie wholly inside a field of view, as a user would make them."""
    path = SHARED / "hipsc_nuclei_fov/nuclei_label.tif"
    if not path.is_file():
        pytest.skip("the field of view (../shared/data/hipsc_nuclei_fov) is not here")
    label_zyx = tifffile.imread(path)
    folder = tmp_path_factory.mktemp("hipsc")
    names = []
    for number, box in enumerate(ndimage.find_objects(label_zyx), start=1):
        inside = box and all(s.start > 0 and s.stop < n for s, n in zip(box, label_zyx.shape, strict=True))
        if not inside:
            continue
        one = np.pad(label_zyx[box] == number, 2)
        one = ndimage.gaussian_filter(ndimage.binary_fill_holes(one).astype(float), 1)
        vertices_zyx_um, faces, _, _ = marching_cubes(one, 0.5, spacing=SPACING_ZYX_UM)
        mesh = trimesh.Trimesh(vertices_zyx_um[:, ::-1], faces)
        mesh = max(mesh.split(only_watertight=True), key=lambda part: abs(part.volume))
        if mesh.volume < 0:
            mesh.invert()
        mesh.export(folder / f"{number}_0.ply")
        names.append(str(number))
    pd.DataFrame({"CellId": names, "angle": 0}).to_csv(folder / "manifest.csv", index=False)
    return folder


@pytest.mark.long
def test_nuclei_of_a_field_of_view_run_from_labels_to_clouds_and_cubes(field_of_view, tmp_path):
    shards = {stage: tmp_path / stage for stage in ("download", "align", "mask", "sample")}
    dataset = packing(field_of_view)
    download.run(shards["download"], dataset=dataset, shard=0, n_shards=1, seed=1, max_failed_fraction=0.2)
    align.run(shards["download"], shards["align"], dataset=dataset, max_failed_fraction=0.2)
    mask.run(shards["align"], shards["mask"], tolerance_um=0.0, min_points=256, max_failed_fraction=0.2)
    points = {"n_points": 512, "jitter_um": 0.0108, "jitter_clip_um": 0.0216}
    cube = {"size": 33, "side_um": 25.488, "radius_um": 0.108, "oversample": 4}
    sample.run(
        shards["mask"],
        shards["sample"],
        dataset_name="real",
        points=points,
        cube=cube,
        seed=1,
        max_failed_fraction=0.2,
    )
    cells = files.read_cells(shards["sample"])
    n_nuclei = len(pd.read_csv(field_of_view / "manifest.csv"))
    print(cells.loc[~cells["success"], ["CellId", "error"]].to_string())
    assert len(cells) == 6 * n_nuclei
    assert cells["success"].sum() >= 6 * (n_nuclei - 2)
    assert (cells["success"] | cells["error"].astype(bool)).all()
    kept = int(cells["success"].sum())
    assert files.read_array(shards["sample"], "points_um").shape == (kept, 512, 3)
    assert files.read_array(shards["sample"], "cube").shape == (kept, 33, 33, 33)
