"""What `snakemake all` makes: scores of data sets, and figures."""

import pytest

from morphobench.config import outputs
from morphobench.errors import InputError


def paths(datasets, figures):
    config = {"datasets": {"cellpack": {}, "pcna": {}}, "figures": {"fig2": {}, "fig3": {}}}
    return outputs.paths(config | {"outputs": {"datasets": datasets, "figures": figures}})


def test_scores_of_the_data_sets_and_figures_are_made():
    assert paths(["pcna"], ["fig3"]) == ["results/score/pcna/scores.parquet", "figures/fig3.pdf"]
    assert paths([], None) == ["figures/fig2.pdf", "figures/fig3.pdf"]
    assert paths([], []) == []


@pytest.mark.parametrize(
    ("datasets", "figures", "reason"),
    [
        (["pnca"], None, "outputs.datasets: unknown dataset 'pnca'; config/datasets has cellpack, pcna"),
        ([], ["fig9"], "outputs.figures: unknown figure 'fig9'; config/figures has fig2, fig3"),
    ],
)
def test_an_unknown_output_is_named(datasets, figures, reason):
    with pytest.raises(InputError, match=reason):
        paths(datasets, figures)
