from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from morphobench.errors import InputError
from morphobench.files import factors


def save(path, keys, values):
    np.savez(path, keys=keys, values=values)
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_every_pickle_protocol_of_plain_lists_is_read(tmp_path, protocol):
    path = with_pickles(tmp_path / "f.npz", *(pickle.dumps(one, protocol) for one in ([1, 2], [0.5, 0.25])))
    assert factors.read_factors(path) == {"1": 0.5, "2": 0.25}


def with_pickles(path, keys, values=None):
    header = np.lib.format.header_data_from_array_1_0(np.array([1, 2], object))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (("keys", keys), ("values", values or keys)):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, header)
                member.write(data)
    return path


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("function", ["open", "touch", "eval", "load"])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, nested, function):
    mark = tmp_path / "ran"
    hostile = {
        "open": Hostile(open, str(mark), "w"),
        "touch": Hostile(Path.touch, mark),
        "eval": Hostile(eval, f"open({str(mark)!r}, 'w')"),
        "load": Hostile(np.load, str(mark)),
    }[function]
    held = np.array([hostile, 1], dtype=object) if nested else hostile
    path = with_pickles(tmp_path / "factors.npz", pickle.dumps(held))
    with pytest.raises(InputError, match=r"factors.npz: not readable as scale factors.*refused to load"):
        factors.read_factors(path)
    assert not mark.exists()


def test_bytes_are_never_taken_for_objects(tmp_path):
    objects = Hostile(np.core.multiarray.scalar, np.dtype(object), b"\0" * 8)
    records = np.zeros(2, [("a", object)])
    for number, held in enumerate((objects, records, np.array([np.dtype("V8")], object))):
        path = with_pickles(tmp_path / f"{number}.npz", pickle.dumps(held, 4))
        with pytest.raises(InputError, match="not readable as scale factors"):
            factors.read_factors(path)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"PK\3\4 no archive"), "not readable"),
        (lambda path: np.savez(path, keys=np.arange(3)), "values.npy"),
        (lambda path: save(path, np.arange(3), np.ones(2)), "do not pair up"),
        (lambda path: save(path, np.array([1, 1]), np.ones(2)), "occurs twice"),
        (lambda path: save(path, np.array([1, 2]), np.array([1, 0])), "not positive"),
        (lambda path: save(path, np.array([1, 2]), np.array([1, np.nan])), "not positive"),
        (lambda path: save(path, np.array([1, 2]), np.array(["a", "b"])), "do not pair up"),
    ],
)
def test_a_wrong_file_of_factors_says_what_is_wrong(tmp_path, write, reason):
    path = tmp_path / "factors.npz"
    write(path)
    with pytest.raises(InputError, match=reason):
        factors.read_factors(path)
