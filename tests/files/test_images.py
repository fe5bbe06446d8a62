from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import tifffile
from fabricate.cells import ellipsoid_mask, write_ome

from morphobench.errors import InputError
from morphobench.files import headers, images
from morphobench.files.image_library import library

SPACING = (0.29, 0.26, 0.26)


def channels(seed=0, names=("dna", "membrane", "structure")):
    rng = np.random.default_rng(seed)
    return {name: rng.integers(1, 900, (6, 8, 10)).astype(np.uint16) for name in names}


@pytest.mark.parametrize("order", [("dna", "membrane", "structure"), ("structure", "dna", "membrane")])
def test_channels_are_found_by_name_whatever_their_order(order, tmp_path):
    volumes = channels()
    path = write_ome(tmp_path / "ein_Bild_für_Zoë.ome.tif", {name: volumes[name] for name in order}, SPACING)
    read, spacing_um = images.read_channels(path, ["structure", "dna"])
    assert list(read) == ["structure", "dna"]
    assert spacing_um == SPACING
    for name, volume_zyx in read.items():
        np.testing.assert_array_equal(volume_zyx, volumes[name])
        assert volume_zyx.dtype == np.uint16


def test_given_names_and_spacing_take_the_place_of_those_in_the_file(tmp_path):
    volumes = channels()
    path = write_ome(tmp_path / "a.ome.tif", volumes, SPACING)
    read, spacing_um = images.read_channels(
        path, ["b"], channel_names=["a", "b", "c"], spacing_um_zyx=(1, 2, 3)
    )
    np.testing.assert_array_equal(read["b"], volumes["membrane"])
    assert spacing_um == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("form", ["ome", "imagej"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_are_found_whatever_axis_comes_first(form, compression, tmp_path):
    volumes = channels()
    path = tmp_path / ("a.ome.tif" if form == "ome" else "a.tif")
    data_zcyx = np.stack(list(volumes.values()), axis=1)
    how = {"imagej": True} if form == "imagej" else {}
    tifffile.imwrite(path, data_zcyx, metadata={"axes": "ZCYX"}, compression=compression, **how)
    read, _ = images.read_channels(path, ["c"], channel_names=["a", "b", "c"], spacing_um_zyx=SPACING)
    np.testing.assert_array_equal(read["c"], volumes["structure"])
    np.testing.assert_array_equal(read["c"], library().Image(path).get_image_data("ZYX", C=2))


def test_a_plain_tiff_of_planes_is_read_when_its_spacing_is_given(tmp_path):
    volume_zyx = channels()["dna"]
    tifffile.imwrite(tmp_path / "plain.tif", volume_zyx)
    with pytest.raises(InputError, match=r"size of a voxel.*Set spacing_um_zyx"):
        images.read_channels(tmp_path / "plain.tif", ["dna"], channel_names=["dna"])
    read, _ = images.read_channels(
        tmp_path / "plain.tif", ["dna"], channel_names=["dna"], spacing_um_zyx=SPACING
    )
    np.testing.assert_array_equal(read["dna"], volume_zyx)


def test_written_crops_come_back_with_names_and_sizes_and_the_same_bytes(tmp_path):
    volumes = channels()
    for name in ("1.ome.tif", "2.ome.tif"):
        images.write_crop(tmp_path / name, volumes, SPACING)
    assert (tmp_path / "1.ome.tif").read_bytes() == (tmp_path / "2.ome.tif").read_bytes()
    image = library().Image(tmp_path / "1.ome.tif")
    assert image.channel_names == list(volumes)
    assert tuple(image.physical_pixel_sizes) == SPACING
    np.testing.assert_array_equal(image.get_image_data("CZYX", T=0), np.stack(list(volumes.values())))
    with tifffile.TiffFile(tmp_path / "1.ome.tif") as tiff:
        assert tiff.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_masks_are_written_as_0_and_1(tmp_path):
    mask = ellipsoid_mask((6, 8, 10), (2, 3, 4))
    images.write_crop(tmp_path / "m.ome.tif", {"mask": mask}, SPACING)
    read, _ = images.read_channels(tmp_path / "m.ome.tif", ["mask"])
    assert read["mask"].dtype == np.uint8
    np.testing.assert_array_equal(read["mask"], mask)


def cut_short(share):
    def make(path):
        data = write_ome(path, channels()).read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return make


def cut_between_planes(path):
    """Every plane that is left is whole, so that nothing but their number gives the loss away."""
    write_ome(path, channels())
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[9].offset
    path.write_bytes(path.read_bytes()[:offset])


def with_nan(path):
    volumes = {name: volume.astype(np.float32) for name, volume in channels().items()}
    volumes["dna"][0, 0, 0] = np.nan
    write_ome(path, volumes)


def in_nanometres(path):
    write_ome(path, channels())
    text = tifffile.tiffcomment(path)
    tifffile.tiffcomment(
        path, text.replace("PhysicalSizeX=", 'PhysicalSizeXUnit="nm" PhysicalSizeX=').encode()
    )


def save(shape, order, n_scenes=1):
    def make(path):
        volumes = [np.ones(shape, np.uint8)] * n_scenes
        library().OmeTiffWriter.save(volumes, path, dim_order=[order] * n_scenes)

    return make


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_text("hello"), "not readable as an image"),
        (lambda path: path.write_bytes(b""), "not readable as an image"),
        (cut_short(0.02), "truncated"),
        (cut_short(0.1), "truncated"),
        (cut_short(0.5), "truncated"),
        (cut_between_planes, "9 of 18 planes are missing; the file is truncated"),
        (with_nan, "'dna' has values that are not finite"),
        (lambda path: write_ome(path, {"dna": np.zeros((6, 8, 10), np.uint16)}), "'dna' is zero everywhere"),
        (lambda path: write_ome(path, channels(names="ab")), "'dna' occurs 0 times among a, b"),
        (save((2, 3, 4, 5, 6), "TCZYX"), "2 time points"),
        (save((3, 4, 5, 6), "CZYX", 2), "2 scenes"),
        (lambda path: tifffile.imwrite(path, np.ones((9, 9), np.uint8)), "1 planes"),
        (in_nanometres, "voxel sizes are in nm"),
    ],
)
def test_each_bad_image_names_the_file_and_the_reason(make, reason, tmp_path):
    path = tmp_path / "a.ome.tif"
    make(path)
    with pytest.raises(InputError, match=reason) as caught:
        images.read_channels(path, ["dna"])
    assert str(path) in str(caught.value)


def test_a_wrong_number_of_names_is_an_error(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", channels())
    with pytest.raises(InputError, match="holds 3 channels, but 2 names are given"):
        images.read_channels(path, ["a"], channel_names=["a", "b"])


def test_reading_is_silent_and_other_warnings_are_not(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", channels())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images.read_channels(path, ["dna"])
        with pytest.raises(DeprecationWarning):
            warnings.warn("of another place", DeprecationWarning, stacklevel=1)


def test_align_can_be_imported_without_the_reader():
    code = "import sys, morphobench.align, morphobench.files.images; "
    code += "sys.exit(bool({'aicsimageio', 'bioio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_dict_is_read_and_never_run(tmp_path):
    text = "{'crop_raw': ['dna', 'structure'], 'crop_seg': ['dna_segmentation']}"
    assert headers.parse_name_dict(text)["crop_raw"] == ["dna", "structure"]
    assert headers.parse_name_dict("{'crop_seg': ('a', 'b')}") == {"crop_seg": ["a", "b"]}
    for bad in (
        "",
        "{'crop_raw': 'dna'}",
        "{'crop': ['dna']}",
        "['dna']",
        f"open({str(tmp_path / 'x')!r}, 'w')",
        "(" * 999,
    ):
        with pytest.raises(InputError, match="name_dict"):
            headers.parse_name_dict(bad)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("order", [0, 1])
def test_volumes_that_are_isotropic_already_are_not_touched(order):
    volume_zyx = channels()["dna"]
    assert images.resample_isotropic(volume_zyx, (0.108, 0.10805, 0.108), 0.108, order=order) is volume_zyx


@pytest.mark.parametrize("spacing_um", [0.1, 0.26, 0.4])
def test_resampling_keeps_extents_volume_and_centre(spacing_um):
    mask = ellipsoid_mask((40, 60, 80), (15, 22, 33), 20)
    cubic = images.resample_isotropic(mask.astype(np.uint8), SPACING, spacing_um, order=0)
    assert np.abs(np.array(cubic.shape) * spacing_um - np.array(mask.shape) * SPACING).max() <= spacing_um / 2
    assert cubic.sum() * spacing_um**3 == pytest.approx(mask.sum() * np.prod(SPACING), rel=0.01)
    center_um = (np.argwhere(cubic) + 0.5).mean(0) * spacing_um
    np.testing.assert_allclose(center_um, (np.argwhere(mask) + 0.5).mean(0) * SPACING, atol=0.1 * spacing_um)


@pytest.mark.parametrize("spacing_um", [0.1, 0.4])
def test_a_linear_ramp_stays_where_it_is(spacing_um):
    """Values that equal the voxel centre's position must equal it after resampling too."""
    z_um, y_um, x_um = ((np.arange(n) + 0.5) * edge for n, edge in zip((30, 40, 50), SPACING, strict=True))
    ramp = (z_um[:, None, None] + 2 * y_um[:, None] + 3 * x_um).astype(np.float32)
    cubic = images.resample_isotropic(ramp, SPACING, spacing_um, order=1)
    assert cubic.dtype == np.float32
    z_um, y_um, x_um = ((np.arange(n) + 0.5) * spacing_um for n in cubic.shape)
    expected = z_um[:, None, None] + 2 * y_um[:, None] + 3 * x_um
    inner = (slice(6, -6),) * 3
    np.testing.assert_allclose(cubic[inner], expected[inner], atol=2e-3)


def test_labels_stay_labels():
    labels = np.random.default_rng(0).choice([0, 3, 17], (10, 12, 14)).astype(np.uint16)
    cubic = images.resample_isotropic(labels, SPACING, 0.1, order=0)
    assert cubic.dtype == np.uint16
    assert set(np.unique(cubic)) == {0, 3, 17}


def test_a_voxel_size_in_another_unit_does_not_eat_the_memory():
    with pytest.raises(InputError, match="micrometres"):
        images.resample_isotropic(channels()["dna"], (290, 260, 260), 0.1, order=0)


# As crops of the published data were written: big-endian, the OME schema of 2013, no size, no true names.
OME_2013 = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2013-06"><Image ID="Image:0" Name="IMAGE0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="10" SizeY="8" SizeC="{n}" SizeZ="6" '
    'SizeT="1" BigEndian="true">{channels}<TiffData/></Pixels></Image></OME>'
)


def write_as_published(path, volumes):
    data_tzcyx = np.stack(list(volumes.values()), axis=1)[None]
    channels = "".join(
        f'<Channel ID="Channel:0:{n}" Name="C:{n}" SamplesPerPixel="1"/>' for n in range(len(volumes))
    )
    described = OME_2013.format(n=len(volumes), channels=channels)
    pages = data_tzcyx.reshape(-1, *data_tzcyx.shape[-2:])
    tifffile.imwrite(path, pages, byteorder=">", description=described, metadata=None)
    return path


def test_crops_as_they_were_published_are_read_with_names_and_sizes_from_elsewhere(tmp_path):
    volumes = channels()
    path = write_as_published(tmp_path / "a.ome.tif", volumes)
    header = images.read_header(path)
    assert (list(header.channel_names), header.spacing_um_zyx) == (["C:0", "C:1", "C:2"], None)
    stated = headers.Stated(list(volumes), scale_um_zyx=SPACING)
    read, spacing_um = images.read_stated(path, ["structure", "dna"], stated)
    assert spacing_um == SPACING
    for name, volume_zyx in read.items():
        np.testing.assert_array_equal(volume_zyx, volumes[name])
    with pytest.raises(InputError, match=r"a.ome.tif: its 3 channels have no names"):
        images.read_channels(path, ["dna"], spacing_um_zyx=SPACING)
    with pytest.raises(InputError, match=r"a.ome.tif: the size of a voxel"):
        images.read_channels(path, ["dna"], channel_names=list(volumes))


def test_the_only_channel_of_a_crop_is_read_whatever_it_is_called(tmp_path):
    volumes = {"dna": channels()["dna"]}
    path = write_as_published(tmp_path / "a.ome.tiff", volumes)
    read, _ = images.read_channels(path, ["NPM1_segmentation"], spacing_um_zyx=SPACING)
    np.testing.assert_array_equal(read["NPM1_segmentation"], volumes["dna"])
    with pytest.raises(InputError, match="has one channel, not a, b"):
        images.read_channels(path, ["a", "b"], spacing_um_zyx=SPACING)
