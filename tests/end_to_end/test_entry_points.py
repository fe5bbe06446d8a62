"""The demo's results, published and started from again: the same cells, codes and figure at every entry."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pypdf
import pytest
import yaml
from harness.clone import job_counts, make_clone, snakemake

from morphobench import files
from morphobench.files.tables import embedding_matrix

pytestmark = [pytest.mark.end_to_end, pytest.mark.long]

# Less of what is not looked at here.
QUICK = {
    "embed": {"n_uniform": 1, "error_points": 64},
    "score": {"n_pairs": 4, "n_jackknife": 50},
    "analyse": {"n_starts": 1},
    "baselines": {name: {"kinds": []} for name in ("pairwise_histogram", "harmonic_power")},
}
# One model of cubes and one of clouds; each for an epoch where they are trained.
MODELS = ["classical_image", "rotation_invariant_pointcloud_jitter"]
CORES = str(min(os.cpu_count(), 4))
FIGURE = "figures/fig2.pdf"


@pytest.fixture(scope="module")
def bucket(demo):
    """The published folder of the finished demo."""
    snakemake(demo, "--profile", "profiles/demo", "--cores", CORES, "results/publish/cellpack")
    return demo / "results/publish/cellpack"


class Entered(NamedTuple):
    """A clone that started from published files, and the rules that ran by then."""

    clone: Path
    ran: set[str]


def start(clone, bucket, entry, *targets, extra_path=None):
    """Make targets in a clone from one entry."""
    overlay = yaml.safe_load((bucket / "published.yaml").read_text())
    overlay["datasets"]["cellpack"]["published"]["location"] = str(bucket)
    overlay["datasets"]["cellpack"] |= {"models": MODELS, "benchmark": MODELS, "analysis_model": MODELS[1]}
    overlay |= QUICK
    overlay["models"] = {model: {"training": {"max_epochs": 1}} for model in MODELS}
    (clone / "published.yaml").write_text(yaml.safe_dump(overlay))
    command = [str(Path(sys.executable).with_name("snakemake")), "--profile", "profiles/demo"]
    command += ["--cores", CORES, "--configfile", "published.yaml"]
    command += ["--config", "scale=demo", f"start_from={entry}", "--", *targets]
    environment = {**os.environ, **({"PYTHONPATH": str(extra_path)} if extra_path else {})}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = [path.relative_to(clone / "logs").parts[0] for path in (clone / "logs").rglob("*.log")]
    return Entered(clone, {name.removesuffix(".log") for name in logs})


@pytest.fixture(scope="module")
def checkpoints(bucket, tmp_path_factory):
    """Figure 2 from published checkpoints."""
    clone = make_clone(tmp_path_factory.mktemp("published") / "morphobench")
    return start(clone, bucket, "checkpoints", FIGURE)


@pytest.fixture(scope="module")
def preprocessed(bucket, checkpoints):
    """Models trained on the published cells, in the same clone."""
    weights = [f"results/train/cellpack/{model}/seed-42/model.pt" for model in MODELS]
    return start(checkpoints.clone, bucket, "preprocessed", *weights)


def figure_text(clone):
    pdf = pypdf.PdfReader(clone / FIGURE)
    return " ".join(" ".join(page.extract_text() for page in pdf.pages).split())


def clouds(folder):
    """Clouds and cubes of every cell of a run, by CellId."""
    manifest = pd.read_parquet(folder / "results/sample/cellpack/manifest.parquet")
    found = {}
    for number, rows in manifest.groupby("shard"):
        shard = folder / f"results/sample/cellpack/shard-{number}"
        points_um, cube = files.read_array(shard, "points_um"), files.read_array(shard, "cube")
        found |= {row.CellId: (points_um[row.index], cube[row.index]) for row in rows.itertuples()}
    return found, manifest.set_index("CellId")


def codes(folder, model):
    path = folder / f"results/embed/cellpack/{model}/seed-42/identity.parquet"
    return pd.read_parquet(path).sort_values("CellId", ignore_index=True)


def test_the_folder_has_the_published_layout(bucket):
    root = bucket / "cellPACK_single_cell_punctate_structure"
    manifest = pd.read_csv(root / "manifest.csv", dtype={"CellId": str})
    assert len(manifest) == 192
    assert {"CellId", "rule", "split"} <= set(manifest)
    assert len(list((root / "packings").glob("positions_pcna_analyze_*.json"))) == 192
    assert len(list((root / "packings/figures").glob("voxelized_image_*_seed_0.ome.tiff"))) == 192
    assert len(list((root / "reference_nuclear_shapes").glob("*.obj"))) == 32
    table = pd.read_csv(bucket / "model_embeddings/cellpack/Classical_image.csv")
    assert list(table)[:3] == ["Unnamed: 0", "CellId", "mu_0"]
    assert list(table)[-2:] == ["loss", "split"]
    for checkpoint in (bucket / "model_checkpoints/cellpack").glob("*.ckpt"):
        assert checkpoint.with_suffix(".yaml").is_file()


def test_checkpoints_give_the_embeddings_of_the_run_and_nothing_is_trained(demo, checkpoints):
    for model in MODELS:
        before, after = codes(demo, model), codes(checkpoints.clone, model)
        assert before["CellId"].tolist() == after["CellId"].tolist()
        np.testing.assert_allclose(embedding_matrix(after), embedding_matrix(before), atol=1e-5)
    assert "published_checkpoint" in checkpoints.ran
    assert not {"download", "align", "mask", "sample", "train"} & checkpoints.ran
    assert "archetype 1" in figure_text(checkpoints.clone)


def test_preprocessed_cells_are_the_same_and_models_train_on_them(demo, preprocessed):
    (before, cells), (after, again) = clouds(demo), clouds(preprocessed.clone)
    assert set(before) == set(after)
    for cell, (points_um, cube) in before.items():
        np.testing.assert_allclose(after[cell][0], points_um, atol=1e-4)
        np.testing.assert_array_equal(after[cell][1], cube)
    assert again["split"].to_dict() == cells["split"].to_dict()
    assert {"published_cells", "train"} <= preprocessed.ran
    assert not {"download", "align", "mask", "sample"} & preprocessed.ran
    config = ("--configfile", "published.yaml", "--config", "scale=demo", "start_from=preprocessed")
    plan = job_counts(snakemake(preprocessed.clone, "-n", *config, "--", FIGURE).stdout)
    assert plan["plot_figure"] == plan["analyse_embeddings"] == 1
    assert not {"train", "published_checkpoint"} & set(plan)


def test_embeddings_are_the_same_and_need_no_torch(demo, bucket, tmp_path):
    trap = tmp_path / "trap"
    trap.mkdir()
    (trap / "torch.py").write_text("raise ImportError('torch is not to be imported')\n")
    probe = [sys.executable, "-c", "import torch"]
    environment = {**os.environ, "PYTHONPATH": str(trap)}
    assert subprocess.run(probe, env=environment, capture_output=True).returncode != 0
    clone, ran = start(make_clone(tmp_path / "morphobench"), bucket, "embeddings", FIGURE, extra_path=trap)
    for model in MODELS:
        before, after = codes(demo, model), codes(clone, model)
        assert before["CellId"].tolist() == after["CellId"].tolist()
        np.testing.assert_array_equal(embedding_matrix(after), embedding_matrix(before))
        unmatched = clone / f"results/embed/cellpack/{model}/seed-42/identity_unmatched.csv"
        assert len(pd.read_csv(unmatched)) == 0
    assert {"published_embedding", "published_labels", "published_examples"} <= ran
    assert not {"download", "sample", "train", "embed", "published_cells"} & ran
    assert not list((clone / "results/sample/cellpack").glob("shard-*"))
    text = figure_text(clone)
    assert "started from published embeddings" in text
    assert "planar 45" in text
    scores = pd.read_parquet(clone / "results/score/cellpack/scores.parquet")
    here = scores[(scores["metric"] == "classification_rule_top_1") & (scores["variant"] == "corrected")]
    assert here["value"].notna().all()
    absent = scores[scores["metric"] == "evolution_energy"]
    assert absent["value"].isna().all()
    assert absent["reason"].str.len().gt(0).all()
