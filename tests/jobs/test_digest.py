"""The source digest: meaning counts, words do not."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from morphobench.jobs import digest as digests

SCRIPTS = ROOT / "workflow/scripts"
SCRIPT = 'from morphobench import log\n\nif __name__ == "__main__":\n    pass\n'


def reachable(script, *chosen):
    return digests.reachable(SCRIPTS / f"{script}.py", frozenset(chosen))


def forget():
    for known in (digests._file_of, digests._parsed, digests._resolve, digests.digest):
        known.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(
        '"""Doc."""\nfrom morphobench import b\n\ndef f(x):\n    return b.g(x) + 1\n'
    )
    (tmp_path / "b.py").write_text("def g(x):\n    return 2 * x\n")
    (tmp_path / "c.py").write_text("def h(x):\n    return x\n")
    (tmp_path / "log.py").write_text("import sys\n")
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(digests, "PACKAGE", tmp_path)

    def digest(module: str, *chosen: str) -> str:
        forget()
        script = tmp_path / f"script_{module}.py"
        script.write_text(f"from morphobench import {module}\n{SCRIPT}")
        return digests.digest(script, frozenset(chosen))

    yield tmp_path, digest
    forget()


def test_comments_layout_and_docstrings_do_not_count(package):
    folder, digest = package
    before = digest("a")
    (folder / "a.py").write_text(
        '"""Other."""\nfrom morphobench import b  # why\n\n\ndef f(x):\n    """F."""\n    return b.g(x) + 1\n'
    )
    assert digest("a") == before


@pytest.mark.parametrize("suffix", [".html", ".npz"])
def test_a_template_or_table_beside_a_module_counts(package, suffix):
    folder, digest = package
    before = digest("a")
    (folder / "b").with_suffix(suffix).write_bytes(b"\xff1")
    with_file = digest("a")
    (folder / "b").with_suffix(suffix).write_bytes(b"\xff2")
    assert len({before, with_file, digest("a")}) == 3


def test_meaning_counts_also_in_what_is_imported(package):
    folder, digest = package
    before_a, before_c = digest("a"), digest("c")
    (folder / "b.py").write_text("def g(x):\n    return 3 * x\n")
    assert digest("a") != before_a
    assert digest("c") == before_c


def test_the_log_does_not_count(package):
    folder, digest = package
    before = digest("a")
    (folder / "log.py").write_text("import os\n")
    assert digest("a") == before


def test_of_modules_picked_by_name_the_chosen_count(package):
    folder, digest = package
    (folder / "a.py").write_text(
        "import importlib\n\ndef f(x):\n    importlib.import_module(f'morphobench.{x}')\n"
    )
    before = digest("a", "c"), digest("a", "b"), digest("a")
    (folder / "b.py").write_text("def g(x):\n    return 3 * x\n")
    after = digest("a", "c"), digest("a", "b"), digest("a")
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.parametrize("stage", ["download", "align", "mask", "sample"])
@pytest.mark.parametrize("kind", ["packing", "punctate", "polymorphic"])
def test_a_shard_depends_on_the_module_of_its_kind(stage, kind):
    assert f"morphobench.{stage}.{kind}" in reachable(stage, kind)


def test_what_a_job_picks_by_name_is_in_its_digest():
    assert "morphobench.plot.contact_sheet.punctate" in reachable("plot_cells", "punctate")
    assert "morphobench.plot.panels.shapes" in reachable("plot_figure", "shapes", "scores")
    assert "morphobench.plot.panels.shapes" not in reachable("plot_figure", "scores")
    assert "morphobench.models.classical_image" in reachable("train", "classical_image")
    assert "morphobench.models.classical_image" not in reachable("train", "rotation_invariant_image")


def test_the_look_of_the_training_curves_trains_no_model_again():
    assert not any(name.startswith("morphobench.plot") for name in reachable("train"))


def test_stages_do_not_depend_on_each_other_by_accident():
    assert "morphobench.train.run" not in reachable("embed")
    kinds = [path.stem for path in (ROOT / "src/morphobench/plot/panels").glob("[a-z]*.py")]
    for script in ("plot_figure", "plot_shapes"):
        assert "morphobench.models" not in reachable(script, *kinds)


def planning():
    """The imports of the rules, and of what plans without them."""
    texts = [path.read_text() for path in (ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk"))]
    lines = re.findall(r"^(?:from|import) morphobench.*$", "\n".join(texts), re.MULTILINE)
    assert len(lines) > 5
    return [*lines, "import morphobench.jobs.plan", "import morphobench.jobs.status"]


def scoring():
    """The imports of the stage `score` without a model, and every metric."""
    metrics = (ROOT / "src/morphobench/metrics").glob("[a-z]*.py")
    return [
        "import morphobench.score.stage",
        *(f"import morphobench.metrics.{one.stem}" for one in metrics),
    ]


@pytest.mark.parametrize("imports", [planning, scoring])
def test_what_needs_no_model_loads_no_torch(imports):
    lines = [*imports(), "import sys", "print('torch' in sys.modules, 'pandas' in sys.modules)"]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_every_import_by_name_is_understood():
    """A module that is imported by a name which the digest cannot follow would go unnoticed."""
    for path in sorted(Path(digests.PACKAGE).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                name = digests._name(node.args[0], "morphobench.x")
                assert name.startswith("morphobench.") or path.name == "shards.py", path


def test_what_was_parsed_is_kept_by_its_content(package, monkeypatch):
    folder, digest = package
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = digest("a")
    monkeypatch.setattr(digests, "_parse", lambda text, module: pytest.fail("parsed again"))
    assert digest("a") == before
    monkeypatch.undo()
    (folder / "b.py").write_text("def g(x):\n    return 3 * x\n")
    monkeypatch.setattr(digests, "PACKAGE", folder)
    for kept in (folder / "__pycache__").glob("a.*"):
        kept.write_text("broken")
    assert digest("a") != before
