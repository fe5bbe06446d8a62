"""The code digest: meaning counts, words do not."""

import pytest

from morphobench.jobs import digest as code


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(
        '"""Doc."""\nfrom morphobench import b\n\ndef f(x):\n    return b.g(x) + 1\n'
    )
    (tmp_path / "b.py").write_text("def g(x):\n    return 2 * x\n")
    (tmp_path / "c.py").write_text("def h(x):\n    return x\n")
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(code, "PACKAGE", tmp_path)

    def digest(module: str) -> str:
        code._parse.cache_clear()
        code.digest.cache_clear()
        return code.digest(f"morphobench.{module}")

    yield tmp_path, digest
    code._parse.cache_clear()
    code.digest.cache_clear()


def test_comments_layout_and_docstrings_do_not_count(package):
    folder, digest = package
    before = digest("a")
    (folder / "a.py").write_text(
        '"""Other."""\nfrom morphobench import b  # why\n\n\ndef f(x):\n    """F."""\n    return b.g(x) + 1\n'
    )
    assert digest("a") == before


def test_meaning_counts_also_in_what_is_imported(package):
    folder, digest = package
    before_a, before_c = digest("a"), digest("c")
    (folder / "b.py").write_text("def g(x):\n    return 3 * x\n")
    assert digest("a") != before_a
    assert digest("c") == before_c


def test_stages_do_not_depend_on_each_other_by_accident():
    assert "morphobench.train.run" not in code.reachable("morphobench.embed.run")
    assert not any("torch" in name for name in code.reachable("morphobench.score.stage"))
    for module in ("figure", "pages.shapes", "panels.scores", "panels.walks"):
        assert "morphobench.models" not in code.reachable(f"morphobench.plot.{module}")
