"""The error a user can mend: bad input, bad configuration, bad surroundings."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Something outside the code is wrong; the message names the file or key, the reason and the remedy.

    Adapters print the message without a traceback; shard loops record it as the cell's reason.
    """


class Excluded(InputError):
    """What is wrong with one cell that is left out and does not count as failed."""


@contextmanager
def named(place: object) -> Iterator[None]:
    """Put a file's or data set's name before the message of any `InputError` raised inside."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
