"""Where names of channels and sizes of voxels are taken from, in which order, and what contradicts them."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from morphobench.errors import InputError
from morphobench.files import headers
from morphobench.files.headers import Header, Stated, describe

NOTHING = Header(["C:0", "C:1"], None)
HIPSC = {
    "name_dict": "{'crop_raw': ['dna', 'membrane', 'structure'], 'crop_seg': ['dna_segmentation', 'cell']}",
    "scale_micron": "[0.108333, 0.108333, 0.108333]",
}


@pytest.fixture(autouse=True)
def warn_again():
    """What was warned of once is warned of again in the next test."""
    headers.warn_once.cache_clear()


def origin(source=None, row=None, file=None):
    known = headers.stated(row or {}, source or {}, "crop_seg")
    return describe(NOTHING._replace(spacing_um_zyx=file), known)


def test_configuration_comes_before_file_and_file_before_row():
    row, file, source = {"scale_micron": "[1, 1, 1]"}, (1.0, 1.0, 1.0), {"spacing_um_zyx": [1, 1, 1]}
    assert origin(source, row, file).spacing_from == "source.spacing_um_zyx"
    assert origin(None, row, file).spacing_from == "the file"
    assert origin(None, row).spacing_from == "scale_micron"
    with pytest.raises(InputError, match=r"stands neither .* Set spacing_um_zyx"):
        origin()


def test_edges_in_a_row_are_along_x_y_z_and_here_along_z_y_x():
    assert origin(row={"scale_micron": "[0.1, 0.2, 0.3]"}).spacing_um_zyx == (0.3, 0.2, 0.1)
    assert origin(row={"scale_micron": "(0.1, 0.2, 0.3)"}).spacing_um_zyx == (0.3, 0.2, 0.1)
    assert origin(row={"scale_micron": np.array([0.1, 0.2, 0.3])}).spacing_um_zyx == (0.3, 0.2, 0.1)


@pytest.mark.parametrize(
    "text", ["0.1", "[1, 2]", "[1, 2, 'x']", "[0, 1, 1]", "[1, 1, nan]", "open('x')", "[" * 999]
)
def test_a_size_that_is_none_is_refused_where_it_is_needed(text):
    with pytest.raises(InputError, match="scale_micron"):
        origin(row={"scale_micron": text})
    assert origin({"spacing_um_zyx": [3, 2, 1]}, {"scale_micron": text}).spacing_um_zyx == (3, 2, 1)


@pytest.mark.parametrize("scale", [None, float("nan"), ""])
def test_a_row_may_have_no_size(scale):
    assert origin(row={"scale_micron": scale}, file=(3.0, 2.0, 1.0)).spacing_um_zyx == (3, 2, 1)


def test_sizes_that_contradict_are_warned_of_once_with_both(caplog):
    for _ in range(3):
        found = origin({"spacing_um_zyx": [0.29, 0.108, 0.108]}, file=(0.29, 0.108, 0.11))
    assert found.spacing_um_zyx == (0.29, 0.108, 0.108)
    (record,) = caplog.records
    assert "0.29 x 0.108 x 0.108 um in source.spacing_um_zyx" in record.message
    assert "0.29 x 0.108 x 0.11 um in the file" in record.message


def test_sizes_within_a_hundredth_do_not_contradict(caplog):
    origin({"spacing_um_zyx": [0.108] * 3}, HIPSC, (0.1085, 0.108, 0.108))
    assert not caplog.records


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, 1.0, float("inf")), (-1.0, 1.0, 1.0)])
def test_edges_that_cannot_be_name_their_origin(spacing):
    with pytest.raises(InputError, match="in the file"):
        origin(file=spacing)


def test_another_unit_than_micrometres_is_no_size():
    header = Header(["C:0"], None, "nm")
    with pytest.raises(InputError, match="voxel sizes are in nm"):
        describe(header, Stated())
    assert describe(header, Stated(scale_um_zyx=(1.0, 1.0, 1.0))).spacing_from == "scale_micron"


def test_names_are_taken_from_configuration_then_row_then_file():
    named = Header(["a", "b"], (1.0, 1.0, 1.0))
    assert describe(named, headers.stated({}, {}, "crop_seg")).channel_names == ["a", "b"]
    by_row = describe(named, headers.stated(HIPSC, {}, "crop_seg"))
    assert (by_row.channel_names, by_row.names_from) == (["dna_segmentation", "cell"], "name_dict")
    source = {"channel_names": {"crop_seg": ["x", "y"]}}
    by_source = describe(named, headers.stated(HIPSC, source, "crop_seg"))
    assert (by_source.channel_names, by_source.names_from) == (["x", "y"], "source.channel_names")
    # Only of the crops that are named.
    assert headers.stated(HIPSC, source, "crop_raw").channel_names == ["dna", "membrane", "structure"]


def test_configured_names_need_no_right_name_dict():
    source = {"channel_names": {"crop_seg": ["x", "y"]}}
    assert headers.stated({"name_dict": "{"}, source, "crop_seg").channel_names == ["x", "y"]
    with pytest.raises(InputError, match="is no dictionary"):
        headers.stated({"name_dict": "{"}, source, "crop_raw")


@pytest.mark.parametrize(
    "names", [["C:0", "C:1"], ["Channel:0:0", "Channel:0:1"], ["Channel 0", "Channel 1"], ["", None]]
)
def test_placeholders_are_no_names(names):
    described = describe(Header(names, (1.0, 1.0, 1.0)), Stated())
    assert (described.channel_names, described.names_from) == ([None, None], "nowhere")
    with pytest.raises(InputError, match=r"2 channels have no names.*source\.channel_names"):
        described.index_of("dna")


def test_names_that_begin_like_placeholders_are_names():
    described = describe(Header(["Channel of DNA", "C1q"], (1.0, 1.0, 1.0)), Stated())
    assert described.index_of("C1q") == 1


def test_the_only_channel_of_a_crop_needs_no_name():
    assert describe(Header(["C:0"], (1.0, 1.0, 1.0)), Stated()).index_of("anything") == 0
    with pytest.raises(InputError, match="'other' occurs 0 times among dna"):
        describe(Header(["dna"], (1.0, 1.0, 1.0)), Stated()).index_of("other")


def test_single_channels_can_be_named_by_their_number_whatever_their_total():
    for total in (2, 6):
        header = Header([f"C:{n}" for n in range(total)], (1.0, 1.0, 1.0))
        described = describe(header, Stated({"dna_segmentation": 0, "cell": 1}))
        assert [described.index_of(name) for name in ("dna_segmentation", "cell")] == [0, 1]
    with pytest.raises(InputError, match="channel 6 is 'far'"):
        describe(header, Stated({"far": 6}))


def test_crops_without_a_used_channel_are_not_used():
    both = {"crop_raw": "a", "crop_seg": "b"}
    assert headers.used_crops(both | HIPSC, {}, ["cell", "dna_segmentation"], both=False) == ["crop_seg"]
    assert headers.used_crops(both | HIPSC, {}, ["structure", "cell"], both=True) == ["crop_raw", "crop_seg"]
    source = {"channel_names": {"crop_seg": ["NPM1_segmentation"]}}
    assert headers.used_crops(both, source, ["NPM1_segmentation"], both=False) == ["crop_seg"]
    # Nothing tells: all that there is, or must be.
    assert headers.used_crops(both, {}, ["x"], both=False) == ["crop_raw", "crop_seg"]
    assert headers.used_crops({"crop_seg": "b"}, {}, ["x"], both=False) == ["crop_seg"]
    assert headers.used_crops({"crop_seg": "b"}, {}, ["x"], both=True) == ["crop_raw", "crop_seg"]
    assert headers.used_crops(both | {"name_dict": "["}, {}, ["x"], both=False) == ["crop_raw", "crop_seg"]


def test_volumes_of_voxels_are_those_of_each_row():
    table = pd.DataFrame({"scale_micron": ["[0.1, 0.1, 0.2]", "[1, 1, 1]", None, "broken"]})
    volumes = headers.voxel_volumes(table, {})
    np.testing.assert_allclose(volumes, [0.002, 1, np.nan, np.nan])
    assert headers.voxel_volumes(table, {"spacing_um_zyx": [2, 1, 1]}).tolist() == [2] * 4
    assert headers.voxel_volumes(table[[]], {}).isna().all()


def test_headers_need_neither_torch_nor_a_reader_of_images():
    code = "import sys, morphobench.files.headers, morphobench.files.columns, morphobench.config.needs;"
    code += "sys.exit(bool({'torch', 'aicsimageio', 'bioio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
