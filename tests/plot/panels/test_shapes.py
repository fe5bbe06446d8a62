"""The panel of shapes: strata, steps and archetypes that are few, unknown or missing."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate import plot_tables
from harness.figures import drawn, drawn_about, tables_of, words


def test_a_table_without_the_stratum_column_says_so(tmp_path):
    bare = plot_tables.inputs("fig2")["examples"].drop(columns="stratum")
    said = words(drawn_about("fig2", tmp_path, "examples", examples=bare))
    assert "has no column stratum" in " ".join(said)


@pytest.mark.parametrize("n_kept", [1, 2])
def test_one_or_two_strata_alone_are_drawn(n_kept, tmp_path):
    kept = list(plot_tables.strata_of("fig3"))[:n_kept]
    found = {
        key: table[table["stratum"].isin(kept)] if "stratum" in table else table
        for key, table in plot_tables.inputs("fig3").items()
    }
    said = words(drawn("fig3", tables_of("fig3", tmp_path, **found)))
    assert "G1" in said
    assert "G2" not in said


def test_a_stratum_of_one_cell_has_one_step(tmp_path):
    walks = plot_tables.inputs("fig2")["walks"]
    alone = walks["stratum"] == "random"
    page = drawn_about("fig2", tmp_path, "walks", walks=walks[~alone | (walks["sigma"] == 0)])
    assert {"random", "mean", "+2 sd"} <= words(page)


def test_strata_that_the_figure_does_not_know_follow_by_their_own_name(tmp_path):
    examples = plot_tables.inputs("fig3")["examples"]
    renamed = examples.assign(stratum=examples["stratum"].replace("G1", "M1M2"))
    table = tables_of("fig3", tmp_path, about=("examples",), examples=renamed)["a_examples"]
    assert table["stratum"].iloc[0] == "earlyS"
    assert table["stratum"].iloc[-1] == "M1M2"


@pytest.mark.parametrize("apart", [0.123, np.nan])
def test_how_far_other_starts_lie_stands_below_the_archetypes(apart, tmp_path):
    archetypes = plot_tables.inputs("fig2")["archetypes"].assign(start_distance=apart)
    said = " ".join(words(drawn_about("fig2", tmp_path, "archetypes", archetypes=archetypes)))
    assert ("other starts: 0.12 radii" in said) == (apart == apart)


def test_archetypes_of_a_collapsed_model_are_drawn(tmp_path):
    found = plot_tables.inputs("fig3")
    archetypes = found["archetypes"][found["archetypes"]["archetype"] == 0].assign(explained_variance=np.nan)
    weights = found["stratum_by_archetype"]
    weights = weights[weights["archetype"] == 0].assign(mean_weight=1.0, q=np.nan, assigned=False)
    changed = {"archetypes": archetypes, "stratum_by_archetype": weights}
    said = words(drawn_about("fig3", tmp_path, *changed, **changed))
    assert "archetype 1" in said
    assert "archetype 2" not in said
    # Of many tests, what is corrected for their number.
    assert "q" in said
    assert "p" not in said
