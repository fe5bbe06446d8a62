"""Random generators that depend on what is drawn, never on when, where or by how many workers."""

import hashlib

import numpy as np


def integer(*parts: str | int) -> int:
    """Return a 63-bit seed that is a stable function of its parts.

    Examples
    --------
    >>> integer(42, "cellpack", "sample", "7_0") == integer(42, "cellpack", "sample", "7_0")
    True
    >>> integer("a", "bc") == integer("ab", "c")
    False
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def place(*parts: str | int) -> float:
    """Return a number in [0, 1), uniform over the parts, that is a stable function of them."""
    return integer(*parts) / 2**63


def generator(seed: int, dataset: str, stage: str, cell: str) -> np.random.Generator:
    """Return the generator of one cell in one stage (numpy PCG64)."""
    return np.random.default_rng(integer(seed, dataset, stage, cell))


def shard_of(group: str, n_shards: int) -> int:
    """Return the shard, 0 to n_shards - 1, of a group of cells: a stable hash, whatever else exists."""
    return integer("shard", group) % n_shards
