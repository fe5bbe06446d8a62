"""Stage `download` for cells in images: crops cut from fields of view or a stack, or existing ones.

A shard folder has the cell table in the published layout: CellId, crop_raw and crop_seg (image files),
name_dict (names of their channels), group, the source's metadata and `manifests.STATE`. Paths of crops cut
here start from the shard folder; existing crops stay in place, or in the cache.
"""

from functools import partial

from morphobench.download import crops, fields, first_cells, index, listed, stack, stage
from morphobench.errors import InputError
from morphobench.files import shards
from morphobench.remote import is_remote


def write(created: shards.Shard, request: stage.Request) -> None:
    """Write the raw cells of a shard, see above.

    Raises
    ------
    InputError
        When the source is missing or wrong.
    """
    dataset, in_shard = request.dataset, request.in_shard
    source, taken = dataset["source"], crops.reserved_names(dataset)
    if sum(bool(source.get(key)) for key in ("fovs", "stack", "cells")) != 1:
        raise InputError(
            "source needs one of the keys fovs, stack and cells (a manifest of crops below source.location)."
        )
    if source.get("fovs"):
        shares = {key: dataset["align"][key] for key in ("stray_share", "saturated_share")}
        cells = fields.cut(created.folder, source, in_shard, taken, **shares, is_first=request.is_first)
    elif source.get("stack"):
        cells = stack.write(created.folder, source, in_shard, taken)
    elif is_remote(source.get("location")):
        cells = index.fetch_cells(request.manifest, dataset, request.download_config, in_shard)
    else:
        cells = crops.list_cells(dataset, in_shard, is_first=request.is_first)
        if request.is_first:
            # Crops of a folder have no index: the first shard tries the first cells for all.
            first_cells.check(cells, lambda row: first_cells.read_located(row, dataset), dataset["name"])
    created.cells = listed.with_groups(cells, source)


run = partial(stage.run, write)
