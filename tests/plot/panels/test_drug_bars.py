"""The panel of drug retrieval."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate import plot_tables
from harness.figures import drawn_about, words


@pytest.mark.parametrize("q", [1e-6, 1.0])
def test_all_hits_and_no_hit_are_drawn(q, tmp_path):
    found = plot_tables.inputs("fig7")
    changed = {name: found[name].assign(q=q) for name in ("retrieval", "lda_tests")}
    page = drawn_about("fig7", tmp_path, *changed, **changed)
    assert {"q = 0.05", "q < 0.05", "q \u2265 0.05"} <= words(page)


def test_a_discriminant_without_a_q_is_drawn_as_such(tmp_path):
    tests = plot_tables.inputs("fig7")["lda_tests"]
    tests["q"] = tests["q"].where(np.arange(len(tests)) > 1)
    said = words(drawn_about("fig7", tmp_path, "lda_tests", lda_tests=tests))
    assert "no q" in said


def test_treatments_without_a_q_say_so(tmp_path):
    retrieval = plot_tables.inputs("fig7")["retrieval"].assign(q=np.nan)
    said = words(drawn_about("fig7", tmp_path, "retrieval", retrieval=retrieval))
    assert "no treatment has a q: too few wells, or not known which" in said
