"""The published folder of preprocessed cells, checkpoints and embeddings, small, in its own form.

Cells are made up: balls and noise. What a table or file looks like is written from its description alone.
"""

import json
import shutil
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import plyfile
import tifffile
import torch
import trimesh
from fabricate.trained import intensity_config, small_config

from morphobench import models
from morphobench.published import checkpoint

PREFIX = "./morphology_appropriate_representation_learning"
N_CELLS = 4
SPLITS = ["train", "valid", "test", "train"]
RULES = [f"planar_gradient_{angle}deg" for angle in (0, 45, 90)] + [
    "surface_gradient",
    "random",
    "radial_gradient",
]
# Voxels along a side of the grids.
POLYMORPHIC = {"npm1": 32, "npm1_64_res": 64, "other_polymorphic": 32, "npm1_perturb": 32}
PUNCTATE = ("pcna", "other_punctate")
GRIDS = ("plane", "sphere")
_CUBE, _N_POINTS = 118, 20480


def write(root: Path, config: dict) -> Path:
    """Write the files of all seven data sets below `root`, with every name that the configuration lists."""
    _write_packings(root / "cellPACK_single_cell_punctate_structure")
    ids = {"cellpack": [f"{shape}_{rule}" for shape in _shape_ids(1) for rule in range(6)]}
    for name in PUNCTATE:
        ids[name] = _write_punctate(root, name)
    for name, edge in POLYMORPHIC.items():
        ids[name] = _write_polymorphic(root, name, edge)
    made = {grid: _tiny_checkpoints(root.parent / f"made_{grid}", config["models"], grid) for grid in GRIDS}
    for name, cells in ids.items():
        grid = "sphere" if name == "cellpack" else "plane"
        published = config["datasets"][name]["published"]
        for model, file in published["checkpoints"].items():
            _put_checkpoint(made[grid][model], root / file)
        for model, file in (published["embeddings"] or {}).items():
            ending = (".tiff" if "image" in model else ".ply") if name in PUNCTATE else ""
            _write_embeddings(root / file, [f"{cell}{ending}" for cell in cells])
    # Files that lie there too, and that no data set lists.
    other = root / "model_checkpoints/other_punctate/Rotation_invariant_pointcloud.ckpt"
    _put_checkpoint(made["plane"]["rotation_invariant_pointcloud"], other)
    _write_cellprofiler(root / "model_embeddings/npm1_perturb/cellprofiler.csv", ids["npm1_perturb"])
    return root


def _uuids(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [str(uuid.UUID(bytes=rng.bytes(16), version=4)) for _ in range(n)]


def _shape_ids(n: int) -> list[str]:
    return _uuids(n, 254)


def _write_table(path: Path, rows: dict) -> None:
    """Write a table as pandas does, with its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(path)


def _write_punctate(root: Path, name: str) -> list[str]:
    place = f"preprocessed_data/{name}"
    (root / place / "pc").mkdir(parents=True)
    cells = _uuids(N_CELLS, 1) if name == "pcna" else [str(700_000 + number) for number in range(N_CELLS)]
    rng = np.random.default_rng(3)
    for cell in cells:
        vertices = np.empty(_N_POINTS, dtype=[(axis, "<f8") for axis in "zyxs"])
        for axis in "zyx":
            vertices[axis] = rng.normal(0, 20, _N_POINTS)
        vertices["s"] = rng.uniform(0, 1, _N_POINTS)
        plyfile.PlyData([plyfile.PlyElement.describe(vertices, "vertex")]).write(
            str(root / place / f"pc/{cell}.ply")
        )
        image = rng.integers(0, 9, (_CUBE,) * 3).astype(np.float32)
        tifffile.imwrite(
            root / place / f"{cell}.ome.tiff", image, compression="zlib", metadata={"axes": "ZYX"}
        )
    labels = {
        "pcna": {
            "cell_stage_fine": ["G1", "earlyS", "unclear", "M1M2"],
            "flag_comment": ["no comment", "bad segmentation of PCNA", "no EGFP fluorescence", None],
            "volume_of_nucleus_um3": [400.0, 500.0, 600.0, 300.0],
        },
        "other_punctate": {
            "structure_name": ["SON", "RAB5A", "SON", "CETN2"],
            "cell_stage": ["M0"] * 3 + ["M4M5"],
        },
    }
    paths = {
        "pointcloud_path": [f"{PREFIX}/{place}/pc/{cell}.ply" for cell in cells],
        "image_path": [f"{PREFIX}/{place}/{cell}.ome.tiff" for cell in cells],
    }
    _write_table(root / place / "manifest.csv", {"CellId": cells, "split": SPLITS, **paths, **labels[name]})
    return cells


def _write_polymorphic(root: Path, name: str, edge: int) -> list[str]:
    place, n = f"preprocessed_data/{name}", edge**3
    drugs = name == "npm1_perturb"
    cells = _uuids(N_CELLS, 2) if drugs else [str(230_741 + number) for number in range(N_CELLS)]
    for folder in ("outputs_sdf", "outputs_seg", "outputs_mesh"):
        (root / place / folder).mkdir(parents=True)
    rng = np.random.default_rng(4)
    for number, cell in enumerate(cells):
        _write_shape(root / place, cell, edge, n, 0.25 * edge + number, rng)
    # The drugs have neither meshes nor a file of factors.
    factors = root / place / "scale_factor.npz"
    if not drugs:
        keys, values = np.array(list(map(int, cells)), object), np.array([0.4] * N_CELLS, object)
        np.savez(factors, keys=keys, values=values)
    rows = {"CellId": cells if drugs else [float(cell) for cell in cells], "split": SPLITS}
    for column, folder in {"sdf_path": "outputs_sdf", "seg_path": "outputs_seg"}.items():
        rows[column] = [f"{PREFIX}/{place}/{folder}/{cell}.npy" for cell in cells]
    rows["crop_seg_masked"] = [f"/allen/aics/somewhere/{cell}.tiff" for cell in cells]
    if drugs:
        rows |= {"condition": ["DMSO (control)", "Torin 1uM"] * 2, "plate_id": [121, 122, 145, 146]}
        rows["fov_id"] = [f"35000029{n}_100X_20190423_2hr-Scene-120-P121-E07" for n in (30, 30, 31, 31)]
    else:
        rows |= {"scale_factor": [f"{PREFIX}/{place}/scale_factor.npz"] * N_CELLS} | _pieces(name)
        rows |= {
            "mesh_folder": f"{PREFIX}/{place}/outputs_mesh/",
            "dna_shape_volume_lcc": [4e5, 5e5, 6e5, 7e5],
        }
        rows["pointcloud_folder"] = f"{PREFIX}/{place}/pointcloud/"
    _write_table(root / place / "manifest.csv", rows)
    return [
        f"{cell}-{'FBL' if name == 'other_polymorphic' else 'NPM1'}" if not drugs else cell for cell in cells
    ]


def _pieces(name: str) -> dict:
    """Return the columns of structures and their pieces: a text in some tables, absent in another."""
    names = ("surface_area", "volume")
    measured = {f"{kind}_{what}": [10.0, 20.0, 30.0, 40.0] for kind in ("mean", "std") for what in names}
    measured |= {"avg_dists": [1.0, 2.0, 3.0, 4.0], "std_dists": [1.0, 2.0, 3.0, 4.0]}
    measured["STR_connectivity_cc"] = [1, 2, 4, 7]
    texts = ["1.0", "2.0", "4.0", ">=5"]
    if name == "other_polymorphic":
        structures = {"structure_name": ["NPM1", "FBL", "LAMP1", "ST6GAL1"]}
        return measured | structures | {f"connectivity_cc_thresh_{edge}res": texts for edge in (32, 64)}
    return measured | {"structure_name": "NPM1", "STR_connectivity_cc_thresh": texts}


def _write_shape(folder: Path, cell: str, edge: int, n: int, radius: float, rng: np.random.Generator) -> None:
    """Write a ball: its distances and segmentation on a grid, its mesh, and points on and about it."""
    axis = np.arange(-(edge // 2), edge // 2)
    sdf = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij")), axis=0) - radius
    np.save(folder / f"outputs_sdf/{cell}.npy", sdf.astype(np.float64))
    np.save(folder / f"outputs_seg/{cell}.npy", (sdf <= 0).astype(np.uint8))
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=40)
    (folder / f"outputs_mesh/{cell}.stl").write_bytes(trimesh.exchange.stl.export_stl(mesh))
    clouds = folder / f"pointcloud/0/{cell}"
    clouds.mkdir(parents=True)
    normals = rng.normal(size=(n, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    place = {"loc": np.array([30.0, 60.0, 60.0]), "scale": np.float64(80)}
    half = np.float16
    np.savez(
        clouds / "pointcloud.npz", points=(normals / 2).astype(half), normals=normals.astype(half), **place
    )
    queries = rng.uniform(-0.5, 0.5, (n, 3)).astype(np.float32)
    distances = (np.linalg.norm(queries, axis=1) - 0.5).astype(np.float32)
    inside = np.packbits(distances < 0)
    np.savez(clouds / "points.npz", points=queries.astype(half), occupancies=inside, **place)
    np.save(clouds / "df.npy", distances)


def _write_packings(folder: Path) -> None:
    """Write one shape and its six packings, depth first in packing units; rules in the table end in _."""
    (folder / "packings/figures").mkdir(parents=True)
    (folder / "reference_nuclear_shapes").mkdir()
    (shape,) = _shape_ids(1)
    mesh = trimesh.creation.icosphere(subdivisions=3)
    mesh.apply_scale([40, 80, 90])
    mesh.export(folder / f"reference_nuclear_shapes/{shape}_0.obj")
    _write_table(folder / "reference_nuclear_shapes/manifest.csv", {"CellId": [shape], "angle": [0]})
    rng = np.random.default_rng(5)
    for rule in RULES:
        directions = rng.normal(size=(256, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        points = directions * np.cbrt(rng.uniform(0, 1, (256, 1))) * [36, 72, 81]
        name = f"pcna_analyze_{rule}_{shape}_0"
        content = {"0": {"nucleus_interior_pcna": points.tolist()}}
        (folder / f"packings/positions_{name}.json").write_text(json.dumps(content))
        image = np.zeros((472, 2, 472, 238), np.uint8)
        y, z, x = (
            np.round(points[:, axis] * 2 + middle).astype(int)
            for axis, middle in ((1, 236), (2, 236), (0, 119))
        )
        image[y, 1, z, x] = 255
        path = folder / f"packings/figures/voxelized_image_{name}_seed_0.ome.tiff"
        tifffile.imwrite(path, image, compression="zlib", metadata={"axes": "ZCYX"})
        (folder / f"packings/seeds_{name}.txt").write_text("0")
    rows = {"CellId": [f"{shape}_{number}" for number in range(6)], "rule": [f"{rule}_" for rule in RULES]}
    _write_table(folder / "manifest.csv", rows)


def _tiny_checkpoints(folder: Path, described: dict, grid: str) -> dict[str, Path]:
    """Write an untrained checkpoint with its yaml for each model of the configuration; clouds fold the grid.

    The points of a sphere are in a file of their own, which was not published beside it.
    """
    made = {}
    for model, chosen in described.items():
        intensity = bool(chosen["architecture"].get("intensity"))
        small = intensity_config() if intensity else small_config(chosen["family"])
        if small["representation"] == "points":
            small["architecture"]["grid"] = grid
        if intensity:
            small["architecture"]["variant"] = "published"
        torch.manual_seed(6)
        folder.mkdir(exist_ok=True)
        models.save(models.create(small["family"], **small["architecture"]), small, folder / f"{model}.pt")
        used = checkpoint.write(folder, {model: folder / f"{model}.pt"}, {"name": "tiny"}, 5)
        made[model] = folder / used["checkpoints"][model]
    return made


def _put_checkpoint(made: Path, path: Path) -> None:
    """Put a checkpoint, with what a trainer keeps beside its weights, and its yaml."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made.with_suffix(".yaml"), path.with_suffix(".yaml"))
    kept = {"epoch": 3, "global_step": 400, "pytorch-lightning_version": "2.0.9", "loops": {}}
    state = torch.load(made, weights_only=True)["state_dict"]
    optimizers = [
        {"state": {0: {"step": torch.tensor(400.0)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    ]
    torch.save(kept | {"state_dict": state, "optimizer_states": optimizers, "lr_schedulers": []}, path)


def _write_embeddings(path: Path, cells: list[str]) -> None:
    rng = np.random.default_rng(7)
    codes = {f"mu_{number}": rng.normal(size=len(cells)) for number in range(8)}
    splits = [SPLITS[number % N_CELLS] for number in range(len(cells))]
    _write_table(path, {"CellId": cells, **codes, "loss": rng.uniform(0, 1, len(cells)), "split": splits})


def _write_cellprofiler(path: Path, cells: list[str]) -> None:
    """Write a table of features of images: means, deviations and medians of what CellProfiler measures."""
    rng = np.random.default_rng(8)
    objects = (
        "Cells_AreaShape_Volume",
        "Nucleoli_AreaShape_Volume",
        "Nucleoli_Intensity_IntegratedIntensity",
    )
    names = [f"{kind}_{what}" for kind in ("Mean", "StDev", "Median") for what in objects]
    _write_table(path, {"CellId": cells, **{name: rng.normal(size=len(cells)) for name in names}})
