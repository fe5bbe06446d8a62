"""Embeddings of rotated and of changed test cells by one model, as one job."""

from collections.abc import Mapping, Sequence
from typing import Any

from morphobench.embed import invariances
from morphobench.embed import run as embed
from morphobench.files import FilePath

ROTATIONS = ("lattice", "uniform")


def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    outs: Mapping[str, FilePath],
    *,
    frozen: Sequence[FilePath] = (),
    packing: Mapping[str, Any] | None,
    **options: Any,
) -> None:
    """Write the tables "lattice" and "uniform" of `embed.run`, and "invariances" of `invariances.run`.

    `frozen` holds the kept rows of the first two in this order, or nothing; `options` go to both functions.
    """
    cells, cube = (manifest, shards, model_path), (packing or {}).get("cube")
    kept = dict(zip(ROTATIONS, frozen, strict=bool(frozen)))
    for name in ROTATIONS:
        embed.run(*cells, outs[name], rotations=name, frozen=kept.get(name), cube=cube, **options)
    invariances.run(*cells, outs["invariances"], packing=packing, **options)
