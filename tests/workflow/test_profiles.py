"""Profiles: found by name, true to the rules; and the plan of everything at paper scale."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import yaml
from harness.clone import job_counts, make_clone, snakemake
from harness.rules import rule_blocks
from paths import ROOT
from yte import process_yaml

from morphobench.jobs import plan

PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
CLASSES = ("LIGHT", "HEAVY", "GPU", "TRAIN")
SHARDED = ("download", "align", "mask")


def profile(name):
    return process_yaml((ROOT / f"profiles/{name}/config.yaml").read_text())


def class_of(name, blocks):
    """The class of a rule's resources: named, or that of the rule it is derived from, or LIGHT."""
    block = blocks[name][1]
    found = re.search(r"^ +resources:\n +\*\*(\w+),", block, re.MULTILINE)
    origin = re.match(r"use rule (\w+) as", block)
    return found[1] if found else class_of(origin[1], blocks) if origin else "LIGHT"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("clone") / "morphobench")


def test_there_are_the_profiles_the_readme_names():
    assert PROFILES == ["demo", "local", "slurm-cpu", "slurm-gpu", "workstation"]


def test_every_rule_has_a_class_of_resources():
    blocks = rule_blocks()
    assert {class_of(name, blocks) for name in blocks} == set(CLASSES)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_only_rules_that_exist(name):
    # Snakemake silently ignores a rule there that does not exist.
    assert set(profile(name).get("set-resources", {})) <= set(rule_blocks())


def test_both_clusters_group_rules_that_exist_and_are_submitted():
    (groups,) = {tuple(profile(name)["groups"]) for name in ("slurm-gpu", "slurm-cpu")}
    blocks = rule_blocks()
    for rule in (group.partition("=")[0] for group in groups):
        assert "localrule" not in blocks[rule][1]
        assert class_of(rule, blocks) in ("LIGHT", "HEAVY")


def parent_of(block: str) -> str:
    """The rule that another one uses, which has its localrule too."""
    return (re.match(r"use rule (\w+) as", block) or [None, ""])[1]


def test_the_plan_knows_what_is_not_submitted():
    local = {name for name, (_, block) in rule_blocks().items() if "localrule: True" in block}
    local |= {name for name, (_, block) in rule_blocks().items() if parent_of(block) in local}
    assert set(plan._LOCAL) == local - {"train_sweep"}


def test_exactly_what_computes_on_a_gpu_goes_to_the_gpu_partition(monkeypatch):
    monkeypatch.setenv("MORPHOBENCH_CPU_PARTITION", "short")
    monkeypatch.setenv("MORPHOBENCH_GPU_PARTITION", "a100s")
    settings, blocks = profile("slurm-gpu"), rule_blocks()
    assert settings["default-resources"]["slurm_partition"] == "short"
    partition = {name: chosen["slurm_partition"] for name, chosen in settings["set-resources"].items()}
    assert set(partition.values()) == {"a100s"}
    assert set(partition) == {name for name in blocks if class_of(name, blocks) in ("GPU", "TRAIN")}


@pytest.mark.parametrize("name", ["slurm-gpu", "slurm-cpu"])
def test_a_file_of_partitions_leaves_the_choice_to_the_plugin(name, monkeypatch, tmp_path):
    monkeypatch.setenv("SNAKEMAKE_SLURM_PARTITIONS", str(tmp_path / "partitions.yaml"))
    settings = profile(name)
    asked = [settings.get("default-resources", {}), *settings.get("set-resources", {}).values()]
    assert not [one for one in asked if "slurm_partition" in one]


def test_model_and_constraint_of_gpus_are_asked_for_only_when_named(monkeypatch):
    assert not {"gpu_model", "constraint"} & set(profile("slurm-gpu")["set-resources"]["train"])
    monkeypatch.setenv("MORPHOBENCH_GPU_MODEL", "a100")
    monkeypatch.setenv("MORPHOBENCH_CONSTRAINT", "bigmem")
    for chosen in profile("slurm-gpu")["set-resources"].values():
        assert (chosen["gpu_model"], chosen["constraint"]) == ("a100", "bigmem")


def test_retries_are_the_profiles_and_not_the_rules():
    # A rule's retries are repeated within the job, with its memory.
    assert not any(re.search(r"^    retries:", block, re.MULTILINE) for _, block in rule_blocks().values())
    assert profile("slurm-gpu")["retries"] == profile("slurm-cpu")["retries"] == 3


def test_the_workstation_is_counted(monkeypatch, tmp_path):
    listed = tmp_path / "nvidia-smi"
    listed.write_text("#!/bin/sh\necho 'GPU 0: one'\necho 'GPU 1: two'\n")
    listed.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = profile("local")
    assert found["resources"]["gpu"] == 2
    assert found["cores"] >= 1
    assert found["resources"]["mem_mb"] > 500


def test_seconds_long_tables_and_figures_start_no_job_of_a_cluster():
    blocks = rule_blocks()
    local = {name for name, (_, block) in blocks.items() if "    localrule: True\n" in block}
    tables = {"mask_box", "mask_scale_factor", "sample_manifest", "score_pairs", "train_sweep", "plot_figure"}
    assert tables <= local
    assert not any(class_of(name, blocks) in ("HEAVY", "GPU", "TRAIN") for name in local)
    for name in SHARDED:
        assert '    group:\n        "cells"\n' in blocks[name][1]


def planned_shards(configs, names):
    own = {name: configs[name]["n_shards"] for name in names}
    parts = {
        name: own[name] + sum(configs[other]["n_shards"] for other in configs[name].get("cells_from", []))
        for name in names
    }
    return own, parts


@pytest.mark.long
def test_everything_at_published_sizes(clone):
    """The number of jobs of every rule, from the configuration alone: no data, no download."""
    outputs = yaml.safe_load((ROOT / "config/config.yaml").read_text())["outputs"]
    names = outputs["datasets"]
    assert len(names) == 7
    configs = {name: yaml.safe_load((ROOT / f"config/datasets/{name}.yaml").read_text()) for name in names}
    kinds = Counter(configs[name]["kind"] for name in names)
    own, parts = planned_shards(configs, names)
    trainings = sum(len(configs[name]["models"]) for name in names)
    papers = f"outputs={{figures: [{', '.join(f'fig{number}' for number in range(2, 8))}]}}"
    counts = job_counts(
        snakemake(clone, "--profile", "slurm-gpu", "-n", "--config", papers, "--", "all").stdout
    )
    for rule in SHARDED:
        assert counts[rule] == sum(own.values())
    assert counts["sample"] == sum(parts.values())
    assert counts["sample_manifest"] == counts["score_table"] == counts["score_pairs"] == 7
    assert counts["mask_box"] == kinds["punctate"]
    assert counts["mask_scale_factor"] == kinds["polymorphic"]
    assert counts["train"] == trainings
    for rule in ("embed", "embed_scored", "score_evolution", "score_cost"):
        assert counts[rule] == trainings
    assert counts["score_model"] == trainings + counts["embed_baseline"]
    assert counts["total"] < 5000
    assert not (clone / "results/download").exists()


def test_shards_are_large_enough_for_a_job_and_small_enough_to_repeat():
    outputs = yaml.safe_load((ROOT / "config/config.yaml").read_text())["outputs"]
    for name in outputs["datasets"]:
        config = yaml.safe_load((ROOT / f"config/datasets/{name}.yaml").read_text())
        if config["n_shards"] and config["kind"] != "packing":
            assert 100 <= config["n_cells"] / config["n_shards"] <= 1500, name


@pytest.mark.parametrize("profile_name", ["slurm-cpu", "profiles/local"])
@pytest.mark.long
def test_other_profiles_plan_too(clone, profile_name):
    counts = job_counts(snakemake(clone, "--profile", profile_name, "-n", "figures/fig3.pdf").stdout)
    assert counts["train"] == 5


def test_without_gpus_no_job_asks_for_one(clone):
    overlay = yaml.safe_load((ROOT / profile("slurm-cpu")["configfile"][0]).read_text())
    assert overlay["train"] == {"accelerator": "cpu", "gpus": 0}
    assert "set-resources" not in profile("slurm-cpu")


def test_unknown_outputs_are_named(clone):
    done = snakemake(clone, "-n", "--config", "outputs={figures: [fig99]}", "--", "all", check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert "outputs.figures: unknown figure 'fig99'" in text
    assert "fig2" in text
    assert "Traceback" not in text


def test_all_at_demo_scale_is_the_demo(clone):
    counts = job_counts(snakemake(clone, "-n", "--config", "scale=demo", "--", "all").stdout)
    assert counts["plot_figure"] == 1
    assert counts["download"] == 2
