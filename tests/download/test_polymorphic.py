from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricate.cells import VOXEL_UM, ellipsoid_mask, write_ome
from paths import ROOT

from morphobench import files
from morphobench.align import polymorphic as align
from morphobench.download import polymorphic as download
from morphobench.download import stack
from morphobench.errors import InputError
from morphobench.files import headers, images, shards, volumes
from morphobench.files.image_library import library
from morphobench.files.layout import VOXELS

ADRENAL = ROOT / "workflow/resources/adrenal_shapes"
RED_BLOOD_CELLS = ROOT / "workflow/resources/red_blood_cells"
SHAPE = (9, 12, 15)
N = 7


def run(out, source, shard=0, n_shards=1, max_failed_fraction=0.0):
    download.run(
        out,
        dataset={"name": "test", "kind": "polymorphic", "source": source},
        shard=shard,
        n_shards=n_shards,
        seed=1,
        max_failed_fraction=max_failed_fraction,
    )
    return files.read_cells(out)


def dataset(source, **channels):
    return {
        "name": "test",
        "kind": "polymorphic",
        "source": source,
        "channels": {"structure": "structure", "cell_mask": "cell"} | channels,
        "align": {
            "mask": "cell_mask",
            "unique": False,
            "margin_voxel": 1,
            "enabled": False,
            "interpolation": "linear",
            "least_elongation": 1.05,
            "stray_share": 0.05,
            "saturated_share": 0.01,
        },
        "mask": {"role": "cell_mask"},
        "voxel_um": VOXEL_UM,
    }


def shapes():
    return np.random.default_rng(0).random((N, *SHAPE)) < 0.3


def write_stack(folder, packed=False, spacing_um_zyx=(VOXEL_UM,) * 3, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"volumes": shapes()}
    if packed:
        flat = np.packbits(shapes().reshape(N, -1), axis=1)
        arrays = {"packed": flat, "shape": np.array((N, *SHAPE))}
    np.savez_compressed(folder / "shapes.npz", **arrays | changes)
    table = pd.DataFrame({"CellId": [f"0{n}" for n in range(N)], "shape": ["normal", "x"] * 3 + ["normal"]})
    table.to_csv(folder / "manifest.csv", index=False)
    return {"stack": str(folder / "shapes.npz"), "spacing_um_zyx": list(spacing_um_zyx)}


@pytest.mark.parametrize("packed", [False, True])
def test_a_stack_becomes_crops_with_their_metadata(tmp_path, packed):
    table = run(tmp_path / "out", write_stack(tmp_path / "in", packed, (0.3, 0.2, 0.1)) | {"channel": "mito"})
    assert table["CellId"].tolist() == [f"0{n}" for n in range(N)]
    assert table["shape"].tolist()[:2] == ["normal", "x"]
    assert table["success"].all()
    assert (table["group"] == table["CellId"]).all()
    assert set(table["crop_raw"]) == {""}
    for expected, row in zip(shapes(), table.to_dict("records"), strict=True):
        found, spacing_um = images.read_channels(tmp_path / "out" / row["crop_seg"], None)
        assert list(found) == ["mito"]
        assert spacing_um == pytest.approx((0.3, 0.2, 0.1))
        np.testing.assert_array_equal(found["mito"], expected)
        assert headers.parse_name_dict(row["name_dict"]) == {"crop_seg": ["mito"]}


@pytest.mark.parametrize("n_shards", [3, 16])
def test_the_stack_does_not_depend_on_the_number_of_shards(tmp_path, n_shards):
    source = write_stack(tmp_path / "in")
    parts = [run(tmp_path / f"out{shard}", source, shard, n_shards) for shard in range(n_shards)]
    table = pd.concat([part for part in parts if len(part)]).sort_values("CellId", ignore_index=True)
    whole = run(tmp_path / "whole", source)
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), whole.drop(columns="seconds"))
    assert {tuple(part.dtypes.items()) for part in parts} == {tuple(whole.dtypes.items())}


def test_an_empty_shape_fails_alone(tmp_path):
    some = shapes()
    some[2] = False
    source = write_stack(tmp_path / "in", volumes=some.astype(np.uint8) * 255)
    table = run(tmp_path / "out", source, max_failed_fraction=0.2)
    assert table.loc[~table["success"], "CellId"].tolist() == ["02"]
    assert table.loc[2, "error"].startswith("the segmentation is empty")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"volumes": np.zeros((N, 4, 4))}, r"found volumes float64\(7, 4, 4\)"),
        ({"volumes": np.zeros((N, *SHAPE))}, "bool or uint8"),
        ({"volumes": np.array([{}, 1])}, "not readable as arrays"),
        ({"volumes": shapes()[:3]}, "holds 3 volumes, but .*manifest.csv has 7 rows"),
    ],
)
def test_a_wrong_stack_stops_the_stage(tmp_path, changes, reason):
    with pytest.raises(InputError, match=reason):
        run(tmp_path / "out", write_stack(tmp_path / "in", **changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((N, 9, 12, 99), "does not hold"), ((9, 12), "does not hold"), ((-1,) * 4, "does not")],
)
def test_packed_shapes_that_do_not_fit_stop_the_stage(tmp_path, shape, reason):
    with pytest.raises(InputError, match=reason):
        run(tmp_path / "out", write_stack(tmp_path / "in", packed=True, shape=np.array(shape)))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x93NUMPY", b"\x80\x04."])
def test_a_file_that_is_no_stack_stops_the_stage(tmp_path, data):
    source = write_stack(tmp_path / "in")
    Path(source["stack"]).write_bytes(data)
    with pytest.raises(InputError, match="shapes.npz: not readable as arrays"):
        run(tmp_path / "out", source)


@pytest.mark.parametrize(
    ("cell", "reason"), [("00", "CellId 00 occurs more than once"), ("../x", "cannot be part of a file name")]
)
def test_ids_that_cannot_be_stop_the_stage(tmp_path, cell, reason):
    source = write_stack(tmp_path / "in")
    table = pd.read_csv(tmp_path / "in/manifest.csv", dtype=str)
    table.loc[1, "CellId"] = cell
    table.to_csv(tmp_path / "in/manifest.csv", index=False)
    with pytest.raises(InputError, match=reason):
        run(tmp_path / "out", source)


def test_a_stack_needs_a_file_and_a_voxel_size(tmp_path):
    source = write_stack(tmp_path / "in")
    with pytest.raises(InputError, match="Set source.spacing_um_zyx"):
        run(tmp_path / "out", {"stack": source["stack"]})
    Path(source["stack"]).unlink()
    with pytest.raises(InputError, match="shapes.npz: no such file"):
        run(tmp_path / "out", source)


def test_the_committed_shapes_are_whole():
    table = pd.read_csv(ADRENAL / "manifest.csv")
    found = stack.read_volumes(ADRENAL / "shapes.npz")
    assert found.shape == (len(table), 28, 28, 28)
    assert found.any(axis=(1, 2, 3)).all()
    assert table.groupby("source_split").size().to_dict() == {"train": 1188, "val": 98, "test": 298}
    assert table.groupby("shape").size().to_dict() == {"hyperplasia": 350, "normal": 1234}
    assert (ADRENAL / "shapes.npz").stat().st_size < 1.5e6


def test_the_committed_red_blood_cells_are_whole():
    table = pd.read_csv(RED_BLOOD_CELLS / "manifest.csv")
    found = stack.read_volumes(RED_BLOOD_CELLS / "volumes.npz")
    assert found.shape == (len(table), 64, 64, 64)
    assert found.sum(axis=(1, 2, 3)).tolist() == table["source_voxels"].tolist()
    known = {"cell_cluster": 69, "keratocyte": 31, "knizocyte": 23, "multilobate": 12}
    assert table.groupby("cell_class").size().to_dict() == known
    border = [found.any(axis=axes)[:, [0, -1]].any(axis=1) for axes in ((1, 2), (1, 3), (2, 3))]
    assert np.any(border, axis=0).tolist() == table["source_touches_border"].tolist()
    licence = (RED_BLOOD_CELLS / "LICENSE").read_text()
    assert all(name in licence for name in ("SHAPR_torch", "Simionato", "Rieck"))


@pytest.mark.parametrize("role", ["cell_mask", "structure"])
def test_a_stack_is_aligned_with_the_structure_as_its_own_mask(tmp_path, role):
    config = dataset(write_stack(tmp_path / "in"), cell_mask="structure")
    config |= {"align": config["align"] | {"mask": role}, "mask": {"role": role}}
    run(tmp_path / "download", config["source"])
    align.run(tmp_path / "download", tmp_path / "align", dataset=config, max_failed_fraction=0)
    for expected, row in zip(shapes(), files.read_cells(tmp_path / "align").to_dict("records"), strict=True):
        for name in ("structure", "mask"):
            found = volumes.select(files.read_array(tmp_path / "align", name), row, VOXELS)
            np.testing.assert_array_equal(found, expected)


def write_crops(folder, raw=None, seg=None, **columns):
    folder.mkdir(parents=True)
    row = {"CellId": "a"}
    for crop, channels in (("crop_raw", raw), ("crop_seg", seg)):
        if channels:
            write_ome(folder / f"{crop}.ome.tif", channels)
            row[crop] = f"{crop}.ome.tif"
    pd.DataFrame([row | columns]).to_csv(folder / "manifest.csv", index=False)
    return {"cells": str(folder / "manifest.csv")}


CELL = ellipsoid_mask((10, 20, 24), (4, 8, 10)).astype(np.uint8)
STRUCTURE = np.where(ellipsoid_mask((10, 20, 24), (2, 5, 6)), 255, 0).astype(np.uint8)
DNA = np.full(CELL.shape, 7, np.uint8)


@pytest.mark.parametrize(
    ("crops", "columns"),
    [
        ({"seg": {"structure": STRUCTURE, "cell": CELL}}, {}),
        ({"seg": {"structure": STRUCTURE, "cell": CELL}}, {"crop_raw": None}),
        ({"raw": {"structure": STRUCTURE, "cell": CELL}}, {}),
        ({"raw": {"structure": STRUCTURE, "dna": DNA}, "seg": {"cell": CELL}}, {}),
        ({"raw": {"dna": DNA}, "seg": {"cell": CELL, "structure": STRUCTURE}}, {}),
        ({"raw": {"dna": DNA, "cell": CELL}, "seg": {"structure": STRUCTURE}}, {}),
        (
            {"raw": {"x": DNA}, "seg": {"y": STRUCTURE, "z": CELL}},
            {"name_dict": "{'crop_raw': ['dna'], 'crop_seg': ['structure', 'cell']}"},
        ),
        (
            {"seg": {"y": STRUCTURE, "z": CELL}},
            {"name_dict": "{'crop_seg': ['structure', 'cell']}"},
        ),
    ],
)
def test_channels_are_found_by_name_in_whichever_crop_has_them(tmp_path, crops, columns):
    config = dataset(write_crops(tmp_path / "in", **crops, **columns))
    table = run(tmp_path / "download", config["source"])
    assert table["success"].all()
    align.run(tmp_path / "download", tmp_path / "align", dataset=config, max_failed_fraction=0)
    row = files.read_cells(tmp_path / "align").to_dict("records")[0]
    structure, mask = (
        volumes.select(files.read_array(tmp_path / "align", n), row, VOXELS) for n in ("structure", "mask")
    )
    assert set(np.unique(structure)) == {0, 1}
    assert structure.sum() == np.count_nonzero(STRUCTURE)
    assert mask.sum() == CELL.sum()
    assert (mask[structure > 0] == 1).all()


def test_a_channel_in_no_crop_is_named(tmp_path):
    config = dataset(write_crops(tmp_path / "in", raw={"dna": DNA}, seg={"cell": CELL}))
    run(tmp_path / "download", config["source"])
    with pytest.raises(InputError, match="channel 'structure' occurs 0 times among cell"):
        align.run(tmp_path / "download", tmp_path / "align", dataset=config, max_failed_fraction=0)


def test_labels_are_made_a_mask_before_they_are_interpolated(tmp_path):
    labels = STRUCTURE // 255 * np.where(np.arange(24) % 2, 200, 3).astype(np.uint8)
    config = dataset(write_crops(tmp_path / "in", seg={"structure": labels, "cell": CELL})) | {
        "voxel_um": 0.05
    }
    run(tmp_path / "download", config["source"])
    align.run(tmp_path / "download", tmp_path / "align", dataset=config, max_failed_fraction=0)
    structure = files.read_array(tmp_path / "align", "structure")
    assert (structure.min(), structure.max()) == (0, pytest.approx(1))
    volume = np.count_nonzero(structure >= 0.5) * 0.05**3
    assert volume == pytest.approx(np.count_nonzero(STRUCTURE) * VOXEL_UM**3, rel=0.05)


def test_a_manifest_needs_one_of_the_crops_and_so_does_each_cell(tmp_path):
    source = write_crops(tmp_path / "in")
    with pytest.raises(InputError, match="has neither column crop_raw nor crop_seg"):
        run(tmp_path / "out", source)
    source = write_crops(tmp_path / "empty", crop_seg=None)
    with pytest.raises(InputError, match="names no file"):
        run(tmp_path / "out", source)
    source = write_crops(tmp_path / "gone", crop_seg="gone.ome.tif")
    with pytest.raises(InputError, match="gone.ome.tif: no such file"):
        run(tmp_path / "out", source)


@pytest.mark.parametrize("name", ["download", "align"])
def test_the_stages_are_found_by_their_kind(name):
    assert shards.stage_module(name, "polymorphic").run is shards.stage_module(name, "punctate").run


def test_crops_are_taken_from_the_columns_that_the_source_names(tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    mask = np.ones((3, 4, 5), np.uint8)
    write_ome(folder / "whole.ome.tif", {"structure": mask})
    write_ome(folder / "masked.ome.tif", {"structure": mask})
    row = {"CellId": "a", "crop_seg": "whole.ome.tif", "crop_seg_masked": "masked.ome.tif"}
    pd.DataFrame([row]).to_csv(folder / "manifest.csv", index=False)
    source = {"cells": str(folder / "manifest.csv")}
    assert run(tmp_path / "a", source)["crop_seg"].item().endswith("whole.ome.tif")
    named = source | {"columns": {"crop_seg": "crop_seg_masked"}}
    assert run(tmp_path / "b", named)["crop_seg"].item().endswith("masked.ome.tif")
    with pytest.raises(InputError, match="column gone is missing"):
        run(tmp_path / "c", source | {"columns": {"crop_seg": "gone"}})


def test_the_structure_is_looked_for_in_the_segmentation_and_raw_crops_stay_unread(tmp_path):
    source = write_crops(tmp_path / "in", seg={"C:0": STRUCTURE}, crop_raw="gone.ome.tiff")
    source |= {"channel_names": {"crop_seg": ["NPM1_segmentation"]}}
    names = {"structure": "NPM1_segmentation", "cell_mask": "NPM1_segmentation"}
    config = dataset(source, **names) | {"used_channels": ["NPM1_segmentation"]}
    download.run(tmp_path / "download", dataset=config, shard=0, n_shards=1, seed=1, max_failed_fraction=0)
    align.run(tmp_path / "download", tmp_path / "align", dataset=config, max_failed_fraction=0)
    structure = files.read_array(tmp_path / "align", "structure")
    assert structure.sum() == np.count_nonzero(STRUCTURE)


def test_the_size_of_a_voxel_is_that_of_the_row_where_files_tell_none(tmp_path):
    source = write_crops(
        tmp_path / "in", seg={"structure": STRUCTURE, "cell": CELL}, scale_micron="[0.1, 0.1, 0.2]"
    )
    seg = tmp_path / "in/crop_seg.ome.tif"
    library().OmeTiffWriter.save(
        np.stack([STRUCTURE, CELL]), seg, dim_order="CZYX", channel_names=["structure", "cell"]
    )
    config = dataset(source) | {"voxel_um": 0.1}
    run(tmp_path / "download", source)
    align.run(tmp_path / "download", tmp_path / "align", dataset=config, max_failed_fraction=0)
    # Twice as many planes along z: edges in a row are along x, y, z.
    row = files.read_cells(tmp_path / "align").iloc[0]
    planes = np.flatnonzero(CELL.any(axis=(1, 2)))
    assert row["size_z"] == pytest.approx(2 * (planes[-1] - planes[0] + 1), abs=2)
