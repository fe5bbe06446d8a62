"""The rule graph: what may read what, what every rule declares, and how large the plan is."""

import graphlib
import re
import shutil
import statistics

import pytest
import yaml
from harness.clone import job_counts, make_clone, snakemake
from harness.rules import ALIAS, declared_rules, module_imports, rule_blocks
from paths import ROOT

STAGES = (
    *("fabricate", "download", "align", "mask", "sample", "train", "embed", "score", "analyse", "plot"),
    "published",
)
# Stage -> stages whose results its rules may read, besides its own.
ALLOWED = {
    "fabricate": set(),
    "download": {"fabricate"},
    "align": {"download"},
    "mask": {"align"},
    "sample": {"mask"},
    # With its weights a training records the box or the factor that its cells shared.
    "train": {"mask", "sample"},
    # Inputs for the encoder come from sample, for every stage that runs one.
    "embed": {"sample", "train"},
    # Costs and interpolations need the trained model itself.
    "score": {"sample", "train", "embed"},
    # Walks, archetypes and rotations are decoded.
    # Surfaces of the cells that figures display come from mask.
    # Features of published cells are compared with embeddings.
    "analyse": {"mask", "sample", "train", "embed", "published"},
    # A contact sheet shows cells after every stage of preprocessing.
    "plot": {"score", "analyse", "download", "align", "mask", "sample"},
    # Published files are read in place of any stage's results, and written from them.
    "published": {"download", "mask", "sample", "train", "embed", "score", "analyse"},
}
# What every package may import, and each of these only what stands before it. No stage imports another.
# `jobs` stands over the stages: what it says of a place comes from their own readers. So does `api`: a cell
# in memory passes the functions of the stages.
LOOKED_INTO = {"jobs": {"download", "published"}, "new": {"download"}, "api": {"align", "mask", "sample"}}
SHARED = ("errors", "log", "seeds", "geometry", "files", "remote", "config", "metrics", "models")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("clone") / "morphobench")


def test_stages_have_one_noun_each():
    for stage in STAGES:
        assert (ROOT / f"workflow/rules/{stage}.smk").is_file()
        assert (ROOT / "src/morphobench" / stage / "__init__.py").is_file()
    for name, (stage, _) in rule_blocks().items():
        assert name == stage or name.startswith(f"{stage}_"), name


def test_every_rule_declares_what_it_needs(clone):
    rules = declared_rules(clone)
    assert set(rules) == set(rule_blocks())
    for name, rule in rules.items():
        (log,), benchmark = rule["log"], rule["benchmark"]
        assert log.startswith(f"logs/{name}/"), f"rule {name} logs elsewhere"
        assert benchmark == f"benchmarks{log.removeprefix('logs').removesuffix('.log')}.tsv"
        assert "source_digest" in rule["params"]
        assert {"mem_mb", "runtime", "disk_mb", "gpu"} <= set(rule["resources"])
        assert all(rule[key] for key in ("conda", "script", "message")), f"rule {name} lacks something"


def test_rules_are_short_and_alike():
    lengths = []
    for name, (_, block) in rule_blocks().items():
        lines = [line for line in block.splitlines() if line.strip()]
        lengths.append(len(lines))
        assert len(lines) <= 45, f"rule {name} is long"
        assert not re.search(r"^    (run|shell|log|benchmark):", block, re.MULTILINE)
    assert statistics.median(lengths) <= 18
    assert not any(re.search(r"^checkpoint ", block, re.MULTILINE) for _, block in rule_blocks().values())


def test_a_figure_is_found_by_its_name():
    assert "figures/fig2.pdf" in (ROOT / "workflow/rules/plot.smk").read_text()


def rule_edges(clone, **settings):
    options = [f"{key}={value}" for key, value in {"scale": "paper", **settings}.items()]
    dot = snakemake(clone, "--rulegraph", "--config", *options, "--", "figures/fig2.pdf").stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', dot))
    return [(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", dot)]


def test_stages_read_only_what_they_may(clone):
    edges = rule_edges(clone)
    assert len(edges) > 15
    for source, target in edges:
        stage_from, stage_to = source.split("_")[0], target.split("_")[0]
        assert stage_from == stage_to or stage_from in ALLOWED[stage_to], f"{target} reads {source}"


def test_packages_import_only_what_they_may():
    graph = module_imports()
    assert len(graph) > 100
    for module, imported in graph.items():
        package = module.split(".")[1] if "." in module else ""
        before = SHARED[: SHARED.index(package)] if package in SHARED else SHARED
        for name in imported - {"morphobench"}:
            allowed = {package, *before} | LOOKED_INTO.get(package, set())
            assert name.split(".")[1] in allowed, f"{module} imports {name}"


def test_no_module_imports_itself_in_a_circle():
    list(graphlib.TopologicalSorter(module_imports()).static_order())


@pytest.mark.parametrize(
    ("entry", "left_out"),
    [
        pytest.param("preprocessed", {"align", "mask", "download", "sample"}, marks=pytest.mark.long),
        pytest.param("checkpoints", {"align", "mask", "download", "sample", "train"}, marks=pytest.mark.long),
        ("embeddings", {"align", "mask", "download", "sample", "train", "embed", "embed_scored"}),
    ],
)
def test_a_later_entry_leaves_out_what_comes_before_it_and_needs_no_network(clone, entry, left_out):
    edges = rule_edges(clone, start_from=entry)
    assert len(edges) > 5
    ran = {name for edge in edges for name in edge}
    assert not left_out & ran
    assert ("sample_manifest" in ran) == (entry != "embeddings")
    for source, target in edges:
        stage_from, stage_to = source.split("_")[0], target.split("_")[0]
        # Published files stand in for the results of every stage.
        allowed = stage_to == "published" or stage_from in ALLOWED[stage_to] | {"published", stage_to}
        assert allowed, f"{target} reads {source}"


def test_environments_exist_and_agree_with_the_pins():
    lock = dict(line.split("==") for line in (ROOT / "requirements.lock.txt").read_text().splitlines())
    used = {match for _, block in rule_blocks().values() for match in re.findall(r"envs/(\w+)\.yaml", block)}
    assert used == {path.stem for path in (ROOT / "envs").glob("*.yaml")}
    for name in used:
        entries = yaml.safe_load((ROOT / f"envs/{name}.yaml").read_text())["dependencies"]
        pip = next((entry["pip"] for entry in entries if isinstance(entry, dict)), [])
        pins = [
            re.split(r" ?==?", entry) for entry in [*entries, *pip] if isinstance(entry, str) and "=" in entry
        ]
        for package, version in pins:
            if package != "python":
                locked = lock[ALIAS.get(package, package)]
                assert (locked + ".").startswith(version + "."), (
                    f"{name}: {package} {version}, pinned {locked}"
                )


@pytest.mark.parametrize(
    ("figure", "shards"),
    [pytest.param("figures/fig2.pdf", 4, marks=pytest.mark.long), ("figures/fig3.pdf", 6)],
)
def test_the_cluster_profile_plans_by_its_bare_name(clone, figure, shards):
    counts = job_counts(snakemake(clone, "--profile", "slurm-gpu", "-n", figure).stdout)
    assert counts["download"] == counts["align"] == counts["mask"] == counts["sample"] == shards
    assert counts["train"] == counts["score_cost"] == counts["score_evolution"] == 5
    assert counts["score_model"] == 5 + counts["embed_baseline"]
    assert counts["embed"] == counts["embed_scored"] == 5
    assert counts.get("download_manifest", 0) == (figure == "figures/fig3.pdf")
    # Beside the shards, a plan has few jobs: none per cell.
    assert counts["total"] - 4 * shards < 80
    assert not (clone / "results/download").exists()


@pytest.mark.long
def test_real_cells_of_known_classes_are_scored_with_a_baseline_that_has_a_decoder(clone):
    targets = [f"results/score/{name}/scores.parquet" for name in ("red_blood_cells", "adrenal")]
    counts = job_counts(snakemake(clone, "--profile", "slurm-gpu", "-n", *targets).stdout)
    assert counts["download"] == counts["sample"] == 2 + 4
    # Red blood cells have five folds, adrenal glands an official split.
    assert counts["sample_fold"] == counts["score_fold_pairs"] == 5
    assert counts["train"] == 5 * 5 + 5
    assert counts["train_baseline"] == 5 + 1
    assert counts["embed_scored"] == counts["score_evolution"] == 5 * 6 + 6
    assert counts["embed"] == counts["embed_scored"]
    # A score is of all folds together; what a training costs is measured once.
    assert counts["score_cost"] == 2 * 5
    assert counts["score_model"] == 2 * (6 + counts["embed_baseline"] // 6)


@pytest.mark.long
def test_several_datasets_share_a_table(clone):
    target = "results/score/combined/nucleoli.parquet"
    counts = job_counts(snakemake(clone, "--profile", "slurm-gpu", "-n", target).stdout)
    assert counts["score_combined"] == 1
    assert counts["score_table"] == 2
    # Five models and four baselines of each.
    assert counts["score_model"] == 18


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "sed=1"], ["unknown key 'sed'", "did you mean 'seed'"]),
        (["--config", "scale=huge"], ["scale must be one of demo, "]),
    ],
)
def test_a_bad_configuration_stops_before_the_plan(clone, arguments, words):
    done = snakemake(clone, "-n", *arguments, "--", "figures/fig2.pdf", check=False)
    assert done.returncode == 1
    text = done.stdout + done.stderr
    for word in words:
        assert word in text
    assert "Traceback" not in text
    assert ".smk" not in text


def test_a_missing_source_is_named_with_its_remedy(clone):
    change = "datasets={cellpack: {n_shards: 1, source: {shapes: no/such/folder}}}"
    done = snakemake(
        clone,
        "-c1",
        "--show-failed-logs",
        "--config",
        "scale=demo",
        change,
        "--",
        "results/download/cellpack/shard-0",
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert "no/such/folder" in text
    assert "Traceback" not in text
    assert not (clone / "results/download/cellpack/shard-0").exists()


@pytest.mark.long
def test_a_broken_mesh_is_named_and_the_others_are_kept(clone):
    source = clone / "few_shapes"
    source.mkdir()
    whole = ROOT / "workflow/resources/nuclei_series006"
    lines = (whole / "manifest.csv").read_text().splitlines()
    (source / "manifest.csv").write_text("\n".join(lines[:4]) + "\n")
    names = [line.split(",")[0] for line in lines[1:4]]
    for name in names:
        shutil.copy(whole / f"{name}_0.ply", source)
    broken = source / f"{names[0]}_0.ply"
    broken.write_bytes(broken.read_bytes()[:-200])
    config = ["--config", "scale=demo", "datasets={cellpack: {n_shards: 1, source: {shapes: few_shapes}}}"]
    target = "results/download/cellpack/shard-0"
    done = snakemake(clone, "-c1", *config, "--", target, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    assert "6 of 18 cells failed" in text
    assert broken.name in text
    assert "Traceback" not in text
    snakemake(clone, "-c1", *config, "max_failed_fraction=0.4", "--", target)
    import pandas as pd

    cells = pd.read_parquet(clone / target / "cells.parquet")
    assert len(cells) == 18
    assert cells["success"].sum() == 12
    assert cells.loc[~cells["success"], "error"].str.contains(broken.name).all()
