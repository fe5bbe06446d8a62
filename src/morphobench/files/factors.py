"""Scale factors of a published .npz file, whose pickled arrays are read without running what they hold."""

from __future__ import annotations

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
    """Read the scale factor of each cell.

    Parameters
    ----------
    path
        An .npz file with arrays `keys`, CellIds, and `values`, grid voxels per source voxel: of numbers or
        text, or of Python objects (pickled), as published.

    Returns
    -------
    dict
        Factors by CellId as text.

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
        raise InputError(f"{path}: a cell occurs twice, or a factor is not positive. Mend the file.")
    return factors


def _cell(key: object) -> str:
    return str(int(key)) if isinstance(key, float) and key.is_integer() else str(key)


def _read_list(data: bytes) -> list[Any]:
    """Return the numbers or texts of an .npy file."""
    stream = io.BytesIO(data)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(stream)]
    *_, dtype = read_header(stream)
    if dtype.hasobject:
        held = _Numbers(stream).load()
        return held.items if isinstance(held, _Array) else held
    return np.load(io.BytesIO(data), allow_pickle=False).ravel().tolist()


class _Dtype:
    """Stands in for numpy.dtype, whose pickled state could make it take any bytes for pointers."""

    def __init__(self, code: str, *_: object) -> None:
        if code.lstrip("<>|=") not in _NUMBERS | {"O8", "O"}:
            raise pickle.UnpicklingError(f"numbers of type {code!r}")
        self.code = code.lstrip("<>|=")
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def numbers(self, data: bytes) -> list[float]:
        """Return the numbers that some bytes hold."""
        if self.code.startswith("O"):
            raise pickle.UnpicklingError("objects as bytes")
        return np.frombuffer(data, dtype=self.order + self.code).tolist()


class _Array:
    """Stands in for numpy.ndarray: a list of what it holds."""

    def __init__(self, *_: object) -> None:
        self.items: list[Any] = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, _, dtype, _, held = state
        self.items = held if isinstance(held, list) else dtype.numbers(held)


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
