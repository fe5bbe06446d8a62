"""Variants of one small field of view, and of single cells: each ends as the clean one, or says why not."""

from __future__ import annotations

import gzip
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from fabricate.cells import ellipsoid_mask, write_ome
from ome_zarr.io import parse_url
from ome_zarr.writer import write_image
from scipy import ndimage

from morphobench import files
from morphobench.align import punctate as align
from morphobench.download import punctate as download
from morphobench.download import stack
from morphobench.errors import InputError
from morphobench.files import images
from morphobench.files.crops import read_crops
from morphobench.files.layout import stored_cell
from morphobench.mask import punctate as mask
from morphobench.remote.store import Folder

SPACING = (0.6, 0.4, 0.4)
SHAPE, AXES, N_CELLS = (14, 22, 26), (4, 7, 9), 3
CENTER = tuple(n // 2 for n in SHAPE)


def one_cell(number):
    inside = ellipsoid_mask(SHAPE, AXES, 25 * number)
    counts = np.random.default_rng(number).integers(380, 420, SHAPE)
    counts[inside] += np.random.default_rng(number + 9).integers(0, 600, np.count_nonzero(inside))
    return counts.astype(np.uint16), inside


def clean_field():
    """Cells 1, 2 and 3 side by side; cell 2 has background on all sides."""
    cells = [one_cell(number) for number in range(N_CELLS)]
    counts = np.concatenate([counts for counts, _ in cells], axis=2)
    labels = np.concatenate([(n + 1) * inside for n, (_, inside) in enumerate(cells)], axis=2)
    return counts, labels.astype(np.uint16)


IMAGE, LABELS = clean_field()


def dataset(source):
    return {
        "name": "messy",
        "kind": "punctate",
        "source": source,
        "channels": {"structure": "GFP", "nucleus_mask": "nuclei"},
        "align": {
            "enabled": True,
            "mask": "nucleus_mask",
            "unique": False,
            "margin_voxel": 2,
            "interpolation": "linear",
            "least_elongation": 1.05,
            "stray_share": 0.05,
            "saturated_share": 0.01,
        },
        "mask": {"role": "nucleus_mask"},
        "voxel_um": 0.4,
    }


def run(folder, source):
    """Take a source through download, align and mask; return the table and each cell's arrays."""
    shards = [folder / stage for stage in ("download", "align", "mask")]
    config = dataset(source)
    download.run(shards[0], dataset=config, shard=0, n_shards=1, seed=1, max_failed_fraction=1.0)
    align.run(*shards[:2], dataset=config, max_failed_fraction=1.0)
    mask.run(*shards[1:], role="nucleus_mask", dilation_voxel=1, clip="none", max_failed_fraction=1.0)
    table = files.read_cells(shards[2]).set_index("CellId", drop=False)
    good = table[table["success"]].to_dict("records")
    return table, {row["CellId"]: stored_cell(shards[2], row) for row in good}


def field(folder, image="image.tif", labels="labels.tif", rows=("f",), **fov):
    table = [{"FOVId": name, "image": image, "nuclei": labels} for name in rows]
    pd.DataFrame(table).to_csv(folder / "fovs.csv", index=False)
    settings = {"channel_names": ["GFP"], "label_channels": ["nuclei"], "spacing_um_zyx": list(SPACING)}
    return {"fovs": str(folder / "fovs.csv"), "fov": settings | fov}


def plain(folder, image=IMAGE, labels=LABELS, **how):
    tifffile.imwrite(folder / "image.tif", image, **how)
    tifffile.imwrite(folder / "labels.tif", labels, **how)


def assert_same(found, expected, rtol=0.0):
    assert sorted(found) == sorted(expected)
    for cell, arrays in expected.items():
        for got, wanted in zip(found[cell], arrays, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=rtol)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    plain(folder)
    table, cells = run(folder, field(folder))
    assert table["success"].tolist() == [True] * N_CELLS
    return cells


# Fields that end with the cells of the clean one


def as_is(change=lambda image, labels: (image, labels), **how):
    def make(folder):
        plain(folder, *change(IMAGE.copy(), LABELS.copy()), **how)
        return field(folder)

    return make


def as_ome(folder):
    write_ome(folder / "image.ome.tif", {"GFP": IMAGE}, SPACING)
    write_ome(folder / "labels.ome.tif", {"Labels": LABELS}, SPACING)
    return field(folder, "image.ome.tif", "labels.ome.tif", channel_names=None, spacing_um_zyx=None)


def as_imagej(unit, z, xy, configured=None, **more):
    def make(folder):
        how = {
            "resolution": (1 / xy, 1 / xy),
            "metadata": {"spacing": z, "unit": unit, "axes": "ZYX", **more},
        }
        tifffile.imwrite(folder / "image.tif", IMAGE, imagej=True, **how)
        tifffile.imwrite(folder / "labels.tif", LABELS)
        return field(folder, spacing_um_zyx=configured)

    return make


def write_zarr(path, volume_zyx, unit="micrometer", per_um=1.0, sizes=True, **more):
    group = zarr.group(store=parse_url(str(path), mode="w").store)
    units = {"unit": unit} if unit else {}
    axes = [{"name": "c", "type": "channel"}] + [{"name": a, "type": "space", **units} for a in "zyx"]
    steps = [{"type": "scale", "scale": [1, *(edge * per_um for edge in SPACING)]}]
    write_image(volume_zyx[None], group, axes=axes, scaler=None, coordinate_transformations=[steps])
    if not sizes:
        scales = group.attrs["multiscales"]
        del scales[0]["datasets"][0]["coordinateTransformations"]
        group.attrs["multiscales"] = scales
    group.attrs.update(more)


def as_zarr(names=None, **how):
    def make(folder):
        more = {"omero": {"channels": [{"label": name} for name in names]}} if names else {}
        write_zarr(folder / "image.zarr", IMAGE, **how, **more)
        write_zarr(folder / "labels.zarr", LABELS)
        named = None if names else ["GFP"]
        return field(folder, "image.zarr", "labels.zarr", channel_names=named, spacing_um_zyx=None)

    return make


def labels_in_zarr(folder):
    plain(folder)
    write_zarr(folder / "labels.zarr", LABELS)
    return field(folder, labels="labels.zarr")


def beside_another_name(folder):
    folder = folder / "Zellen & Bilder"
    folder.mkdir()
    plain(folder)
    (folder / "image.tif").rename(folder / "Zoë 1.TIF")
    return field(folder, "Zoë 1.TIF")


def with_voxel(place, value=2):
    def change(image, labels):
        labels[place] = value
        return image, labels

    return as_is(change)


def with_nan(place):
    def change(image, labels):
        image = image.astype(np.float32)
        image[place] = np.nan
        return image, labels

    return as_is(change)


def with_channel(second):
    """A second channel that no stage reads."""

    def make(folder):
        how = {"imagej": True, "metadata": {"axes": "ZCYX"}}
        tifffile.imwrite(folder / "image.tif", np.stack([IMAGE, second], axis=1), **how)
        tifffile.imwrite(folder / "labels.tif", LABELS)
        return field(folder, channel_names=["GFP", "DNA"])

    return make


def labels_with_the_xml_of_one_image(folder):
    """A label image with the OME-XML of an image that lies in one file: its planes are its own."""
    write_ome(folder / "raw.ome.tif", {"GFP": IMAGE}, SPACING)
    text = tifffile.tiffcomment(folder / "raw.ome.tif")
    tifffile.imwrite(folder / "labels.ome.tif", LABELS, description=text.encode(), metadata=None)
    return field(folder, "raw.ome.tif", "labels.ome.tif", channel_names=None)


RIGHT = {
    "labels with the OME-XML of one image": labels_with_the_xml_of_one_image,
    "OME-TIFF": as_ome,
    "ImageJ in micrometres": as_imagej("micron", 0.6, 0.4),
    "ImageJ in escaped micrometres": as_imagej("\\u00B5m", 0.6, 0.4),
    "ImageJ in nanometres": as_imagej("nm", 600.0, 400.0),
    "ImageJ with a zunit": as_imagej("nm", 0.6, 400.0, zunit="um"),
    "ImageJ in pixels, sizes configured": as_imagej("pixel", 1.0, 1.0, SPACING),
    "OME-Zarr": as_zarr(["GFP"]),
    "OME-Zarr without names": as_zarr(),
    "OME-Zarr in nanometres": as_zarr(unit="nanometer", per_um=1000),
    "labels in OME-Zarr": labels_in_zarr,
    "big-endian": as_is(byteorder=">"),
    "BigTIFF": as_is(bigtiff=True),
    "compressed": as_is(compression="zlib"),
    "tiles": as_is(tile=(16, 16)),
    "another name": beside_another_name,
    "labels of 8 bits": as_is(lambda image, labels: (image, labels.astype(np.uint8))),
    "labels with sign": as_is(lambda image, labels: (image, labels.astype(np.int32))),
    "labels as float32": as_is(lambda image, labels: (image, labels.astype(np.float32))),
    "labels as float64": as_is(lambda image, labels: (image, labels.astype(np.float64))),
    "image as float32": as_is(lambda image, labels: (image.astype(np.float32), labels)),
    "stray voxel": with_voxel((2, 2, 3)),
    "stray voxel at the border": with_voxel((0, 0, 70)),
    "NaN outside of every cell": with_nan((0, 0, 0)),
    "dead second channel": with_channel(np.zeros_like(IMAGE)),
    "constant second channel": with_channel(np.full_like(IMAGE, 7)),
    "saturated second channel": with_channel(np.full_like(IMAGE, 65535) - (LABELS == 0)),
}


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT)
def test_the_same_cells_come_out(make, clean, tmp_path):
    table, cells = run(tmp_path, make(tmp_path))
    assert not table["error"].any()
    assert_same(cells, clean, rtol=1e-6)


# Fields that say what is wrong


def labels_with_the_images_xml(folder):
    """A label image whose OME-XML is that of an image in two files."""
    write_ome(folder / "raw.ome.tif", {"GFP": IMAGE}, SPACING)
    n_z, n_y, n_x = IMAGE.shape
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z}" PlaneCount="1"><UUID FileName="raw.ome.tif">urn:uuid:b</UUID>'
        "</TiffData>"
        for z in range(n_z)
    )
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:a">'
        '<Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{n_x}" SizeY="{n_y}" SizeC="1" '
        f'SizeZ="{n_z}" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels>'
        "</Image></OME>"
    )
    tifffile.imwrite(folder / "labels.ome.tif", LABELS, description=text, metadata=None)
    return field(folder, "raw.ome.tif", "labels.ome.tif")


def packed(folder):
    plain(folder)
    (folder / "image.tif.gz").write_bytes(gzip.compress((folder / "image.tif").read_bytes()))
    return field(folder, "image.tif.gz")


def foreign(ending):
    def make(folder):
        plain(folder)
        (folder / f"image.{ending}").write_bytes(b"\0" * 64)
        return field(folder, f"image.{ending}")

    return make


def zarr_of_version_3(folder):
    plain(folder)
    (folder / "image.zarr").mkdir()
    (folder / "image.zarr/zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    return field(folder, "image.zarr")


def zarr_without_images(folder):
    plain(folder)
    zarr.group(store=parse_url(str(folder / "image.zarr"), mode="w").store)
    return field(folder, "image.zarr")


def truncated(folder):
    plain(folder)
    path = folder / "labels.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return field(folder)


def changed(change):
    return as_is(lambda image, labels: (image, change(labels)))


SIZES = "Set spacing_um_zyx in the dataset's source"
TOLD = {
    "labels with the image's OME-XML": (
        labels_with_the_images_xml,
        r"labels.ome.tif: its OME-XML says that planes lie in another file \(raw.ome.tif\). Export",
    ),
    "binary mask": (
        changed(lambda a: 255 * (a > 0).astype(np.uint8)),
        "labels.tif: 1 label in 3 parts.*Number",
    ),
    "true and false": (changed(lambda a: a > 0), "labels.tif: 1 label in 3 parts of like size.*Number"),
    "classes": (
        changed(lambda a: np.where(a > 0, 1 + (np.indices(a.shape)[0] > 6), 0).astype(np.uint8)),
        "labels.tif: 2 labels in 6 parts of like size: a mask or an image of classes.*Number",
    ),
    "inverted labels": (
        changed(lambda a: (a == 0).astype(np.uint8)),
        "labels.tif: label 1 lies in all corners of the field: it is the background.*Give the background",
    ),
    "fractions as labels": (
        changed(lambda a: ndimage.gaussian_filter(a.astype(np.float32), 1)),
        "labels.tif: expected labels as whole numbers.*Export them so",
    ),
    "negative labels": (changed(lambda a: -a.astype(np.int16)), "labels.tif: labels run from -3.*Renumber"),
    "labels of another shape": (changed(lambda a: a[:, 1:]), "labels.tif: labels of shape.*Export both"),
    "one plane of labels": (changed(lambda a: a[5]), "labels.tif: expected one volume.*Export one"),
    "truncated labels": (truncated, "labels.tif: .*truncated.*etch"),
    "ImageJ in pixels": (as_imagej("pixel", 1.0, 1.0), f"image.tif: voxel sizes are in pixel. {SIZES}"),
    "ImageJ in inches": (as_imagej("inch", 0.02, 0.01), f"image.tif: voxel sizes are in inch. {SIZES}"),
    "ImageJ in an unknown unit": (as_imagej("furlong", 1.0, 1.0), f"voxel sizes are in furlong. {SIZES}"),
    "ImageJ with z in pixels": (as_imagej("um", 1.0, 0.4, zunit="pixel"), f"are in pixel, um. {SIZES}"),
    "no sizes": (
        lambda f: plain(f) or field(f, spacing_um_zyx=None),
        f"image.tif: the size of a voxel.*{SIZES}",
    ),
    "OME-Zarr without sizes": (as_zarr(sizes=False), f"image.zarr: the size of a voxel.*{SIZES}"),
    "OME-Zarr without units": (as_zarr(unit=None), f"image.zarr: voxel sizes are in unknown. {SIZES}"),
    "Zarr of version 3": (zarr_of_version_3, "image.zarr: written in version 3 of Zarr.*Export it"),
    "Zarr without images": (zarr_without_images, "image.zarr: a Zarr without `multiscales`.*Export it"),
    "gzip": (packed, "image.tif.gz: compressed with gzip.*Unpack it"),
    "CZI": (foreign("czi"), "image.czi: read with the package aicspylibczi.*pip install aicspylibczi"),
    "ND2": (foreign("nd2"), "image.nd2: read with the package nd2.*pip install nd2"),
    "LIF": (foreign("lif"), "image.lif: read with the package readlif.*pip install readlif"),
    "missing": (lambda f: plain(f) or field(f, "other.tif"), "other.tif: no such file.*Restore it"),
}


@pytest.mark.parametrize(("make", "reason"), TOLD.values(), ids=TOLD)
def test_what_is_wrong_is_said(make, reason, tmp_path):
    table, cells = run(tmp_path, make(tmp_path))
    assert not cells
    (error,) = table["error"].unique()
    assert re.search(reason, error), error


def test_what_is_no_tiff_says_its_shape_too(tmp_path):
    write_zarr(tmp_path / "image.zarr", IMAGE)
    axes, shape, dtype, header = images.read_layout(tmp_path / "image.zarr")
    assert (axes, shape, dtype) == ("ZYX", IMAGE.shape, "uint16")
    assert header.spacing_um_zyx == pytest.approx(SPACING)
    (found,) = Folder(tmp_path).fetch(["image.zarr"], dataset="messy").values()
    assert found == tmp_path / "image.zarr"


# Fields of which some cell is told


def test_nan_in_a_cell_costs_that_cell_alone(clean, tmp_path):
    table, cells = run(tmp_path, with_nan((CENTER[0], CENTER[1], CENTER[2]))(tmp_path))
    assert "'GFP' has values that are not finite in or beside the cell" in table.loc["f_1", "error"]
    assert_same(cells, {cell: clean[cell] for cell in ("f_2", "f_3")}, rtol=1e-6)


def test_strays_are_counted_and_told(tmp_path, caplog):
    table, _ = run(tmp_path, with_voxel((2, 2, 3))(tmp_path))
    assert table["label_stray_voxels"].tolist() == [0, 1, 0]
    assert "labels.tif: 1 labels have stray voxels, which are left out" in caplog.text


def test_a_label_in_two_large_parts_keeps_both_and_is_told(tmp_path, caplog):
    table, _ = run(tmp_path, as_is(lambda image, labels: (image, np.where(labels == 3, 2, labels)))(tmp_path))
    assert table["label_pieces"].tolist() == [1, 2]
    assert table.loc["f_2", "n_voxels"] > 1.8 * table.loc["f_1", "n_voxels"]
    assert "1 labels lie in several parts of like size (column label_pieces): 2" in caplog.text


def test_one_label_for_the_nuclei_of_many_cells_is_refused(tmp_path):
    plain(tmp_path)
    tifffile.imwrite(tmp_path / "binary.tif", (LABELS > 0).astype(np.uint8))
    source = field(tmp_path, label_channels=["nuclei", "dna"])
    table = pd.read_csv(tmp_path / "fovs.csv").assign(dna="binary.tif")
    table.to_csv(tmp_path / "fovs.csv", index=False)
    table, _ = run(tmp_path, source)
    assert "binary.tif: its only label, 1, lies in 3 parts of different cells" in table["error"].iloc[0]


@pytest.mark.parametrize(("value", "fault"), [(0, "dead"), (7, "constant")])
def test_a_structure_without_signal_leaves_its_cells_out_and_stops_nothing(value, fault, tmp_path, caplog):
    image = IMAGE.copy()
    image[:, :, : SHAPE[2]] = value
    table, _ = run(tmp_path, as_is(lambda _, labels: (image, labels))(tmp_path))
    assert table["structure_fault"].tolist() == [fault, "", ""]
    assert table["channel_faults"].tolist() == [f"GFP: {fault}", "", ""]
    assert table["success"].tolist() == [False, True, True]
    assert table.loc["f_1", "excluded"]
    assert "zero variance" in table.loc["f_1", "error"]
    assert caplog.text.count(f"1 of 3 cells have a structure channel that is {fault} in the cell") == 1


def test_saturated_channels_are_marked_and_stay(tmp_path):
    image = np.where((LABELS == 2) & (IMAGE > 600), 4095, IMAGE).astype(np.uint16)
    table, _ = run(tmp_path, as_is(lambda _, labels: (image, labels))(tmp_path))
    assert table["structure_fault"].tolist() == ["", "saturated", ""]
    assert table["success"].all()


@pytest.mark.parametrize("other", [(0.6, 0.41, 0.41), (0.6, 0.4, 0.4)])
def test_a_configured_size_that_contradicts_the_file_is_told_once(other, clean, tmp_path, caplog):
    source = as_imagej("micron", other[0], other[1], list(SPACING))(tmp_path)
    _, cells = run(tmp_path, source)
    assert_same(cells, clean)
    warned = [line.message for line in caplog.records if line.levelno == logging.WARNING]
    assert sum("in source.fov.spacing_um_zyx, which is taken" in one for one in warned) == (other != SPACING)


def test_an_image_in_two_rows_is_told(tmp_path, caplog):
    plain(tmp_path)
    source = field(tmp_path, rows=("f", "g"))
    table = pd.read_csv(tmp_path / "fovs.csv")
    table.loc[1, "image"] = "./image.tif"
    table.to_csv(tmp_path / "fovs.csv", index=False)
    run(tmp_path, source)
    assert caplog.text.count("2 rows name the same images as another row, first FOVId f and g") == 1


# Single cells


def crops(folder: Path, masks, labels=None):
    counts, _ = one_cell(1)
    rows = []
    for number, volume in enumerate(masks):
        tifffile.imwrite(folder / "counts.tif", counts)
        tifffile.imwrite(folder / f"mask{number}.tif", volume)
        rows.append({"CellId": f"c{number}", "crop_raw": "counts.tif", "crop_seg": f"mask{number}.tif"})
    table = pd.DataFrame(rows)
    (table if labels is None else table.assign(mask_label=labels)).to_csv(folder / "cells.csv", index=False)
    names = {"crop_raw": ["GFP"], "crop_seg": ["nuclei"]}
    return {"cells": str(folder / "cells.csv"), "channel_names": names, "spacing_um_zyx": list(SPACING)}


OWN = one_cell(1)[1]
NEIGHBOUR = np.roll(OWN, 14, axis=2) & ~ndimage.binary_dilation(OWN)
NEIGHBOUR[:, :, :8] = False
DEPTH = ndimage.distance_transform_edt(OWN) - ndimage.distance_transform_edt(~OWN)
SOFT = 1 / (1 + np.exp(0.5 - DEPTH))


def strayed(volume):
    volume = volume.copy()
    volume[1, 1, 1] = volume.max()
    return volume


SAME_MASK = {
    "0 and 1": OWN.astype(np.uint8),
    "0 and 255": 255 * OWN.astype(np.uint8),
    "one label": 7 * OWN.astype(np.uint16),
    "true and false": OWN,
    "0.0 and 1.0": OWN.astype(np.float32),
    "0.0 and 255.0": 255 * OWN.astype(np.float64),
    "probabilities": SOFT.astype(np.float32),
    "labels": 7 * OWN.astype(np.uint8) + 9 * NEIGHBOUR.astype(np.uint8),
    "labels as floats": 9 * OWN.astype(np.float32) + 2 * NEIGHBOUR.astype(np.float32),
    "stray voxel": strayed(OWN.astype(np.uint8)),
}


def test_the_same_mask_in_many_forms_is_one_mask(tmp_path, caplog):
    table, cells = run(tmp_path, crops(tmp_path, SAME_MASK.values()))
    assert not table["error"].any()
    assert_same(cells, dict.fromkeys(table["CellId"], cells["c0"]))
    marks = table[["n_mask_labels", "mask_stray_voxels"]].set_axis(list(SAME_MASK))
    assert marks["n_mask_labels"].tolist() == [1] * 7 + [2, 2, 1]
    assert marks["mask_stray_voxels"].tolist() == [0] * 9 + [1]
    assert "2 of 10 cells have a mask with several labels" in caplog.text
    assert "1 of 10 cells have stray voxels in the mask" in caplog.text


def test_the_column_of_labels_decides(tmp_path):
    both = 7 * OWN.astype(np.uint8) + 9 * NEIGHBOUR.astype(np.uint8)
    table, _ = run(tmp_path, crops(tmp_path, [both] * 4, [7, 9, None, 3]))
    own, other, central, wrong = table.to_dict("records")
    assert own["n_voxels"] == central["n_voxels"] != other["n_voxels"]
    assert other["success"]
    assert "its mask has no label 3 (found 7, 9). Correct the column mask_label" in wrong["error"]


def test_published_masks_count_every_value_above_0(tmp_path):
    both = strayed(7 * OWN.astype(np.uint8) + 9 * NEIGHBOUR.astype(np.uint8))
    source = crops(tmp_path, [both])
    row = pd.read_csv(tmp_path / "cells.csv").to_dict("records")[0]
    config = dataset(source) | {"mask": {"role": "nucleus_mask", "reference": True}}
    _, _, kept = read_crops(row, tmp_path, config, 0.4)
    expected = images.resample_isotropic((both > 0).view(np.uint8), SPACING, 0.4, order=0)
    np.testing.assert_array_equal(kept, expected)


def test_a_structure_that_is_inverted_or_in_steps_fails_its_cell(tmp_path):
    for structure, reason in ((~OWN, "seems inverted"), (np.round(255 * SOFT), "rises in steps")):
        source = crops(tmp_path, [OWN])
        tifffile.imwrite(tmp_path / "counts.tif", structure.astype(np.uint8))
        row = pd.read_csv(tmp_path / "cells.csv").to_dict("records")[0]
        with pytest.raises(InputError, match=reason):
            read_crops(row, tmp_path, dataset(source) | {"kind": "polymorphic"}, 0.4)


def test_a_stack_of_probabilities_is_refused(tmp_path):
    soft = np.round(255 * SOFT).astype(np.uint8)
    np.savez_compressed(tmp_path / "shapes.npz", volumes=np.stack([255 * OWN.astype(np.uint8), soft]))
    with pytest.raises(InputError, match=r"shapes.npz: volume 1: .* rises in steps .*Threshold"):
        stack.read_volumes(tmp_path / "shapes.npz")


WRONG_MASK = {
    "probabilities of 8 bits": (
        np.round(255 * SOFT).astype(np.uint8),
        "rises in steps over .* values.*Threshold",
    ),
    "intensities": (one_cell(1)[0], "rises in steps|inverted"),
    "inverted": ((~OWN).astype(np.uint8), "the mask has all corners of the crop.*seems inverted.*Give"),
    "whole box": (np.ones(SHAPE, np.uint8), "the mask is the whole crop: it outlines no cell. Segment it"),
    "empty": (np.zeros(SHAPE, np.uint8), "'nuclei' is zero everywhere. Remove the cell"),
}


@pytest.mark.parametrize(("volume", "reason"), WRONG_MASK.values(), ids=WRONG_MASK)
def test_a_mask_that_outlines_no_cell_fails_it(volume, reason, tmp_path):
    table, _ = run(tmp_path, crops(tmp_path, [volume]))
    assert re.search(reason, table["error"].iloc[0]), table["error"].iloc[0]


def test_two_cells_with_the_same_files_are_told(tmp_path, caplog):
    source = crops(tmp_path, [OWN, OWN])
    run(tmp_path / "different", source)
    assert "name the same images" not in caplog.text
    table = pd.read_csv(tmp_path / "cells.csv").assign(crop_seg="mask0.tif")
    table.to_csv(tmp_path / "cells.csv", index=False)
    run(tmp_path / "same", source)
    assert "2 rows name the same images as another row, first CellId c0 and c1" in caplog.text
