from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fabricate.cells import SEG_NAMES, VOXEL_UM, ellipsoid_mask, spots, write_cells, write_ome
from paths import SHARED

from morphobench import files
from morphobench.align import inplane
from morphobench.align import punctate as align
from morphobench.download import punctate as download
from morphobench.errors import InputError
from morphobench.files import shards, volumes
from morphobench.files.layout import VOXELS

ANGLES = [-89, -80, -71.5, -60, -45, -33, -20, -10, -2, 0, 1, 7.5, 15, 28, 40, 45, 52, 66, 78, 90]
FIELD = SHARED / "data/hipsc_nuclei_fov"
SHAPE = (12, 110, 110)

ALIGN = {
    "mask": "nucleus_mask",
    "unique": False,
    "margin_voxel": 3,
    "enabled": True,
    "interpolation": "linear",
    "least_elongation": 1.05,
    "stray_share": 0.05,
    "saturated_share": 0.01,
}


def ellipsoid(angle, shape=SHAPE):
    return ellipsoid_mask(shape, (5, 24, 44), angle)


def difference(angle, expected, period):
    return abs((angle - expected + period / 2) % period - period / 2)


def dataset(manifest, **align_settings):
    return {
        "name": "test",
        "source": {"cells": str(manifest)},
        "channels": {
            "dna": "dna",
            "structure": "structure",
            "nucleus_mask": "dna_segmentation",
            "cell_mask": "membrane_segmentation",
        },
        "align": ALIGN | align_settings,
        "mask": {"role": "nucleus_mask"},
        "voxel_um": VOXEL_UM,
    }


def run(config, folder, max_failed_fraction=0.0):
    download.run(
        folder / "download",
        dataset=config,
        shard=0,
        n_shards=1,
        seed=1,
        max_failed_fraction=max_failed_fraction,
    )
    align.run(
        folder / "download",
        folder / "align",
        dataset=config,
        max_failed_fraction=max_failed_fraction,
    )
    arrays = (files.read_array(folder / "align", name) for name in ("structure", "mask"))
    return files.read_cells(folder / "align"), *arrays


def test_cells_on_disk_are_laid_along_x_and_the_transform_leads_back(tmp_path):
    rng = np.random.default_rng(0)
    masks = {f"Zelle_ä{i}": ellipsoid(angle) for i, angle in enumerate(ANGLES)}
    manifest = write_cells(tmp_path / "Größe", {cell: (spots(m, rng), m) for cell, m in masks.items()})
    cells, structure, mask = run(dataset(manifest), tmp_path)
    assert cells["success"].all()
    assert structure.dtype == np.float32
    assert mask.dtype == np.uint8
    assert len(structure) == len(mask)
    for row, angle in zip(cells.to_dict("records"), ANGLES, strict=True):
        assert difference(row["angle_degrees"], angle, 180) < 0.5
        turned = volumes.select(mask, row, VOXELS)
        assert set(np.unique(turned)) == {0, 1}
        assert difference(inplane.inplane_angle(turned), 0, 180) < 0.5
        before = masks[row["CellId"]]
        assert turned.sum() == pytest.approx(before.sum(), rel=0.02)
        # q = R(-a) (p - c) + c - o, the other way round.
        k, j, i = np.argwhere(turned).T + 0.5
        origin, center = (
            np.array([row[f"{of}_{axis}_um"] for axis in "zyx"])[:, None] for of in ("origin", "center")
        )
        z, y, x = np.array([k, j, i]) * row["spacing_um"] + origin - center
        a = np.deg2rad(row["angle_degrees"])
        back = np.array([z, x * np.sin(a) + y * np.cos(a), x * np.cos(a) - y * np.sin(a)]) + center
        voxel = np.floor(back / VOXEL_UM).astype(int)
        assert before[tuple(voxel)].mean() > 0.999


def test_intensities_are_raw_counts_on_the_same_lattice_as_the_mask(tmp_path):
    mask = ellipsoid(25)
    counts = np.where(mask, 900.0, 400.0)
    manifest = write_cells(tmp_path / "in", {"a": (counts, mask)})
    cells, structure, kept = run(dataset(manifest), tmp_path)
    row = cells.to_dict("records")[0]
    structure, kept = volumes.select(structure, row, VOXELS), volumes.select(kept, row, VOXELS)
    assert structure[kept > 0].mean() > 890
    inside_crop = structure[(kept == 0) & (structure > 0)]
    assert 400 <= inside_crop.mean() < 430
    assert set(np.unique(structure[structure < 399])) <= {0}


def test_the_order_of_channels_in_the_file_does_not_matter(tmp_path):
    mask = ellipsoid(25)
    cell = {"a": (spots(mask, np.random.default_rng(0)), mask)}
    results = []
    for number, names in enumerate((("dna", "membrane", "structure"), ("structure", "dna", "membrane"))):
        manifest = write_cells(tmp_path / f"in{number}", cell, raw_names=names)
        # Once by the manifest's name_dict, once by the names in the file.
        if number:
            pd.read_csv(manifest).drop(columns="name_dict").to_csv(manifest, index=False)
        results.append(run(dataset(manifest), tmp_path / str(number)))
    np.testing.assert_array_equal(results[0][1], results[1][1])
    np.testing.assert_array_equal(results[0][2], results[1][2])


def test_anisotropic_crops_keep_their_physical_extents(tmp_path):
    semi_um = np.array([2.2, 3.1, 5.6])
    spacing = np.array([0.29, 0.2, 0.2])
    mask = ellipsoid_mask((20, 70, 70), semi_um / spacing, 35)
    manifest = write_cells(tmp_path / "in", {"a": (spots(mask, np.random.default_rng(0)), mask)}, spacing)
    cells, _, kept = run(dataset(manifest), tmp_path)
    row = cells.to_dict("records")[0]
    kept = volumes.select(kept, row, VOXELS)
    extent_um = [kept.any(axis=axes).sum() * VOXEL_UM for axes in ((1, 2), (0, 2), (0, 1))]
    np.testing.assert_allclose(extent_um, 2 * semi_um, atol=0.3)
    assert kept.sum() * VOXEL_UM**3 == pytest.approx(mask.sum() * spacing.prod(), rel=0.01)
    assert difference(row["angle_degrees"], 35, 180) < 0.5


def test_one_mask_can_guide_and_another_be_kept(tmp_path):
    guide, kept = ellipsoid(30), ellipsoid_mask(SHAPE, (3, 10, 15), -50)
    manifest = write_cells(tmp_path / "in", {"a": (spots(guide, np.random.default_rng(0)), guide)})
    write_ome(
        tmp_path / "in/crop_seg/a_seg.ome.tif",
        dict(zip(SEG_NAMES, map(np.uint8, (kept, guide)), strict=True)),
    )
    config = dataset(manifest, mask="cell_mask")
    cells, _, mask = run(config, tmp_path)
    assert cells["angle_degrees"][0] == pytest.approx(30, abs=0.5)
    turned = volumes.select(mask, cells.to_dict("records")[0], VOXELS)
    assert inplane.inplane_angle(turned) == pytest.approx(-80, abs=1)
    assert turned.sum() == pytest.approx(kept.sum(), rel=0.02)


def test_alignment_can_be_switched_off(tmp_path):
    mask = ellipsoid(30)
    manifest = write_cells(tmp_path / "in", {"a": (spots(mask, np.random.default_rng(0)), mask)})
    cells, _, kept = run(dataset(manifest, enabled=False, margin_voxel=0), tmp_path)
    assert cells["angle_degrees"].tolist() == [0]
    where = np.argwhere(mask)
    box = tuple(slice(low, high + 1) for low, high in zip(where.min(0), where.max(0), strict=True))
    np.testing.assert_array_equal(volumes.select(kept, cells.to_dict("records")[0], VOXELS), mask[box])


def broken(folder, what):
    raw, seg = folder / "crop_raw/b_raw.ome.tif", folder / "crop_seg/b_seg.ome.tif"
    counts = {name: np.ones(SHAPE, np.uint16) for name in ("dna", "membrane", "structure")}
    if what == "missing":
        seg.unlink()
    elif what == "truncated":
        raw.write_bytes(raw.read_bytes()[:-2000])
    elif what == "shape":
        write_ome(raw, {name: volume[:, :50] for name, volume in counts.items()})
    elif what == "nan":
        floats = {name: volume.astype(np.float32) for name, volume in counts.items()}
        floats["structure"][0] = np.nan
        write_ome(raw, floats)
    elif what == "empty":
        write_ome(seg, dict.fromkeys(SEG_NAMES, np.zeros(SHAPE, np.uint8)))
    elif what == "flat":
        write_ome(raw, {name: volume[:1] for name, volume in counts.items()})
    elif what in ("name", "name_dict"):
        table = pd.read_csv(folder / "manifest.csv")
        names = "{'crop_raw': ['dna', 'membrane', 'x'], 'crop_seg': ['dna_segmentation', 'y']}"
        table.loc[1, "name_dict"] = names if what == "name" else "{'crop_raw'"
        table.to_csv(folder / "manifest.csv", index=False)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("missing", "no such file"),
        ("truncated", "truncated"),
        ("shape", r"shape \(12, 110, 110\), but .*b_raw"),
        ("nan", "'structure' has values that are not finite"),
        ("empty", "'dna_segmentation' is zero everywhere"),
        ("flat", "1 planes"),
        ("name", "'structure' occurs 0 times among dna, membrane, x"),
        ("name_dict", "is no dictionary"),
    ],
)
def test_each_bad_input_fails_its_cell_with_the_reason_and_the_run_goes_on(what, reason, tmp_path):
    mask = ellipsoid(30)
    cell = (spots(mask, np.random.default_rng(0)), mask)
    manifest = write_cells(tmp_path / "in", dict.fromkeys("abc", cell))
    config = dataset(manifest)
    broken(manifest.parent, what)
    cells, structure, kept = run(config, tmp_path, max_failed_fraction=0.4)
    bad = cells.set_index("CellId").loc["b"]
    assert cells["success"].tolist() == [True, False, True]
    assert pd.Series([bad["error"]]).str.contains(reason).all()
    assert (bad["size_z"], bad["size_y"], bad["size_x"]) == (0, 0, 0)
    first, last = cells.to_dict("records")[::2]
    np.testing.assert_array_equal(
        volumes.select(structure, first, VOXELS), volumes.select(structure, last, VOXELS)
    )
    np.testing.assert_array_equal(volumes.select(kept, first, VOXELS), volumes.select(kept, last, VOXELS))
    with pytest.raises(InputError, match="1 of 3 cells failed"):
        run(config, tmp_path / "strict", max_failed_fraction=0.1)
    assert not (tmp_path / "strict/align").exists()


def test_an_empty_shard_passes(tmp_path):
    mask = ellipsoid(30)
    manifest = write_cells(tmp_path / "in", {"a": (spots(mask, np.random.default_rng(0)), mask)})
    config = dataset(manifest)
    run(config, tmp_path)
    shard = tmp_path / "download"
    files.write_table(files.read_cells(shard).iloc[:0], shard / files.CELL_TABLE)
    align.run(shard, tmp_path / "empty", dataset=config, max_failed_fraction=0.0)
    assert files.read_array(tmp_path / "empty", "structure").shape == (0,)
    assert files.read_cells(tmp_path / "empty")["first_voxel"].dtype == np.int64


def test_the_stage_is_found_by_its_kind():
    assert shards.stage_module("align", "punctate") is align


def test_real_nuclei_from_a_field_of_view_are_laid_along_x(tmp_path):
    if not FIELD.is_dir():
        pytest.skip("the field of view (../shared/data/hipsc_nuclei_fov) is not here")
    for name in ("nuclei.tif", "nuclei_label.tif"):
        (tmp_path / name).symlink_to(FIELD / name)
    row = {"FOVId": "hipsc", "image": "nuclei.tif", "dna_segmentation": "nuclei_label.tif"}
    pd.DataFrame([row]).to_csv(tmp_path / "fovs.csv", index=False)
    fov = {
        "channel_names": ["dna"],
        "label_channels": ["dna_segmentation"],
        "spacing_um_zyx": [0.29, 0.26, 0.26],
    }
    config = dataset("") | {"source": {"fovs": str(tmp_path / "fovs.csv"), "fov": fov}}
    config["channels"]["structure"] = "dna"
    cells, structure, mask = run(config, tmp_path)
    assert cells["success"].sum() == 10
    for row in cells[cells["success"]].to_dict("records"):
        kept, counts = volumes.select(mask, row, VOXELS), volumes.select(structure, row, VOXELS)
        assert abs(inplane.inplane_angle(kept)) < 1
        assert counts[kept > 0].mean() > 1.5 * counts[(kept == 0) & (counts > 0)].mean()
        assert 200 < kept.sum() * VOXEL_UM**3 < 2000


def test_cells_that_are_nearly_as_wide_as_long_are_kept_and_warned_of(tmp_path, caplog):
    rng = np.random.default_rng(0)
    masks = {"long": ellipsoid(30), "square": np.zeros((9, 40, 40), dtype=bool)}
    masks["square"][2:7, 10:30, 10:30] = True
    manifest = write_cells(tmp_path / "data", {cell: (spots(m, rng), m) for cell, m in masks.items()})
    cells, _, _ = run(dataset(manifest), tmp_path)
    elongation = cells.set_index("CellId")["elongation"]
    assert elongation["square"] == pytest.approx(1, abs=0.02)
    assert elongation["long"] > 1.2
    assert cells["success"].all()
    assert cells.set_index("CellId")["nearly_square"].to_dict() == {"long": False, "square": True}
    assert "1 of 2 cells are nearly as wide as long" in caplog.text
    assert "first square" in caplog.text
