"""Small versions of the fabricated buckets in a temporary folder, and the demo's data sets over them."""

from __future__ import annotations

import copy
from pathlib import Path

import yaml
from paths import ROOT

from morphobench import config
from morphobench.config import schema
from morphobench.fabricate import bucket, description

PCNA, HIPSC, DRUGS = BUCKETS = (
    "nuclear_project_dataset_4",
    "hipsc_single_cell_image_dataset",
    "NPM1_single_cell_drug_perturbations",
)
SEED = 7


def bucket_description(name: str, n: int | None = None) -> dict:
    """The bucket's description, with n cells of each class."""
    content = copy.deepcopy(description.read(name, {}, ROOT))
    for look in content["classes"].values():
        look["n"] = n or look["n"]
    return content


def write_bucket(folder: Path, name: str, n: int = 1) -> Path:
    bucket.run(folder / name, name=name, bucket=bucket_description(name, n), seed=SEED)
    return folder / name


def demo_config() -> dict:
    """The resolved configuration at demo scale."""
    paper, overlay = (
        yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("config", "demo")
    )
    return config.resolve(schema.merge(paper, overlay), ROOT)


def bucket_dataset(name: str, folder: Path) -> dict:
    """A data set at demo scale, reading the buckets in a folder."""
    dataset = demo_config()["datasets"][name]
    dataset["source"]["location"] = dataset["source"]["location"].replace("results/bucket", str(folder))
    return dataset


# Edges of a voxel as published, z, y, x.
TRUE_UM = {PCNA: (0.108, 0.108, 0.108), HIPSC: (0.108333, 0.108333, 0.108333), DRUGS: (0.29, 0.108, 0.108)}
# Nuclei of small cells, which cost little at true voxels.
_SMALL_UM3 = {PCNA: [60, 66], HIPSC: [60, 66], DRUGS: [250, 270]}


def write_true_bucket(folder: Path, name: str, labels: list[str], **replaced) -> Path:
    """Write a bucket at true voxel size with one small cell of some classes; keywords replace its keys."""
    described = bucket_description(name, 1) | {"spacing_um_zyx": list(TRUE_UM[name]), "odd": []} | replaced
    described["classes"] = {label: described["classes"][label] for label in labels}
    for look in (described, *described["classes"].values()):
        look["nucleus"] = look.get("nucleus", {}) | {"volume_um3": _SMALL_UM3[name]}
    bucket.run(folder / name, name=name, bucket=described, seed=SEED)
    return folder / name
