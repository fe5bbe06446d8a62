"""What scores read of one model beside its embeddings, as one job: cells rotated, changed and decoded."""

from collections.abc import Mapping, Sequence
from typing import Any

from morphobench.embed import invariances, reconstruction
from morphobench.embed import run as embed
from morphobench.files import FilePath

ROTATIONS = ("lattice", "uniform")


def run(
    manifest: FilePath,
    shards: Sequence[FilePath],
    model_path: FilePath,
    embedding: FilePath,
    outs: Mapping[str, FilePath],
    *,
    frozen: Sequence[FilePath] = (),
    meshes: Sequence[FilePath] = (),
    side_um: float | None = None,
    stratum: str | None = None,
    packing: Mapping[str, Any] | None,
    **options: Any,
) -> None:
    """Write the tables "lattice", "uniform", "invariances" and "reconstruction" of their modules.

    `frozen` holds the kept rows of the first two in this order, or nothing; `embedding` is the table of
    rotations "identity"; `meshes`, `side_um` and `stratum` are of `reconstruction.run`; `options` go to all.
    """
    cells, cube = (manifest, shards, model_path), (packing or {}).get("cube")
    kept = dict(zip(ROTATIONS, frozen, strict=bool(frozen)))
    for name in ROTATIONS:
        embed.run(*cells, outs[name], rotations=name, frozen=kept.get(name), cube=cube, **options)
    invariances.run(*cells, outs["invariances"], packing=packing, **options)
    decoded = {"meshes": meshes, "side_um": side_um, "stratum": stratum, "packing": packing}
    reconstruction.run(*cells, embedding, outs["reconstruction"], **decoded, **options)
