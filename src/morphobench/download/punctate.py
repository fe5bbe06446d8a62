"""Stage `download` for cells in images: crops cut from fields of view or a stack, or existing ones.

A shard folder has the cell table in the published layout: CellId, crop_raw and crop_seg (image files),
name_dict (names of their channels), group, the source's metadata and `manifests.STATE`. Paths of crops cut
here start from the shard folder; existing crops stay in place, or in the cache.
"""

from collections.abc import Mapping
from typing import Any

from morphobench.download import crops, fields, first_cells, index, listed, stack
from morphobench.errors import InputError
from morphobench.files import FilePath, shards
from morphobench.remote import is_remote


def run(
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
    source = dataset["source"]
    in_shard = crops.shard_filter(shard, n_shards)
    if sum(bool(source.get(key)) for key in ("fovs", "stack", "cells")) != 1:
        raise InputError(
            "source needs one of the keys fovs, stack and cells (a manifest of crops below source.location)."
        )
    with shards.create(shard_out, "download", max_failed_fraction) as created:
        if source.get("fovs"):
            taken = crops.reserved_names(dataset)
            shares = {key: dataset["align"][key] for key in ("stray_share", "saturated_share")}
            cells = fields.cut(created.folder, source, in_shard, taken, **shares, is_first=shard == 0)
        elif source.get("stack"):
            cells = stack.write(created.folder, source, in_shard, crops.reserved_names(dataset))
        elif is_remote(source.get("location")):
            cells = index.fetch_cells(manifest, dataset, download_config, in_shard)
        else:
            cells = crops.list_cells(dataset, in_shard, is_first=shard == 0)
            if shard == 0:
                # Crops of a folder have no index: the first shard tries the first cells for all.
                first_cells.check(cells, lambda row: first_cells.read_located(row, dataset), dataset["name"])
        created.cells = listed.with_groups(cells, source)
