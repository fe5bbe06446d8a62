"""Volumes in HDF5 files: axes and voxel sizes as their programs write them; what is no volume is named."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from morphobench.errors import InputError
from morphobench.files import hdf_images, images

VOLUME = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
EDGES = {"element_size_um": [0.5, 0.25, 0.25]}


def write(path, attributes=None, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
            file[name].attrs.update(attributes or {})
    return path


def tags(axes):
    return {**EDGES, "axistags": json.dumps({"axes": [{"key": axis} for axis in axes]})}


@pytest.mark.parametrize(
    ("values", "attributes"),
    [
        (VOLUME, EDGES),
        (VOLUME.transpose(1, 2, 3, 0), tags("zyxc")),
        (VOLUME[None], tags("tczyx")),
        (VOLUME.transpose(0, 3, 2, 1), tags("cxyz")),
    ],
)
def test_channels_are_read_along_z_y_x_whatever_the_order_of_axes(tmp_path, values, attributes):
    place = write(tmp_path / "a.h5", attributes, raw=values) / "raw"
    channels, spacing_um_zyx = images.read_channels(place, ["one", "two"], channel_names=["one", "two"])
    np.testing.assert_array_equal(np.stack([channels["one"], channels["two"]]), VOLUME)
    assert spacing_um_zyx == (0.5, 0.25, 0.25)


def test_an_array_without_edges_has_those_of_another(tmp_path):
    path = write(tmp_path / "a.hdf5", label=VOLUME[0], **{"volumes/raw": VOLUME[0]})
    assert images.read_header(path / "label").spacing_um_zyx is None
    with h5py.File(path, "a") as file:
        file["volumes/raw"].attrs.update(EDGES)
    assert images.read_header(path / "label").spacing_um_zyx == (0.5, 0.25, 0.25)
    assert hdf_images.arrays_of(path) == [path / "label", path / "volumes/raw"]


def test_tables_lines_and_text_are_no_volumes(tmp_path):
    table = np.zeros(3, [("x", float)])
    path = write(tmp_path / "a.h5", line=np.arange(9), locs=table, text="words")
    assert hdf_images.arrays_of(path) == []
    (tmp_path / "b.h5").write_bytes(b"no HDF5")
    assert hdf_images.arrays_of(tmp_path / "b.h5") == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mask", r"a\.h5/mask: no such array\. The file has .*/raw"),
        ("elsewhere", r"a\.h5/elsewhere: its values lie in other files"),
        ("flat", r"axes of shape \(4, 5\) are unknown"),
        ("odd", "axes zyxq of an array"),
    ],
)
def test_what_is_no_volume_of_the_file_is_named(tmp_path, name, words):
    other = write(tmp_path / "other.h5", raw=VOLUME[0])
    path = write(tmp_path / "a.h5", EDGES, raw=VOLUME[0], flat=VOLUME[0, 0], odd=VOLUME)
    with h5py.File(path, "a") as file:
        file["elsewhere"] = h5py.ExternalLink(str(other), "raw")
        file["odd"].attrs.update(tags("zyxq"))
    with pytest.raises(InputError, match=words):
        images.read_header(path / name)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "b.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"b\.h5/raw: not readable"):
        images.read_header(tmp_path / "b.h5/raw")
    with pytest.raises(InputError, match=r"c\.h5/raw: no such file"):
        images.read_header(tmp_path / "c.h5/raw")
