"""Intervals and p values of scores are right; quick versions of the simulations, and the page of docs."""

import re

import numpy as np
import pytest
from check_statistics import DOCS, faults, table, write
from simulate_scores import KINDS, LEVEL, MEANS, STATISTICS, cells, covered, p_values, pair_values

# Four standard errors of the share that is promised, of so many test sets.
N, N_P = 120, 150
SLACK = 4 * np.sqrt(0.95 * 0.05 / N)
MOST = 0.05 + 4 * np.sqrt(0.95 * 0.05 / N_P)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_units", [4, 16])
def test_intervals_hold_the_truth_with_few_units(kind, n_units):
    assert covered(kind, n_units, N) >= 0.95 - SLACK


@pytest.mark.parametrize("kind", [*MEANS, *STATISTICS])
def test_two_models_that_are_alike_seldom_differ(kind):
    p = p_values(kind, 8, N_P)
    p = p[np.isfinite(p)]
    assert 0 < (p <= LEVEL).mean() <= MOST
    assert np.isnan(p_values(kind, 4, 2)).all()


def test_cells_taken_for_units_would_be_too_sure():
    """What the simulations are for: they see an interval that is too narrow."""
    held = []
    for seed in range(N):
        drawn = cells(16, np.random.default_rng((2, seed)))
        half = 1.96 * drawn.error.std() / np.sqrt(len(drawn.error))
        held.append(abs(drawn.error.mean() - np.exp(0.3**2 / 2)) <= half)
    assert np.mean(held) < 0.95 - SLACK


def test_values_of_pairs_share_what_their_units_have():
    values, groups = pair_values(400, np.random.default_rng(0))
    assert len(values) == len(set(groups)) == 117
    many = np.concatenate([pair_values(4, np.random.default_rng(seed))[0] for seed in range(200)])
    assert many.var() == pytest.approx(1, rel=0.15)


def test_tables_go_between_their_marks_and_name_what_fails(tmp_path):
    rows = [{"95 % interval of": "means", "4 units": 0.91, "8 units": np.nan, "n": 3}]
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- coverage -->\nold\n<!-- end of coverage -->\nz\n")
    for _ in range(2):
        write(page, {"coverage": table(rows)})
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1], lines[-3]) == ("a", "z", "| means | 0.910 | - | 3 |")
    assert "old" not in lines
    level = {"test": "strata", "without effect, but": "units", "share of p <= 0.05": 0.08}
    level |= {"with p": 1.0, "n": 3}
    assert faults(rows, [level]) == ["interval of means, 4 units: 0.910", "p of strata, units: 0.080"]
    rare = {"share of p <= 0.05": 0.01}
    assert len(faults([rows[0] | {"4 units": 0.99}], [level | rare])) == 2
    assert not faults([rows[0] | {"4 units": 0.93}], [level | {"share of p <= 0.05": 0.03}])


def test_the_page_has_every_interval_and_test():
    text = DOCS.read_text()
    for name in KINDS:
        assert re.search(rf"^\| {name} \|", text, re.MULTILINE), name
    for name in (*MEANS, *STATISTICS):
        assert f"| two models, {name} |" in text
    assert all(f"| {test} |" in text for test in ("retrieval", "discriminant", "strata"))
