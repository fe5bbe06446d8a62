"""Time of the scores that run models, beside a plain transcription of the published procedure.

Seconds are those of the processor, one thread: wall time on an idle machine, and fair on a busy one. `rows()`
measures; alone, prints one table: python tests/speed/bench_score_models.py [--quick]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyvista
import reference_models as plain
import torch
import vtk
from torch.nn import functional
from vtk.util.numpy_support import vtk_to_numpy

from morphobench import models
from morphobench.embed import run as embed
from morphobench.geometry import rotation
from morphobench.models.decode import to_shapes_um
from morphobench.models.inputs import rotate_arrays
from morphobench.score import evolution

REPEATS = 1 if "--quick" in sys.argv else 4
# No repeat is begun after so long.
SLOW_S = 20.0
DEGREES = (0, 90, 180, 270)
EMBED = {"batch_size": 32, "precision": "32-true", "error_points": 2048, "error_voxels": 32}
EMBED |= {"speck_share": 0.01, "mean_shape_cells": 128}
UNIT_UM = {"input_scale": 1.0}
ENERGY_POINTS = 256


@dataclass
class Sizes:
    """What is measured; the defaults are the published widths, with few cells."""

    n_cells: int = 2
    n_points: int = 2048
    hidden_dim: int = 64
    latent_dim: int = 256
    folding_hidden: int = 512
    k: int = 20
    cube: int = 33
    image_latent: int = 512
    channels: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512)
    strides: tuple[int, ...] = (1, 1, 2, 2, 2, 2, 2)
    n_pairs: int = 2
    n_fractions: int = 9

    @classmethod
    def tiny(cls) -> Sizes:
        image = {"cube": 9, "image_latent": 8, "channels": (2, 4), "strides": (1, 2)}
        narrow = {"hidden_dim": 8, "latent_dim": 16, "folding_hidden": 32, "k": 5}
        return cls(n_cells=3, n_points=128, **narrow, **image, n_fractions=2)


class Stored:
    """Cells in memory, read as `models.cells.Cells` are."""

    def __init__(self, settings: dict[str, Any], **arrays: np.ndarray) -> None:
        self.settings, self.arrays = settings, arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def raw(self, rows: Any) -> dict[str, np.ndarray]:
        return {name: array[np.asarray(rows)] for name, array in self.arrays.items()}

    def rotated(
        self, rows: Any, raw: dict[str, np.ndarray], rotation: np.ndarray, back: bool
    ) -> dict[str, np.ndarray]:
        return rotate_arrays(raw, rotation, self.settings)


def seconds(call: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the least time, which neighbours on the machine disturb least, and the first result."""
    times: list[float] = []
    result: Any = None
    while not times or (len(times) < REPEATS and sum(times) < SLOW_S):
        start = time.process_time()
        found = call()
        times.append(time.process_time() - start)
        result = found if result is None else result
    return min(times), result


def row(what: str, published: Callable[[], np.ndarray], ours: Callable[[], np.ndarray]) -> dict[str, Any]:
    """Measure one row; both calls return the scores, whose largest difference is reported."""
    (published_s, theirs), (ours_s, mine) = seconds(published), seconds(ours)
    return timed_row(what, published_s, ours_s, float(np.abs(mine - theirs).max()))


def timed_row(what: str, published_s: float, ours_s: float, difference: float | None) -> dict[str, Any]:
    """Return one line of the table."""
    times = {"published_s": published_s, "ours_s": ours_s, "ratio": published_s / ours_s}
    return {"what": what, **times, "difference": difference}


# Rotation error: four passes of one cell after the other, with resampled images, against batches.


def error_of(z: np.ndarray) -> np.ndarray:
    """Return the published value of every angle and cell from embeddings (n_angles, n_cells, D)."""
    off = np.linalg.norm(z - z[:1], axis=2)
    return off / (np.linalg.norm(z, axis=2) + np.linalg.norm(z[:1], axis=2))


def published_rotated(x: torch.Tensor, degrees: float) -> torch.Tensor:
    matrix = torch.tensor(rotation.about_z(degrees), dtype=torch.float32)
    if x.ndim == 3:
        return x @ matrix.T
    theta = functional.pad(matrix.T, [0, 1])[None]
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)


@torch.inference_mode()
def published_rotation(model: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    embeddings = [[model.encode(published_rotated(one[None], angle)) for one in x] for angle in DEGREES]
    return error_of(np.array([[embedding[0].numpy() for embedding in row] for row in embeddings]))


@torch.inference_mode()
def our_rotation(model: torch.nn.Module, cells: Stored, settings: dict[str, Any]) -> np.ndarray:
    turns = np.stack([rotation.about_z(angle) for angle in DEGREES])
    rotations = np.broadcast_to(turns[:, None], (len(turns), len(cells), 3, 3))
    return error_of(embed.encode_cells(model, cells, rotations, settings, batch_size=EMBED["batch_size"]).z)


def pointcloud_models(sizes: Sizes) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    narrow = {"latent_dim": sizes.latent_dim, "hidden_dim": sizes.hidden_dim, "k": sizes.k}
    ours = models.create(
        "rotation_invariant_pointcloud",
        **narrow,
        n_output_points=sizes.n_points,
        grid="plane",
        folding_hidden=sizes.folding_hidden,
    )
    with torch.no_grad():
        # With torch's own scale, an untrained decoder draws all points within the published 1e-4 floor.
        for parameter in ours.parameters():
            parameter.mul_(6**0.5 if parameter.ndim == 2 else 1)
    theirs = plain.PointcloudModel(ours, sizes.hidden_dim, sizes.folding_hidden, sizes.k)
    return theirs.eval(), ours.eval()


def image_models(sizes: Sizes) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    widths = {"channels": sizes.channels, "strides": sizes.strides, "num_res_units": 2}
    ours = models.create("rotation_invariant_image", size=sizes.cube, latent_dim=sizes.image_latent, **widths)
    theirs = plain.ImageModel(ours, sizes.channels, sizes.strides, 2)
    return theirs.eval(), ours.eval()


def rotation_rows(sizes: Sizes) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(sizes.n_cells, sizes.n_points, 3)).astype(np.float32)
    theirs, ours = pointcloud_models(sizes)
    settings = {"representation": "points", **UNIT_UM}
    yield row(
        f"rotation error, vector neurons, {sizes.n_cells} clouds of {sizes.n_points}",
        partial(published_rotation, theirs, torch.from_numpy(clouds)),
        partial(our_rotation, ours.export(), Stored(settings, points_um=clouds), settings),
    )
    volumes = blobs(sizes, rng)
    theirs, ours = image_models(sizes)
    settings = {"representation": "sdf", **UNIT_UM, "architecture": {"size": sizes.cube}}
    yield row(
        f"rotation error, SO(3) image, {sizes.n_cells} volumes of {sizes.cube}^3",
        partial(published_rotation, theirs, torch.from_numpy(volumes)[:, None]),
        partial(our_rotation, ours.export(), Stored(settings, sdf=volumes), settings),
    )


def blobs(sizes: Sizes, rng: np.random.Generator) -> np.ndarray:
    """Return clipped distances to two overlapping balls, which fill each volume but for two voxels around."""
    axis = np.arange(sizes.cube) - sizes.cube // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    places = np.stack([x, y, z], axis=-1)
    fields = []
    for _ in range(sizes.n_cells):
        centres, radii = rng.uniform(-1, 1, (2, 3)), rng.uniform(0.8, 1.5, 2)
        low, high = (centres - radii[:, None]).min(axis=0), (centres + radii[:, None]).max(axis=0)
        scale = (sizes.cube - 5) / (high - low).max()
        balls = zip((centres - (low + high) / 2) * scale, radii * scale, strict=True)
        distances = [np.linalg.norm(places - centre, axis=-1) - radius for centre, radius in balls]
        fields.append(np.min(distances, axis=0).clip(-2, 2))
    return np.array(fields, dtype=np.float32)


# Evolution: nine single decodes, each compared with both ends, and these with each other, anew.


@torch.inference_mode()
def published_evolution(
    decode: Callable, distance_of: Callable, embeddings: np.ndarray, ends: list[list[Any]], n: int
) -> np.ndarray:
    found = []
    for start, end, a, b in zip(*torch.from_numpy(embeddings), *ends, strict=True):
        distance = distance_of(a, b)
        for step in range(1, n + 1):
            between = decode((start + step / (n + 1) * (end - start))[None])
            found.append((distance(between, a) + distance(between, b)) / distance(a, b))
    return np.array(found)


@torch.inference_mode()
def our_evolution(
    model: torch.nn.Module,
    settings: dict[str, Any],
    embeddings: np.ndarray,
    ends: list[list[Any]],
    n: int,
    *,
    legacy: bool,
) -> np.ndarray:
    """Return the energies of the published definition, or of the corrected one between decoded ends."""
    points = settings["representation"] == "points"
    sizes_um = None if points else np.ones(embeddings.shape[:2])
    place = {"n_points": 10**6, "generator": torch.Generator(), "side_um": None} if points else {}
    inputs = [[np.asarray(cloud)[:ENERGY_POINTS] for cloud in side] for side in ends] if points else None
    draws = list(range(embeddings.shape[1]))
    both = evolution.Ends(embeddings, None, sizes_um, inputs, ends, None, draws)
    place |= {key: EMBED[key] for key in ("batch_size", "precision")}
    energies = []
    for shapes in evolution.interpolate(model, settings, both, np.arange(1, n + 1) / (n + 1), **place):
        if legacy:
            distances = evolution.legacy_distances(shapes)
        else:
            grid = EMBED["error_voxels"], EMBED["speck_share"]
            (distances,) = evolution.metric_distances(shapes, [shapes.ends], *grid)
        energies.append(evolution.evolution_energy(*distances))
    return np.concatenate(energies)


class Prepared:
    """Decodes in no time what a model decoded before: what is left are the distances."""

    def __init__(self, model: torch.nn.Module, embeddings: np.ndarray, n: int) -> None:
        lines = [
            evolution.linear_interpolants(embeddings[:, [pair]], np.linspace(0, 1, n + 2))
            for pair in range(embeddings.shape[1])
        ]
        self.z = torch.from_numpy(np.concatenate(lines)).float()
        self.decoded = torch.cat([model.decode(part) for part in self.z.split(n + 2)])

    def parameters(self) -> Iterator[torch.Tensor]:
        yield self.z

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        return self.decoded[torch.cdist(z, self.z).argmin(dim=1)]


def chamfer_of(a: torch.Tensor, b: torch.Tensor) -> Callable:
    return lambda one, other: plain.chamfer(one, other).item()


def surface_of(volume: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    return to_shapes_um(volume, {"representation": "sdf", **UNIT_UM}, None, sizes_um=[1.0])[0]


def overlap_of(a: torch.Tensor, b: torch.Tensor) -> Callable:
    """Return the published 1 - Jaccard index, in own boxes of as many voxels as the larger end has."""
    extents = [np.ptp(surface_of(volume)[0], axis=0) for volume in (a, b)]
    n_xyz = np.ceil(np.max(extents, axis=0) - 1e-4).astype(int)

    def distance(one: torch.Tensor, other: torch.Tensor) -> float:
        first, second = (published_voxels(*surface_of(volume), n_xyz) for volume in (one, other))
        return 1 - (first & second).sum() / (first | second).sum()

    return distance


def published_voxels(vertices: np.ndarray, faces: np.ndarray, n_xyz: np.ndarray) -> np.ndarray:
    """Return the voxels by VTK's stencil, of an image that is filled one voxel after another."""
    low, spacing = vertices.min(axis=0), np.ptp(vertices, axis=0) / n_xyz
    image = pyvista.ImageData(origin=low + spacing / 2, spacing=spacing, dimensions=n_xyz)
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(pyvista.make_tri_mesh(vertices, faces))
    stencil.SetInformationInput(image)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    for number in range(image.GetNumberOfPoints()):
        image.GetPointData().GetScalars().SetTuple1(number, 1)
    cut = vtk.vtkImageStencil()
    cut.SetInputData(image)
    cut.SetStencilConnection(stencil.GetOutputPort())
    cut.SetBackgroundValue(0)
    cut.Update()
    return vtk_to_numpy(cut.GetOutput().GetPointData().GetScalars()) > 0


class Fields(torch.nn.Module):
    """Decodes an embedding into a volume: an image decoder's time, and always a shape."""

    def __init__(self, decoder: torch.nn.Module, sizes: Sizes) -> None:
        super().__init__()
        self.decoder = decoder
        basis = blobs(sizes, np.random.default_rng(1))
        self.register_buffer("basis", torch.from_numpy(basis))

    def decode(self, z: torch.Tensor, pose: torch.Tensor | None = None) -> torch.Tensor:
        share = functional.softmax(z[:, : len(self.basis)], dim=1)
        shape = (share[:, :, None, None, None] * self.basis).sum(1, keepdim=True)
        return shape + 1e-6 * self.decoder(z).clamp(-1, 1)


def evolution_rows(sizes: Sizes) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(2)
    theirs, ours = pointcloud_models(sizes)
    embeddings = rng.normal(size=(2, sizes.n_pairs, sizes.latent_dim)).astype(np.float32)
    spread = ours.decode(torch.from_numpy(embeddings[0])).detach().std().item()
    given = (spread * rng.normal(size=(2, sizes.n_pairs, sizes.n_points, 3))).astype(np.float32)
    yield from evolution_pair(
        f"clouds of {sizes.n_points}, {sizes.n_pairs} pairs",
        (theirs.decoder, chamfer_of, [list(torch.from_numpy(side)[:, None]) for side in given]),
        (ours, {"representation": "points", **UNIT_UM}, [list(side) for side in given]),
        embeddings,
        sizes.n_fractions,
    )
    _, image = image_models(sizes)
    forms = [Fields(model.decoder["image"], sizes).eval() for model in (image, image.export())]
    embeddings = 3 * rng.normal(size=(2, sizes.n_pairs, sizes.image_latent)).astype(np.float32)
    volumes = [list(torch.from_numpy(blobs(sizes, rng)[: sizes.n_pairs])[:, None, None]) for _ in range(2)]
    yield from evolution_pair(
        f"shapes in {sizes.cube}^3, {sizes.n_pairs} pairs",
        (forms[0].decode, overlap_of, volumes),
        (
            forms[1],
            {"representation": "sdf", **UNIT_UM, "architecture": {"size": sizes.cube}},
            [[surface_of(volume) for volume in side] for side in volumes],
        ),
        embeddings,
        sizes.n_fractions,
    )


@torch.no_grad()
def evolution_pair(
    what: str, theirs: tuple, ours: tuple, embeddings: np.ndarray, n: int
) -> Iterator[dict[str, Any]]:
    """Measure both definitions, with decoding and without, on the same end points.

    The corrected one is another number: it has no difference.
    """
    (decode, distance_of, ends), (model, settings, our_ends) = theirs, ours
    known = Prepared(model, embeddings, n)
    for named, their_decode, own in (
        (f"evolution energy, {what}", decode, model),
        ("... without decoding", known.decode, known),
    ):
        published_s, found = seconds(
            partial(published_evolution, their_decode, distance_of, embeddings, ends, n)
        )
        for legacy in (True, False):
            our_s, mine = seconds(
                partial(our_evolution, own, settings, embeddings, our_ends, n, legacy=legacy)
            )
            difference = float(np.abs(mine - found).max()) if legacy else None
            yield timed_row(named if legacy else f"{named}, corrected", published_s, our_s, difference)


def measured(quick: bool) -> Iterator[dict[str, Any]]:
    torch.set_num_threads(1)
    vtk.vtkSMPTools.SetBackend("Sequential")
    sizes = Sizes.tiny() if quick else Sizes()
    yield from rotation_rows(sizes)
    yield from evolution_rows(sizes)


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Measure everything: what, published_s, ours_s, ratio, difference (largest, of the scores)."""
    return list(measured(quick))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    print("| | published procedure | morphobench | ratio | largest difference of the scores |")
    print("|---|---|---|---|---|")
    for found in measured(parser.parse_args().quick):
        times = f"{found['published_s']:.3g} s | {found['ours_s']:.3g} s | {found['ratio']:.1f}"
        print(f"| {found['what']} | {times} | {found['difference'] or 0:.0e} |", flush=True)


if __name__ == "__main__":
    main()
