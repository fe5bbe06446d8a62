"""The overlay of the demo sets sizes, counts, epochs, voxels of coarser copies and places, no more."""

import fnmatch
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from paths import ROOT

from morphobench import config
from morphobench.config import schema

PUBLISHED = (
    *("cellpack", "pcna", "other_punctate"),
    *("npm1", "npm1_64_res", "other_polymorphic", "npm1_perturb"),
)
# Nothing here says how a file or a table is read.
ALLOWED = (
    "max_failed_fraction",
    *("outputs.datasets", "outputs.figures"),
    *("train.recipe", "train.accelerator", "train.gpus"),
    *("embed.n_uniform", "embed.error_points", "embed.sinkhorn_scaling"),
    *("score.n_pairs", "score.n_permutations"),
    *(
        "analyse.n_starts",
        "analyse.k_list",
        "analyse.n_permutations",
        "analyse.n_null",
        "analyse.n_exchanges",
    ),
    # Place, counts, folds, which models, and their epochs.
    *("datasets.*.source.location", "datasets.*.source.max_cells", "datasets.*.n_shards", "datasets.*.folds"),
    *("datasets.*.models", "datasets.*.benchmark", "datasets.*.analysis_model", "datasets.*.max_epochs.*"),
    # What a training starts from, and how fast it goes on.
    "datasets.*.start_weights.*",
    "datasets.*.lr.*",
    # Voxels of the coarser copies, and what is counted in them.
    *("datasets.*.source.spacing_um_zyx", "datasets.*.voxel_um"),
    *("datasets.*.align.margin_voxel", "datasets.*.mask.dilation_voxel", "datasets.*.mask.min_voxels"),
    *("datasets.*.sample.cube.size", "datasets.*.sample.cube.side_um", "datasets.*.sample.resolution"),
    *(f"datasets.*.sample.{key}" for key in ("points.n_points", "n_surface", "n_queries", "n_points")),
    *("datasets.*.subsample.n_points", "datasets.*.subsample.n_queries"),
    # The same of any data set of a kind; what else they may cut the schema says.
    "limits.*",
    # Smaller models.
    *("models.*.input_scale", "models.*.intensity.input_scale"),
    *("models.*.architecture.*", "models.*.training.*"),
)


def entries(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of nested mappings, joined by dots, and their values."""
    if not isinstance(content, Mapping):
        yield place, content
        return
    for key, value in content.items():
        yield from entries(value, f"{place}.{key}" if place else key)


def overlay() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config/demo.yaml").read_text())


def unwanted(content: dict[str, Any]) -> list[str]:
    """The keys that an overlay must not have."""
    keys = [key for key, _ in entries(content)]
    return [key for key in keys if not any(fnmatch.fnmatchcase(key, allowed) for allowed in ALLOWED)]


def test_the_overlay_sets_nothing_that_makes_reading_possible():
    assert not unwanted(overlay())


@pytest.mark.parametrize(
    "key", ["source.metadata", "source.columns", "source.channel_names", "channels", "labels", "outlier"]
)
def test_a_key_of_reading_is_noticed(key):
    content: dict[str, Any] = {}
    parts = f"datasets.npm1_perturb.{key}".split(".")
    inner = content
    for part in parts[:-1]:
        inner = inner.setdefault(part, {})
    inner[parts[-1]] = ["anything"]
    assert unwanted(content) == [".".join(parts)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_the_overlay_says_of_the_source_replaces_what_the_data_set_says_itself(name):
    own = yaml.safe_load((ROOT / f"config/datasets/{name}.yaml").read_text())["source"]
    replaced = overlay()["datasets"].get(name, {}).get("source", {})
    assert {key for key in replaced if own.get(key) is None} <= {"max_cells"}


def test_sizes_of_any_data_set_are_cut_but_neither_raised_nor_overrides_touched(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    own = yaml.safe_load((ROOT / "config/datasets/adrenal.yaml").read_text())
    own["sample"] |= {"n_surface": 1000, "n_queries": 9999}
    own["subsample"] |= {"n_points": 100, "n_queries": 9000}
    (tmp_path / "config/datasets/mine.yaml").write_text(yaml.safe_dump(own))
    settings = schema.merge(schema.read_yaml(ROOT / "config/config.yaml"), overlay())
    settings["datasets"] |= {"mine": {"sample": {"n_points": 5000}}}
    mine = config.resolve(settings, tmp_path)["datasets"]["mine"]
    sizes = {key: mine["sample"][key] for key in ("n_surface", "n_queries", "n_points", "resolution")}
    assert sizes == {"n_surface": 1000, "n_queries": 2048, "n_points": 5000, "resolution": 16}
    assert (mine["subsample"]["n_points"], mine["subsample"]["n_queries"]) == (100, 512)
