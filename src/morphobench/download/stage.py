"""Stage `download` for any form of cells: what a shard is asked for, and its folder."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from morphobench.download.crops import InShard, shard_filter
from morphobench.files import FilePath, shards


class Request(NamedTuple):
    """What a shard is written from, see `run`.

    Attributes
    ----------
    in_shard
        Selects the groups of the shard.
    is_first
        Whether it is the first shard, which warns for all.
    """

    dataset: Mapping[str, Any]
    in_shard: InShard
    is_first: bool
    seed: int
    manifest: FilePath | None
    download_config: Mapping[str, Any] | None


def run(
    write: Callable[[shards.Shard, Request], None],
    shard_out: FilePath,
    *,
    dataset: Mapping[str, Any],
    shard: int,
    n_shards: int,
    seed: int,
    max_failed_fraction: float,
    manifest: FilePath | None = None,
    download_config: Mapping[str, Any] | None = None,
) -> None:
    """Write one shard of raw cells; a remote source needs its `manifest` (`index.run`) and `download_config`.

    Raises
    ------
    InputError
        When the source is missing or wrong, or too many cells fail.
    """
    in_shard = shard_filter(shard, n_shards)
    request = Request(dataset, in_shard, shard == 0, seed, manifest, download_config)
    with shards.create(shard_out, "download", max_failed_fraction) as created:
        write(created, request)
