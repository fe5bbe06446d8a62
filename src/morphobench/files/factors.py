"""Scale factors of a published .npz file; its pickled arrays are read without running their contents."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from morphobench.errors import InputError
from morphobench.files import npz

_NAMES = ("keys", "values")
# Ids and factors of two million cells.
_MAX_BYTES = 2**27
_NUMBERS = {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} - {"f1"}


def read_factors(path: str | Path) -> dict[str, float]:
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
            keys, values = (_read_list(archive.read(f"{name}.npy")) for name in _NAMES)
    except InputError:
        raise
    # Whatever a broken or hostile byte leads the parsers to.
    except Exception as error:
        raise InputError(
            f"{path}: not readable as scale factors ({type(error).__name__}: {error}). It needs arrays "
            "`keys` and `values` of numbers; nothing else is unpickled. Write it again with plain arrays."
        ) from error
    try:
        factors = {_cell(key): float(value) for key, value in zip(keys, values, strict=True)}
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: `keys` and `values` do not pair up ({error}). Write it again.") from error
    if len(factors) < len(keys) or not all(0 < factor < np.inf for factor in factors.values()):
        raise InputError(f"{path}: a cell occurs twice, or a factor is not positive. Correct the file.")
    return factors


def _cell(key: object) -> str:
    return str(int(key)) if isinstance(key, float) and key.is_integer() else str(key)


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

    def __init__(self, typecode: str, *_: object) -> None:
        if typecode.lstrip("<>|=") not in _NUMBERS | {"O8", "O"}:
            raise pickle.UnpicklingError(f"numbers of type {typecode!r}")
        self.typecode = typecode.lstrip("<>|=")
        self.order = "<"

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


class _Numbers(pickle.Unpickler):
    """Unpickles numbers, texts, lists of them and numpy's arrays and scalars; nothing else is looked up."""

    _ALLOWED = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("multiarray", "_reconstruct"): _Array,
    }

    def _scalar(self, dtype: _Dtype, data: bytes) -> float:
        (number,) = dtype.numbers(data)
        return number

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a numpy name; refuse every other."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            module = "multiarray"
        if (module, name) == ("multiarray", "scalar"):
            return self._scalar
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}")
        return self._ALLOWED[module, name]
