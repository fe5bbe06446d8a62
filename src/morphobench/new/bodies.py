"""The part of a data set's yaml that follows from the sizes of its cells, by form."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from morphobench.new.found import power_of_two, rounded

# Voxels along the longest cell, at most, and along the cubes that image models read.
_MOST_ALONG, _CUBE = 160, 65
_SHAPE_ALONG = 64
# Cells that were not read may be larger.
_ROOM = 1.4
# Of the voxels of a typical cell: smaller labels are no cells, and give no sizes.
SPECK = 0.1
_SPACING_CHOICES = (
    "edges of a voxel along z, y, x, micrometres, such as [0.29, 0.108, 0.108]; the files do not say"
)
_CLOUDS = """models: &models
  - classical_image
  - rotation_invariant_image
  - classical_pointcloud
  - {model}
benchmark: *models
analysis_model: {model}
"""
_SHAPES = """scale_factor: {mode: global, margin_voxel: 2}   # per_cell: sizes do not count

sample: {mode: corrected, resolution: 32, n_surface: 32768, n_queries: 32768, n_points: 2048}
subsample: {n_points: 8192, n_queries: 20000, weight: uniform}

models: &models
  - classical_image_seg
  - rotation_invariant_image_seg
  - classical_image_sdf
  - rotation_invariant_image_sdf
  - rotation_invariant_pointcloud_sdf
benchmark: *models
analysis_model: rotation_invariant_pointcloud_sdf
"""


def listed(names: Sequence[str] | None) -> str:
    """Return a YAML list of names, or null."""
    return "null" if names is None else f"[{', '.join(map(quoted, names))}]"


def quoted(text: Any) -> str:
    """Return text as a YAML scalar."""
    text = str(text)
    plain = re.fullmatch(r"[A-Za-z_][\w./ -]*", text) and text.lower() not in (
        "null",
        "true",
        "false",
        "yes",
        "no",
    )
    return text if plain and text == text.strip() else "'" + text.replace("'", "''") + "'"


def channel_name(name: str) -> str:
    """Return a name for a channel of labels."""
    return re.sub(r"\W+", "_", name).strip("_").lower() or "labels"


def spacing(edges: Sequence[float] | None) -> str:
    """Return the edges of a voxel as YAML: a number that the files have, or the question."""
    if edges is None:
        return f"FILL      # {_SPACING_CHOICES}"
    return f"{[rounded(edge, 6) for edge in edges]}   # as the files say"


class Sizes(NamedTuple):
    """Edges of a voxel, None where they are asked; extents (n, 3) of cells, and their voxels (n,)."""

    spacing_um_zyx: Sequence[float] | None
    extents_zyx: np.ndarray
    n_voxels: np.ndarray


def channels(structure: str, mask: str, comment: str = "") -> str:
    """Return the section of the channels that are used."""
    own = structure if structure == "FILL" else quoted(structure)
    return f"channels:\n  structure: {own}{comment}\n  cell_mask: {mask}\n"


def of_intensities(sizes: Sizes) -> str:
    """Return the body of punctate structures in images."""
    spacing_um_zyx, extents_zyx, n_voxels = sizes
    edges = np.array(spacing_um_zyx or [1.0, 1.0, 1.0])
    extents_um = extents_zyx * edges
    # Rotated in the plane, a cell may lie along its diagonal; planes may be three times as far apart.
    planes = 1.0 if spacing_um_zyx else 3.0
    reach_um = (
        _ROOM * np.maximum(np.hypot(extents_um[:, 1], extents_um[:, 2]), planes * extents_um[:, 0]).max()
    )
    voxel_um = max(edges.min(), extents_um.max() / _MOST_ALONG)
    # All voxels of a mask would be its shape alone: a quarter of them, the bright ones more often.
    few = np.quantile(n_voxels[n_voxels >= SPECK * np.median(n_voxels)], 0.02) / 4
    if spacing_um_zyx:
        voxel, side = f"{rounded(voxel_um)}", f"side_um: {rounded(reach_um)}"
        few *= edges.prod() / voxel_um**3
    else:
        voxel, side = "null", f"side_voxel: {np.ceil(reach_um):.0f}"
    n_points = power_of_two(few, 32, 2048)
    models = _CLOUDS.format(model="rotation_invariant_pointcloud_intensity")
    return f"""voxel_um: {voxel:<20} # edge of the cubic voxels that follow; null: smallest of the source

align:
  enabled: true               # lay the long axis along x
  mask: cell_mask
  unique: false
  margin_voxel: 6
  interpolation: linear
  least_elongation: 1.05      # a cell that is hardly longer than wide is marked
  stray_share: 0.05           # pieces of a label or mask smaller than this share of its largest are left out
  saturated_share: 0.01       # a channel with so many of a cell's voxels at the camera's end is marked
mask:
  role: cell_mask
  dilation_voxel: 0           # how far outside the mask points may lie
  min_voxels: {n_points}            # cells with smaller masks are left out
  clip: quantile
  quantile: 0.999
box: {{quantile: 1.0, policy: drop}}

sample:
  mode: corrected
  variant: nuclear
  points: {{n_points: {n_points}, jitter_voxel: 0.001}}   # far fewer than the smallest mask has voxels
  cube: {{size: {_CUBE}, {side}, crop: false}}   # larger than the longest cell
subsample: {{n_points: {n_points}, weight: uniform}}

{models}"""


def of_segmentations(sizes: Sizes) -> str:
    """Return the body of segmented shapes."""
    spacing_um_zyx, extents_zyx, _ = sizes
    edges = np.array(spacing_um_zyx or [1.0, 1.0, 1.0])
    longest_um = (extents_zyx * edges).max()
    voxel = rounded(max(edges.min(), longest_um / _MOST_ALONG)) if spacing_um_zyx else "null"
    return f"""voxel_um: {voxel!s:<20} # edge of the cubic voxels that follow; null: smallest of the source

align:
  enabled: false              # true lays the long axis along x
  mask: cell_mask
  unique: false
  margin_voxel: 1
  interpolation: nearest
  least_elongation: 1.05
  stray_share: 0.05
  saturated_share: 0.01
mask: {{role: cell_mask, fill_holes: volume, min_voxels: 1}}
{_SHAPES}"""


def of_meshes(longest_um: float) -> str:
    """Return the body of meshes, the longest side of one of which is known."""
    voxel_um = rounded(longest_um / _SHAPE_ALONG, 2)
    return f"""voxel_um: {voxel_um}              # edge of the voxels by which pieces are counted

align: {{enabled: false}}       # true lays the long axis along x
mask: {{min_voxels: 8}}
{_SHAPES}"""


def of_points(reach_um: float, n_points: int, *, weighted: bool) -> str:
    """Return the body of point tables, whose cells reach so far from their middle."""
    side_um = 2 * _ROOM * reach_um
    with_intensity, without = "rotation_invariant_pointcloud_intensity", "rotation_invariant_pointcloud"
    models = _CLOUDS.format(model=with_intensity if weighted else without)
    return f"""voxel_um: {rounded(side_um / _CUBE)}             # in which extents are counted

align: {{enabled: true}}        # lay the long axis along x
mask: {{min_points: {n_points}}}      # cells with fewer points fail
box: {{quantile: 1.0, policy: drop}}

sample:                       # as many points of every cell: their number alone could tell classes
  points: {{n_points: {n_points}, jitter_um: {rounded(reach_um * 1e-4, 2)}, with_replacement: false}}
  cube: {{size: {_CUBE}, side_um: {rounded(side_um)}, crop: false}}
subsample: {{n_points: {n_points}, weight: uniform}}

{models}"""
