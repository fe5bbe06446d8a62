"""A job starts fast: scripts load heavy libraries where they are used, not at the top."""

from __future__ import annotations

import subprocess
import sys

import pytest
from paths import ROOT

SCRIPTS = {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}
HEAVY = {
    "torch",
    "pytorch_lightning",
    "scipy",
    "sklearn",
    "skimage",
    "trimesh",
    "igl",
    "matplotlib",
    "anndata",
}
MODELS = {
    "analyse_decoded",
    "analyse_rotations",
    *("embed", "embed_invariances", "embed_reconstruction"),
    *("published_checkpoint", "published_folder"),
    *("score_cost", "score_evolution"),
    *("train_baseline", "train_reuse", "train_weights"),
}
PICTURES = {"train", *(name for name in SCRIPTS if name.startswith(("plot_", "fabricate_")))}
# What all scripts of a group may load when they are imported; a training loads torch and Lightning later.
GROUPS = {
    "models": (MODELS, {"torch"}),
    "pictures": (PICTURES, {"matplotlib", "scipy"}),
    "others": (SCRIPTS - MODELS - PICTURES, set()),
}
PROGRAM = """
import runpy, sys
heavy, *scripts = sys.argv[1:]
for script in scripts:
    runpy.run_path(f"workflow/scripts/{script}.py", run_name="imported")
    if found := set(heavy.split()) & set(sys.modules):
        sys.exit(f"{script} loads {', '.join(sorted(found))}")
"""


@pytest.mark.parametrize("group", GROUPS)
def test_scripts_load_heavy_libraries_only_where_they_use_them(group):
    scripts, allowed = GROUPS[group]
    assert scripts <= SCRIPTS
    command = [sys.executable, "-c", PROGRAM, " ".join(HEAVY - allowed), *sorted(scripts)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
