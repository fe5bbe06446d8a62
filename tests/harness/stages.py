"""The stages from download to sample, and the later entries, in this process as the rules call them."""

from pathlib import Path
from typing import Any

import pandas as pd

from morphobench import files
from morphobench.config import model_for
from morphobench.config.needs import form_of, source_needs
from morphobench.download import index
from morphobench.errors import InputError
from morphobench.files.shards import stage_module
from morphobench.mask import box, scale_factor
from morphobench.published import checkpoint, embedding, manifest, shard
from morphobench.remote import is_remote
from morphobench.sample import manifest as sample_manifest

STAGES = ("download", "align", "mask", "sample")


def run_stages(config: dict[str, Any], name: str, root: Path) -> pd.DataFrame:
    """Run a data set from its source to its manifest below `root`; return that by CellId.

    Data sets whose cells it shares have been run there.
    """
    dataset = config["datasets"][name]
    for number in range(dataset["n_shards"]):
        _to_masks(config, name, number, root)
    names = [name, *dataset.get("cells_from", [])]
    masks = [
        folder(root, "mask", other, number)
        for other in names
        for number in range(config["datasets"][other]["n_shards"])
    ]
    shared = _shared(dataset, masks, root / f"{name}_shared")
    for number, masked in enumerate(masks):
        out = folder(root, "sample", name, number)
        settings = {"seed": config["seed"], "max_failed_fraction": config["max_failed_fraction"]}
        module = stage_module("sample", form_of(dataset))
        module.run(masked, out, dataset_name=name, **shared, **dataset["sample"], **settings)
    sampled = {number: folder(root, "sample", name, number) for number in range(len(masks))}
    out, split = root / f"sample/{name}/manifest.parquet", config["sample"]["split"]
    column = dataset.get("split")
    sample_manifest.run(sampled, out, split=split, seed=config["seed"], dataset_name=name, column=column)
    return files.read_table(out).set_index("CellId")


def folder(root: Path, stage: str, name: str, number: int) -> Path:
    return root / f"{stage}/{name}/shard-{number}"


def _to_masks(config: dict[str, Any], name: str, number: int, root: Path) -> None:
    dataset = config["datasets"][name] | source_needs(config["datasets"][name])
    failed = {"max_failed_fraction": config["max_failed_fraction"]}
    table, download_config = None, config["download"] | {"cache": str(root / "cache")}
    if is_remote(dataset["source"].get("location")):
        table = root / f"download/{name}/manifest.parquet"
        index.run(table, dataset=dataset, download_config=download_config)
    at = {stage: folder(root, stage, name, number) for stage in STAGES}
    modules = {stage: stage_module(stage, dataset["form"]) for stage in STAGES}
    part = {"shard": number, "n_shards": dataset["n_shards"], "seed": config["seed"]}
    place = {"manifest": table, "download_config": download_config}
    modules["download"].run(at["download"], dataset=dataset, **part, **place, **failed)
    modules["align"].run(at["download"], at["align"], dataset=dataset, **failed)
    modules["mask"].run(at["align"], at["mask"], **dataset["mask"], **failed)


def _shared(dataset: dict[str, Any], masks: list[Path], out: Path) -> dict[str, Path]:
    """Write what the shards of a data set share; return it by its argument of stage `sample`."""
    if dataset["kind"] == "punctate":
        box.run(masks, out, **dataset["box"])
        return {"box": out}
    if dataset["kind"] == "polymorphic":
        settings = dataset["scale_factor"] | {"resolution": dataset["sample"]["resolution"]}
        out = out.with_suffix(".parquet")
        scale_factor.run(masks, out, **settings)
        return {"scale_factor": out}
    return {}


def run_entry(config: dict[str, Any], name: str, root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run a data set from the published files of its entry below `root`.

    Returns
    -------
    cells
        Its manifest by CellId; from embeddings, what is published of the cells that are used.
    read
        By model, what its checkpoint or its embeddings became: a path, or the error that says why not.
    """
    dataset = config["datasets"][name] | source_needs(config["datasets"][name])
    download_config = config["download"] | {"cache": str(root / "cache")}
    place = {"dataset": dataset, "download_config": download_config}
    table, entry = root / f"published/{name}.parquet", dataset["start_from"]
    manifest.run(table, max_cells=dataset["source"]["max_cells"], **place)
    readers = {"checkpoints": _read_checkpoint, "embeddings": _read_embedding}
    read: dict[str, Any] = {}
    for model in dataset["models"] if entry in readers else ():
        try:
            read[model] = readers[entry](config, model, table, root / f"{entry}/{name}/{model}", place)
        except InputError as error:
            read[model] = error
    if entry == "embeddings":
        return manifest.read_used(table).set_index("CellId"), read
    shards = [folder(root, entry, name, number) for number in range(dataset["n_shards"] or 1)]
    settings = {"seed": config["seed"], "max_failed_fraction": config["max_failed_fraction"]}
    for number, out in enumerate(shards):
        shard.run(table, out, shard=number, n_shards=len(shards), **place, **settings)
    out, split = root / f"{entry}/{name}/manifest.parquet", config["sample"]["split"]
    column = {"split": split, "column": dataset["split"], "seed": config["seed"], "dataset_name": name}
    sample_manifest.run(dict(enumerate(shards)), out, **column)
    return files.read_table(out).set_index("CellId"), read


def _read_checkpoint(config: dict[str, Any], model: str, _: Path, out: Path, place: dict[str, Any]) -> Path:
    dataset, outs = place["dataset"], (out / "model.pt", out / "record.json")
    out.mkdir(parents=True)
    chosen = model_for(config, dataset["name"], model)
    known = {"model": model, "model_config": chosen, "seed": 42, "source_digest": ""}
    checkpoint.run(*outs, **known, **place)
    return outs[0]


def _read_embedding(_: dict[str, Any], model: str, table: Path, out: Path, place: dict[str, Any]) -> Path:
    out.mkdir(parents=True)
    outs = [out / name for name in ("identity.parquet", "reconstruction.parquet", "unmatched.csv")]
    embedding.run(table, *outs, model=model, **place)
    return outs[0]
