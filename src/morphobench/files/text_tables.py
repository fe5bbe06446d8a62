"""Tables of text (CSV) as people write them: each field is text, and only the empty one is missing.

UTF-8 and UTF-16; columns separated by commas, semicolons or tabs, whichever the first lines have; blanks
around a field, blank rows at the end and separators at the end of a row do not count.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from morphobench.errors import InputError
from morphobench.files import values
from morphobench.log import logger

_SEPARATORS = (",", ";", "\t")
# The real tables have rows of up to 100 kB.
_BLOCK_BYTES, _N_SAMPLED = 2**23, 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# How files begin that are no text.
_FOREIGN = {
    b"PK\x03\x04": "a spreadsheet (.xlsx, .ods) or another archive",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel (.xls)",
    b"\x1f\x8b": "compressed (gzip)",
    b"%PDF": "a PDF",
    b"PAR1": "a parquet table",
    b"<": "a web page or XML",
}
_REMEDIES = {
    b"\x1f\x8b": "Unpack it (gunzip).",
    b"PAR1": "Let its name end in .parquet.",
    b"<": "Fetch the table itself.",
}


class Form(NamedTuple):
    """How a table is written: encoding, separator, number of lines before its rows, and the header's names.

    Names that are empty at the end of the header are left out, others are called ``Unnamed: 0`` by their
    place. Names that repeat, those of `repeated`, get a number, as ``a.1``. `n_fields` counts all fields of
    the header.
    """

    encoding: str
    separator: str
    n_before: int
    columns: list[str]
    n_fields: int
    repeated: frozenset[str] = frozenset()


def form_of(path: Path) -> Form:
    """Find out how a table is written.

    Raises
    ------
    InputError
        When it is empty, no text, or in another encoding.
    """
    encoding = _encoding_of(path)
    with _text(path, encoding) as file:
        lines = list(islice(file, _N_SAMPLED + 2))
    n_before = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    stated = lines[n_before].strip().lower() if n_before < len(lines) else ""
    # A line that Excel writes and reads.
    if stated.startswith("sep=") and len(stated) == 5:
        n_before, separator = n_before + 1, lines[n_before].strip()[4]
    else:
        separator = max(_SEPARATORS, key=lambda one: _fitness(lines[n_before:], one))
    rows = _rows(lines[n_before:], separator)
    names = [name.strip() for name in next(rows, [])]
    if not any(names):
        raise InputError(f"{path}: not readable as a table: it is empty. Restore it, or export it again.")
    n_named = max(number for number, name in enumerate(names) if name) + 1
    columns = _different([name or f"Unnamed: {number}" for number, name in enumerate(names[:n_named])])
    repeated = frozenset(name for name, number in Counter(names).items() if name and number > 1)
    return Form(encoding, separator, n_before + rows.line_num, columns, len(names), repeated)


def _different(names: list[str]) -> list[str]:
    """Return names of which those that repeat have numbers, as pandas gives them: a, a.1, a.2."""
    counts: Counter[str] = Counter()
    known, different = set(names), []
    for name in names:
        new = name
        while counts[name] and new in known:
            new = f"{name}.{counts[name]}"
            counts[name] += 1
        counts[name] = counts[name] or 1
        known.add(new)
        different.append(new)
    return different


def read(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read some columns of a table, or all, as text (object), None where a field is empty.

    Columns that are not read are never held in memory.

    Raises
    ------
    InputError
        When it is not readable, a column occurs twice, a row has more fields than the header names, or
        numbers have decimal commas.
    """
    form = form_of(path)
    kept = list(form.columns if columns is None else columns)
    if twice := [name for name in kept if name in form.repeated]:
        raise InputError(f"{path}: two columns are called {twice[0]}. Rename one of them.")
    place_of = {name: place for place, name in enumerate(form.columns)}
    places = [place_of[name] for name in kept]
    beyond = range(len(form.columns), form.n_fields)
    try:
        table = _read_fast(path, form, [*places, *beyond] or [0])
        is_plain = all(table.column(-1 - number).null_count == len(table) for number in range(len(beyond)))
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError):
        is_plain = False
    frame = _frame(table, kept) if is_plain else None
    # Whatever is not written alike throughout, may have blank rows at its end, or has faults to be named.
    if frame is None or (frame.size and frame.iloc[-1].isna().all()):
        frame = _read_row_by_row(path, form, kept, places)
    if columns is None:
        nameless = [name for name in kept if name.startswith("Unnamed: ") and frame[name].isna().all()]
        frame = frame.drop(columns=nameless)
    _check_decimals(frame, path)
    return frame


def count_rows(path: Path) -> int:
    """Return the number of rows of a table, blank ones at its end among them."""
    form = form_of(path)
    with _text(path, form.encoding) as file:
        return sum(any(row) for row in _rows(islice(file, form.n_before, None), form.separator))


def _encoding_of(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4096)
    for mark, what in _FOREIGN.items():
        if start.lstrip().startswith(mark):
            remedy = _REMEDIES.get(mark, "Save it as CSV (UTF-8), and name that file.")
            raise InputError(f"{path}: is {what}, no table of text. {remedy}")
    if start.startswith(_UTF16):
        return "utf-16"
    if b"\0" in start:
        raise InputError(f"{path}: has bytes of value 0, so that it is no text. Save it as CSV (UTF-8).")
    return "utf-8-sig"


def _text(path: Path, encoding: str) -> io.TextIOBase:
    """Open a table as text; a byte that is none in this encoding is an InputError."""
    content = path.read_bytes() if encoding == "utf-16" else b""
    try:
        if content:
            return io.StringIO(content.decode(encoding), newline="")
        return _Checked(path)
    except UnicodeDecodeError as error:
        raise InputError(_wrong_encoding(path, error)) from error


class _Checked(io.TextIOWrapper):
    """A text file in UTF-8, whose bytes in another encoding are an InputError with their place."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), encoding="utf-8-sig", newline="")
        self._path = path

    def read(self, size: int | None = -1, /) -> str:
        try:
            return super().read(size)
        except UnicodeDecodeError as error:
            raise InputError(_wrong_encoding(self._path, error)) from error

    def __next__(self) -> str:
        try:
            return super().__next__()
        except UnicodeDecodeError as error:
            raise InputError(_wrong_encoding(self._path, error)) from error


def _wrong_encoding(path: Path, error: UnicodeDecodeError) -> str:
    wrong = error.object[error.start]
    with path.open("rb") as file:
        n_line = next((number for number, line in enumerate(file, 1) if _is_wrong(line)), 1)
    reason = f"line {n_line} is not UTF-8 (byte 0x{wrong:02x}, as Latin-1 or Windows-1252 have)"
    if error.encoding != "utf-8":
        reason = f"is not {error.encoding.upper()} throughout, as it begins"
    remedy = "Save it as CSV UTF-8, or convert it: iconv -f latin1 -t utf-8."
    return f"{path}: {reason}. {remedy}"


def _is_wrong(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return True
    return False


def _rows(lines: Sequence[str] | Iterator[str], separator: str) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def _fitness(lines: Sequence[str], separator: str) -> tuple[bool, int]:
    """Return whether the first rows have as many fields as the header, and how many that are."""
    rows = [row for row in _rows(lines, separator) if any(row)]
    # A quoted field may go on behind the last of these lines.
    n_fields = {len(row) for row in rows[: max(len(rows) - 1, 2)]}
    n_header = len(rows[0]) if rows else 0
    return n_header > 1 and n_fields == {n_header}, n_header


def _read_fast(path: Path, form: Form, places: list[int]) -> pa.Table:
    """Read columns by place, blanks around fields cut, empty fields null."""
    source = (
        path if form.encoding != "utf-16" else pa.BufferReader(path.read_bytes().decode("utf-16").encode())
    )
    names = [str(number) for number in range(form.n_fields)]
    chosen = [names[place] for place in places]
    read_options = arrow_csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=names, skip_rows=form.n_before)
    parse = arrow_csv.ParseOptions(delimiter=form.separator, newlines_in_values=True)
    types = dict.fromkeys(chosen, pa.string())
    convert = arrow_csv.ConvertOptions(include_columns=chosen, column_types=types, strings_can_be_null=False)
    table = arrow_csv.read_csv(source, read_options, parse, convert)
    arrays = []
    for column in table.columns:
        # A quote behind a blank opens no quoted field here, where people mean one.
        if pc.any(pc.match_substring_regex(column, r'^\s+"')).as_py():
            raise pa.ArrowInvalid("a quote behind a blank")
        cut = pc.utf8_trim_whitespace(column)
        arrays.append(pc.if_else(pc.equal(cut, ""), pa.scalar(None, pa.string()), cut))
    return pa.table(arrays, names=[str(number) for number in range(len(arrays))])


def _frame(table: pa.Table, names: list[str]) -> pd.DataFrame:
    columns = {name: table.column(number).to_pandas().to_numpy(object) for number, name in enumerate(names)}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)), columns=names)


def _read_row_by_row(path: Path, form: Form, names: list[str], places: list[int]) -> pd.DataFrame:
    """Read columns by place; rows may be short, and have empty fields behind the last column."""
    n_columns, kept, short, n_rows = len(form.columns), [], [], 0
    with _text(path, form.encoding) as file:
        rows = _rows(islice(file, form.n_before, None), form.separator)
        for row in rows:
            if not row:
                continue
            if any(field.strip() for field in row[n_columns:]):
                raise InputError(_too_many(path, form, row, rows.line_num + form.n_before))
            if len(row) < n_columns and any(row):
                short.append(rows.line_num + form.n_before)
                row = [*row, *[""] * (n_columns - len(row))]
            row = row if len(row) >= n_columns else [""] * n_columns
            kept.append([row[place].strip() or None for place in places])
            n_rows = len(kept) if any(field.strip() for field in row) else n_rows
    if short:
        details = (path, len(short), n_columns, short[0])
        logger.warning(
            "%s: %d rows have fewer than %d fields, the first in line %d: the last are missing", *details
        )
    if n_rows < len(kept):
        # Spreadsheets write them.
        logger.info("%s: %d blank rows at its end are left out", path, len(kept) - n_rows)
    return pd.DataFrame(kept[:n_rows], columns=names, dtype=object)


def _too_many(path: Path, form: Form, row: list[str], line: int) -> str:
    named = {",": "comma", ";": "semicolon", "\t": "tab"}.get(form.separator, repr(form.separator))
    reason = f"line {line} has {len(row)} fields, but the header names {len(form.columns)} columns"
    remedy = f'Put fields that hold a {named} into double quotes ("a{form.separator}b"), or name every column'
    commas = "; write decimals with a point" if form.separator == "," else ""
    return f"{path}: {reason} (separated by {named}). {remedy}{commas}."


def _check_decimals(frame: pd.DataFrame, path: Path) -> None:
    for name in frame:
        if example := values.has_decimal_commas([one for one in frame[name] if one is not None]):
            raise InputError(values.decimal_commas(f"{path}: column {name}", example))
