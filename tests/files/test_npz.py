"""Arrays from elsewhere run nothing and cannot fill the memory."""

from __future__ import annotations

import ast
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from paths import ROOT

from morphobench.download import stack
from morphobench.errors import InputError
from morphobench.files import factors, npz

SRC = ROOT / "src"


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def header(shape, descr="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(path, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in entries.items():
            out.writestr(f"{name}.npy", data)
    return path


def pickled(path, mark):
    path.write_bytes(pickle.dumps(Bomb(mark)))


def pickled_array(path, mark):
    np.save(path.with_suffix(".npy"), np.array([Bomb(mark)], object), allow_pickle=True)
    path.with_suffix(".npy").rename(path)


def pickled_entries(path, mark):
    np.savez(path, keys=np.array([Bomb(mark)], object), values=np.array([1.0]))


def pickled_as_volumes(path, mark):
    np.savez(path, volumes=np.array([Bomb(mark)], object))


@pytest.mark.parametrize("write", [pickled, pickled_array, pickled_entries, pickled_as_volumes])
@pytest.mark.parametrize("read", [factors.read_factors, stack.read_volumes])
def test_a_pickle_dressed_as_arrays_is_refused_and_does_not_run(write, read, tmp_path):
    path, mark = tmp_path / "scale_factor.npz", tmp_path / "ran"
    write(path, mark)
    with pytest.raises(InputError, match=r"scale_factor\.npz: (not readable|found none)"):
        read(path)
    assert not mark.exists()
    # The same bytes do run where they are trusted: this bomb is a live one.
    if write is pickled:
        pickle.loads(path.read_bytes())
        assert mark.exists()


def test_no_code_loads_arrays_or_pickles_that_could_run_something():
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name = ast.unparse(node.func)
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert name not in ("pickle.load", "pickle.loads", "pd.read_pickle", "np.fromfile"), path
            assert name != "np.load" or keywords.get("allow_pickle") == "False", path
            assert keywords.get("allow_pickle") != "True", path


@pytest.mark.parametrize("read", [factors.read_factors, stack.read_volumes])
def test_a_header_that_claims_more_than_there_is_is_refused(read, tmp_path):
    path = archive(tmp_path / "a.npz", keys=header((10**12,)) + bytes(80), values=header((1,)) + bytes(8))
    with pytest.raises(InputError, match="array keys.npy claims 8e\\+03 GB"):
        read(path)


def test_a_few_kilobytes_that_unpack_to_much_are_refused_unread(tmp_path, monkeypatch):
    zeros = header((2**25,)) + bytes(2**28)
    path = archive(tmp_path / "a.npz", keys=zeros, values=header((1,)) + bytes(8))
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    with pytest.raises(InputError, match="would unpack to 0.268 GB, more than the 0.134 GB"):
        factors.read_factors(path)
    with pytest.raises(InputError, match="would unpack to"):
        npz.check_sizes(path, 2**27)


def test_a_stack_larger_than_the_free_memory_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(path := tmp_path / "a.npz", volumes=np.zeros((4, 32, 32, 32), bool))
    assert stack.read_volumes(path).shape == (4, 32, 32, 32)
    free = npz.psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(npz.psutil, "virtual_memory", lambda: free)
    with pytest.raises(InputError, match="would unpack to"):
        stack.read_volumes(path)


def test_a_directory_that_lies_unpacks_no_more_than_it_says(tmp_path):
    """An entry that says it is small yields no more bytes than it says."""
    path = archive(tmp_path / "a.npz", keys=header((2**20,)) + bytes(2**23), values=header((1,)) + bytes(8))
    true, told = len(header((2**20,))) + 2**23, 200
    data = path.read_bytes().replace(true.to_bytes(4, "little"), told.to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(InputError, match="claims 0.00839 GB and holds 2e-07|Bad CRC-32"):
        factors.read_factors(path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", header((3,)) + bytes(24)])
def test_what_is_no_archive_is_no_crash(data, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises((zipfile.BadZipFile, ValueError)):
        npz.check_sizes(path)
    for read in (factors.read_factors, stack.read_volumes):
        with pytest.raises(InputError, match="not readable|found none"):
            read(path)
