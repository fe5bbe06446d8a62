"""A job starts fast: scripts load heavy libraries where they are used, not at the top."""

from __future__ import annotations

import json
import subprocess
import sys

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
    *("embed", "embed_scored"),
    *("published_checkpoint", "published_folder"),
    *("score_cost", "score_evolution"),
    *("train_baseline", "train_reuse", "train_weights"),
}
PICTURES = {"train", *(name for name in SCRIPTS if name.startswith(("plot_", "fabricate_")))}
# In this order, in one process: what scripts of a group may load when imported, beside what those before may.
# A training loads torch and Lightning later.
GROUPS = [(SCRIPTS - MODELS - PICTURES, []), (PICTURES, ["matplotlib", "scipy"]), (MODELS, ["torch"])]
PROGRAM = """
import json, runpy, sys
heavy = set(json.loads(sys.argv[1]))
for scripts, allowed in json.loads(sys.argv[2]):
    heavy -= set(allowed)
    for script in scripts:
        runpy.run_path(f"workflow/scripts/{script}.py", run_name="imported")
        if found := heavy & set(sys.modules):
            sys.exit(f"{script} loads {', '.join(sorted(found))}")
"""


def test_scripts_run_nothing_when_imported_and_load_heavy_libraries_only_where_they_use_them():
    # Without a snakemake object, anything that ran would raise NameError.
    assert MODELS <= SCRIPTS
    groups = [(sorted(scripts), allowed) for scripts, allowed in GROUPS]
    command = [sys.executable, "-c", PROGRAM, json.dumps(sorted(HEAVY)), json.dumps(groups)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
