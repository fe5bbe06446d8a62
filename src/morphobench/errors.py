"""The error a user can mend: bad input, bad configuration, bad surroundings."""

from __future__ import annotations


class InputError(ValueError):
    """Something outside the code is wrong; the message names the file or key, the reason and the remedy.

    Adapters print the message without a traceback; shard loops record it as the cell's reason.
    """
