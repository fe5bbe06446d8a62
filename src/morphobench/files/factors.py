"""Scale factors of a published .npz file; its pickled arrays are read without running their contents."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files import FilePath, npz

# Ids and factors of two million cells.
_MAX_BYTES = 2**27
_NUMBERS = {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} - {"f1"}


def read_factors(path: FilePath) -> dict[str, float]:
    """Read scale factors, grid voxels per source voxel, by CellId as text.

    The file has arrays `keys` and `values`: of numbers or text, or of Python objects (pickled), as published.

    Raises
    ------
    InputError
        When the file is missing, unreadable, pickles anything but numbers and text, or holds no two lists of
        the same length of different cells and positive factors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Point scale_factor.file at the scale factors.")
    try:
        npz.check_sizes(path, _MAX_BYTES)
        with zipfile.ZipFile(path) as archive:
            keys, values = (_read_list(archive.read(f"{name}.npy")) for name in ("keys", "values"))
    except InputError:
        raise
    # Whatever a broken or hostile byte leads the parsers to.
    except Exception as error:
        reason = f"not readable as scale factors ({error!r})"
        raise InputError(f"{path}: {reason}. Write plain arrays `keys` and `values`.") from error
    try:
        if strange := [key for key in keys if not isinstance(key, str | int | float)]:
            raise TypeError(f"a key is a {type(strange[0]).__name__}")
        cells = [int(key) if isinstance(key, float) and key.is_integer() else key for key in keys]
        factors = {str(cell): float(value) for cell, value in zip(cells, values, strict=True)}
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: `keys` and `values` do not pair up ({error}). Write it again.") from error
    if len(factors) < len(keys) or not all(0 < factor < np.inf for factor in factors.values()):
        raise InputError(f"{path}: a cell occurs twice, or a factor is not positive. Correct the file.")
    return factors


def _read_list(data: bytes) -> list[Any]:
    """Return the numbers or texts of an .npy file."""
    stream = io.BytesIO(data)
    _, dtype = npz.read_header(stream)
    if dtype.hasobject:
        loaded = _Numbers(stream).load()
        return loaded.items if isinstance(loaded, _Array) else loaded
    return np.load(io.BytesIO(data), allow_pickle=False).ravel().tolist()


class _Dtype:
    """Stand-in for numpy.dtype, whose pickled state could make it take any bytes for pointers."""

    order = "<"

    def __init__(self, typecode: str, *_: object) -> None:
        self.typecode = typecode.lstrip("<>|=")
        if self.typecode not in _NUMBERS | {"O8", "O"}:
            raise pickle.UnpicklingError(f"numbers of type {typecode!r}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def numbers(self, data: bytes) -> list[float]:
        """Decode bytes as numbers of this type."""
        if self.typecode.startswith("O"):
            raise pickle.UnpicklingError("objects as bytes")
        return np.frombuffer(data, dtype=self.order + self.typecode).tolist()


class _Array:
    """Stand-in for numpy.ndarray: a list of its items."""

    def __init__(self, *_: object) -> None:
        self.items: list[Any] = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, _, dtype, _, items = state
        self.items = items if isinstance(items, list) else dtype.numbers(items)


def _scalar(dtype: _Dtype, data: bytes) -> float:
    (number,) = dtype.numbers(data)
    return number


class _Numbers(pickle._Unpickler):
    """Unpickles numbers, texts, lists of them and numpy's arrays and scalars; nothing else is looked up."""

    # Not the faster one in C: it makes room for as many remembered objects as the file claims.

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a numpy name; refuse every other."""
        allowed = {"numpy.ndarray": _Array, "numpy.dtype": _Dtype}
        for place in ("numpy.core.multiarray", "numpy._core.multiarray"):
            allowed |= {f"{place}._reconstruct": _Array, f"{place}.scalar": _scalar}
        if f"{module}.{name}" not in allowed:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}")
        return allowed[f"{module}.{name}"]
