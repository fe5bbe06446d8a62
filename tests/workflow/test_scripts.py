"""Workflow scripts hand arguments over and nothing else; every rule has one, every one has a rule."""

from __future__ import annotations

import ast
import logging
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fabricate.packings import ellipsoid, packing_dataset, write_shapes
from harness.rules import rule_blocks
from paths import ROOT

from morphobench import files

WORKFLOW = ROOT / "workflow"
SCRIPTS = sorted((WORKFLOW / "scripts").glob("*.py"))
LOOPS = (ast.For, ast.While, ast.AsyncFor)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


class Items(list):
    """Files as snakemake hands them over: by number, and by name where they have one."""

    def __init__(self, *paths: object, **named: object) -> None:
        super().__init__(map(str, (*paths, *named.values())))
        self._named = named

    def get(self, name: str, default: object) -> object:
        return self._named.get(name, default)

    def items(self) -> list[tuple[str, object]]:
        return list(self._named.items())

    def __getattr__(self, name: str) -> object:
        try:
            return self._named[name]
        except KeyError:
            raise AttributeError(name) from None


@pytest.fixture(autouse=True)
def _loggers_as_before():
    logger = logging.getLogger("morphobench")
    before = list(logger.handlers)
    yield
    for handler in set(logger.handlers) - set(before):
        handler.close()
        logger.removeHandler(handler)
    logging.captureWarnings(False)


def call(name: str, folder: Path, **parts: object) -> None:
    """Run a script as snakemake would, with a stand-in for its `snakemake` object."""
    defaults = {"wildcards": SimpleNamespace(dataset="cellpack", shard="0"), "log": [str(folder / "a.log")]}
    snakemake = SimpleNamespace(**defaults | {"config": {"download": {}}} | parts)
    runpy.run_path(str(WORKFLOW / "scripts" / f"{name}.py"), {"snakemake": snakemake}, run_name="__main__")


def test_there_are_scripts():
    assert len(SCRIPTS) > 10


@each_script
def test_a_script_is_short_and_only_hands_over(script):
    text = script.read_text()
    assert len(text.splitlines()) <= 25
    nodes = list(ast.walk(ast.parse(text)))
    assert not [node for node in nodes if isinstance(node, (*LOOPS, *FUNCTIONS))]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    assert {name.split(".")[0] for name in imported} == {"morphobench"}


@each_script
def test_a_script_does_everything_behind_its_guard_inside_a_job(script):
    *imports, guard = ast.parse(script.read_text()).body
    assert all(isinstance(node, ast.Import | ast.ImportFrom) for node in imports)
    assert ast.unparse(guard).startswith("if __name__ == '__main__':\n    with log.job(snakemake.log[0]):")
    assert len(guard.body) == 1


def rule_texts() -> dict[str, str]:
    return {name: text for name, (_, text) in rule_blocks().items() if text.startswith("rule ")}


def test_every_rule_has_a_script_and_every_script_a_rule():
    used = {
        name: re.findall(r'^    script:\n        "\.\./scripts/(\w+\.py)"$', text, re.MULTILINE)
        for name, text in rule_texts().items()
    }
    assert {name: scripts for name, scripts in used.items() if len(scripts) != 1} == {}
    assert {script for scripts in used.values() for script in scripts} == {path.name for path in SCRIPTS}


def test_scripts_read_what_their_rule_declares():
    """Names after snakemake.input, .output and .params stand in the rule, or the rule unpacks a function."""
    missing = []
    for rule, text in rule_texts().items():
        script = re.search(r"\.\./scripts/(\w+\.py)", text)[1]
        body = (WORKFLOW / "scripts" / script).read_text()
        for kind, name in re.findall(r"snakemake\.(input|output|params)\.(\w+)", body):
            section = re.search(rf"^    {kind}:\n((?: {{8}}.*\n|\n)+)", text, re.MULTILINE)[1]
            made = f"{name}=" in section or "**" in section or "unpack(" in section
            # Snakefile adds the source digest to every rule.
            if name not in ("items", "get", "source_digest") and not made:
                missing.append(f"{rule}: {kind}.{name}")
    assert missing == []


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("source")
    shapes = {"1": ellipsoid([3, 2.5, 1.5]), "2": ellipsoid([2, 3, 1.8])}
    return packing_dataset(write_shapes(folder / "shapes", shapes)) | {"n_shards": 1, "form": "packing"}


def test_the_light_stages_run_one_after_the_other(source, tmp_path):
    params = {"seed": 1, "max_failed_fraction": 0.0}
    at = {stage: tmp_path / stage for stage in ("download", "align", "mask", "sample")}
    points = {"n_points": 64, "jitter_um": 0.01, "jitter_clip_um": 0.02}
    cube = {"size": 16, "side_um": 8.0, "radius_um": 0.1, "oversample": 2}
    own = {
        "download": {"dataset": source, "place": {}},
        "align": {"dataset": {"form": "packing", "voxel_um": source["voxel_um"]}},
        "mask": {"dataset": {"form": "packing", "mask": {"tolerance_um": 0.0, "min_points": 32}}},
        "sample": {"dataset": {"form": "packing", "sample": {"points": points, "cube": cube}}},
    }
    before = None
    for stage, folder in at.items():
        call(
            stage,
            tmp_path,
            input=Items(shard_in=before) if before else Items(manifest=None),
            output=Items(folder),
            params=SimpleNamespace(**params, **own[stage]),
        )
        assert files.read_cells(folder)["success"].all(), stage
        before = folder
    split = {"train": 0.5, "val": 0.0, "test": 0.5}
    options = {"split": split, "column": None, "n_folds": None, "label": "rule", "seed": 1}
    out = tmp_path / "manifest.parquet"
    parts = {"input": Items(shards=[before]), "output": Items(out)}
    call("sample_manifest", tmp_path, params=SimpleNamespace(**options), **parts)
    manifest = files.read_table(out)
    assert len(manifest) == 2 * len(source["rules"])
    assert manifest.groupby("group")["split"].nunique().eq(1).all()
    assert np.isfinite(files.read_array(at["sample"], "points_um")).all()
    assert files.read_array(at["sample"], "cube").shape == (12, 16, 16, 16)
    assert "done in" in (tmp_path / "a.log").read_text()


def test_a_script_stops_with_status_one_and_a_message(source, tmp_path):
    params = SimpleNamespace(dataset=source | {"form": "tissue"}, seed=1, max_failed_fraction=0.0, place={})
    with pytest.raises(SystemExit) as stopped:
        call("download", tmp_path, input=Items(manifest=None), output=Items(tmp_path / "out"), params=params)
    assert stopped.value.code == 1
    text = (tmp_path / "a.log").read_text()
    assert "tissue" in text
    assert "Traceback" not in text
    assert not (tmp_path / "out").exists()
