"""The panel of drug retrieval."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate import plot_tables
from harness.figures import drawn, tables_of, words


@pytest.mark.parametrize("q", [1e-6, 1.0])
def test_all_hits_and_no_hit_are_drawn(q, tmp_path):
    found = plot_tables.inputs("fig7")
    tests = found["lda_tests"].assign(q=q)
    tables = tables_of("fig7", tmp_path, retrieval=found["retrieval"].assign(q=q), lda_tests=tests)
    page = drawn("fig7", tables, about=("retrieval", "lda_tests"))
    assert {"q = 0.05", "q < 0.05", "q \u2265 0.05"} <= words(page)


def test_a_discriminant_without_a_q_is_drawn_as_such(tmp_path):
    tests = plot_tables.inputs("fig7")["lda_tests"]
    tests["q"] = tests["q"].where(np.arange(len(tests)) > 1)
    said = words(drawn("fig7", tables_of("fig7", tmp_path, lda_tests=tests), about=("lda_tests",)))
    assert "no q" in said


def test_treatments_without_a_q_say_so(tmp_path):
    retrieval = plot_tables.inputs("fig7")["retrieval"].assign(q=np.nan)
    said = words(drawn("fig7", tables_of("fig7", tmp_path, retrieval=retrieval), about=("retrieval",)))
    assert "no treatment has a q: too few wells, or not known which" in said
