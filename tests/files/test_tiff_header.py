"""Headers of TIFFs read from their first kilobytes say what the reader of whole files says."""

from __future__ import annotations

import io
from uuid import UUID

import numpy as np
import pytest
import tifffile

from morphobench.errors import InputError
from morphobench.fabricate import ome
from morphobench.files import images, tiff_header
from morphobench.remote.ranged import RangedFile

N_CHANNELS = 3


@pytest.fixture(params=["ours", "published", "plain"])
def path(request, tmp_path):
    rng, path = np.random.default_rng(1), tmp_path / "a.ome.tif"
    volumes = list(rng.integers(0, 1000, (N_CHANNELS, 30, 90, 120)).astype(np.uint16))
    if request.param == "ours":
        images.write_crop(path, dict(zip("abc", volumes, strict=True)), (0.3, 0.1, 0.1))
    elif request.param == "published":
        ome.write(path, volumes, UUID(int=1))
    else:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, volumes[0])
    return path


def read(path, first_bytes):
    body = path.read_bytes()
    return tiff_header.read(
        io.BufferedReader(RangedFile("a", lambda i, n: (body[i : i + n], len(body)), first_bytes)), "a"
    )


def test_a_header_says_what_the_whole_file_says(path):
    tiff, whole = read(path, 10**7), images.read_header(path)
    sizes = dict(zip(tiff.axes, tiff.shape, strict=True))
    with tifffile.TiffFile(path) as file:
        assert sizes == dict(zip(file.series[0].axes, file.series[0].shape, strict=True))
        assert tiff.dtype == str(file.series[0].dtype)
    assert len(tiff.header.channel_names) == len(whole.channel_names) == sizes.get("C", 1)
    if whole.spacing_um_zyx:
        assert tiff.header == whole._replace(channel_names=list(whole.channel_names))
    assert tiff.header.spacing_um_zyx == whole.spacing_um_zyx


def test_the_header_of_an_ome_tiff_takes_few_bytes(path):
    if path.suffixes[0] == ".ome":
        assert path.stat().st_size > 500_000
        read(path, 140_000)


@pytest.mark.parametrize("body", [b"", b"II*\0", b"no picture at all", b"<html>"])
def test_what_is_no_tiff_is_told_with_its_name(body, tmp_path):
    with pytest.raises(InputError, match=r"here/a\.tif: not readable as a TIFF.*truncated, or another file"):
        tiff_header.read(io.BytesIO(body), "here/a.tif")
