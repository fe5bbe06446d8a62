"""Lengths of a data set that follow from the size of its source's voxels."""

from collections.abc import Mapping
from typing import Any

from morphobench.errors import InputError


def resolved(dataset: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return a data set whose voxel_um and sample.cube.side_um are numbers.

    Raises
    ------
    InputError
        When voxel_um is null and the configuration does not state the source's voxels.
    """
    dataset, source = dict(dataset), dataset["source"]
    if dataset["voxel_um"] is None:
        edges = source.get("spacing_um_zyx") or (source.get("fov") or {}).get("spacing_um_zyx")
        if not edges:
            reason = "voxel_um is null, and no spacing_um_zyx is stated from which it could follow"
            raise InputError(f"{place}: {reason}. Set voxel_um, the edge of cubic voxels, micrometres.")
        dataset["voxel_um"] = min(edges)
    cube = dataset["sample"].get("cube") or {}
    if "side_voxel" in cube:
        others = {key: value for key, value in cube.items() if key != "side_voxel"}
        side_um = round(cube["side_voxel"] * dataset["voxel_um"], 6)
        dataset["sample"] = {**dataset["sample"], "cube": {**others, "side_um": side_um}}
    return dataset
