"""The page of results: its numbers are those of the tables, and its sentences follow from them."""

import numpy as np
import pandas as pd
import pytest

from morphobench.files import write_table
from morphobench.plot.pages import results

AUROC = "classification_kind_auroc"
ABOUT = {
    "title": "Made-up cells",
    "labels": ["kind"],
    "models": {
        "round": {"label": "Round", "color": "#111111"},
        "flat": {"label": "Flat", "color": "#222222"},
    },
    "baselines": {"powers": {"label": "Powers", "color": "#333333"}},
    "controls": {"noise": {"label": "Noise", "color": "#444444"}},
}
PRINTED = [
    {"dataset": "made_up", "metric": AUROC, "method": "ResNet", "value": 0.777, "comparable": True}
    | {"source": "Someone 2020", "differs": "trained on labels"},
    {"dataset": "elsewhere", "metric": "reconstruction", "method": "Net", "value": 6.98, "comparable": False}
    | {"source": "Someone 2021", "differs": "other units"},
]


def score_rows(metric, values, better="high", seeds=(1, 2)):
    rows = [
        (model, seed, value + 0.01 * n) for model, value in values.items() for n, seed in enumerate(seeds)
    ]
    table = pd.DataFrame(rows, columns=["model", "seed", "value"])
    spread = [(model, -1, 0.007) for model in values]
    spread = pd.DataFrame(spread, columns=table.columns).assign(metric=f"{metric}_spread")
    bounds = {"ci_low": table["value"] - 0.05, "ci_high": table["value"] + 0.05}
    table = pd.concat([table.assign(metric=metric, **bounds), spread], ignore_index=True)
    return table.assign(better=better, variant="corrected", dataset="made_up", unit=None, n=40, n_units=20)


def difference(difference, half, metric=AUROC, better="high"):
    row = {"metric": metric, "better": better, "model_a": "round", "model_b": "powers"}
    return pd.DataFrame([{**row, "difference": difference}]).assign(
        ci_low=difference - half, ci_high=difference + half
    )


def trainings():
    table = pd.DataFrame(
        {"model": ["round", "round", "flat"], "training": ["1", "2", "1"], "epochs": [30, 41, 7]}
    )
    hours = {"train_s": [3600.0, 1800.0, 360.0], "cpu_s": [np.nan] * 3, "gpu_hours": 0.0}
    return table.assign(**hours, device="x86_64", devices=1, parameters=10, best_epoch=3)


def page(scores, differences, tmp_path, printed=PRINTED):
    tables = {"scores": scores, "differences": differences, "trainings": trainings()}
    for name, table in tables.items():
        write_table(table, tmp_path / f"{name}.parquet")
    results.run(
        {name: [tmp_path / f"{name}.parquet"] for name in tables},
        tmp_path / "results.md",
        present=["made_up"],
        described={"made_up": ABOUT, "absent": {**ABOUT, "title": "Others"}},
        published=printed,
        scale="workstation",
    )
    return (tmp_path / "results.md").read_text()


SCORES = score_rows(AUROC, {"round": 0.8, "flat": 0.6, "powers": 0.7, "noise": 0.5})


def test_the_page_holds_the_numbers_of_the_tables(tmp_path):
    text = page(SCORES, difference(0.1, 0.05), tmp_path)
    assert "| Round | 0.805 (0.755 to 0.855) ± 0.007 |" in text
    assert "40 test cells in 20 independent units; seeds of the trainings: 1, 2." in text
    assert "| Round | 30 to 41 | 1 1; 2 0.5 | 1.5 |" in text
    assert "workstation scale" in text
    assert "0.777" in text
    assert "Someone 2020" in text


def test_printed_numbers_stand_beside_the_best_model_and_descriptor(tmp_path):
    text = page(SCORES, difference(0.1, 0.05), tmp_path)
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{AUROC}` | 0.777")]
    assert "0.805 (0.755 to 0.855) ± 0.007, Round" in line
    assert "0.705 (0.655 to 0.755) ± 0.007, Powers" in line
    assert "Someone 2020. Why they may differ: trained on labels." in text
    assert "6.98" in text.split("not above")[1]


@pytest.mark.parametrize(
    ("model", "apart", "half", "said"),
    [
        (0.8, 0.1, 0.05, "beats every descriptor"),
        (0.8, 0.1, 0.2, "no interval separates them"),
        (0.6, -0.1, 0.05, "no model beats the descriptors"),
        (0.6, -0.1, 0.2, "no model beats the descriptors"),
    ],
)
def test_the_sentence_follows_the_difference_and_its_interval(model, apart, half, said, tmp_path):
    scores = score_rows(AUROC, {"round": model, "flat": 0.55, "powers": 0.7})
    (line,) = [
        line
        for line in page(scores, difference(apart, half), tmp_path).splitlines()
        if line.startswith("- Kind: AUROC:")
    ]
    assert said in line
    assert f"{apart:.3f} ({apart - half:.3f} to {apart + half:.3f})" in line


def test_the_sign_of_a_difference_follows_its_order_and_direction(tmp_path):
    swapped = difference(-0.1, 0.05).rename(columns={"model_a": "model_b", "model_b": "model_a"})
    assert "0.100 (0.050 to 0.150)" in page(SCORES, swapped, tmp_path)


def test_without_an_interval_nothing_is_claimed(tmp_path):
    text = page(SCORES, difference(0.1, np.nan), tmp_path)
    assert "the best model is ahead, 0.805" in text
    assert "no interval of their difference" in text


def test_what_is_missing_is_said(tmp_path):
    one = score_rows(AUROC, {"round": 0.8}, seeds=(1,))
    text = page(one[one["seed"] > 0], difference(0.1, 0.05), tmp_path, printed=[])
    assert "With one seed, the spread between trainings is not known." in text
    assert "Without scores: Flat." in text
    assert "no descriptor without training has a value" in text
    assert "## Others\n\nThis run has no scores of it" in text


def test_errors_of_reconstruction_stand_beside_those_of_a_mean_shape(tmp_path):
    values = {
        "reconstruction": {"round": 0.3, "flat": 0.6},
        "reconstruction_noise_floor": {"round": 0.1, "flat": 0.1},
        "reconstruction_mean_shape": {"round": 0.5, "flat": 0.5},
        "reconstruction_other_cell": {"round": 0.7, "flat": 0.7},
    }
    rows = [score_rows(name, own, "low", seeds=(1, 2)) for name, own in values.items()]
    text = page(pd.concat([SCORES, *rows]).assign(unit="1 - Jaccard"), difference(0.1, 0.05), tmp_path)
    assert "Reconstruction error, 1 - Jaccard | its error if perfect, of the mean shape" in text
    assert "| 0.305 (0.255 to 0.355) ± 0.007 | 0.105, 0.505, 0.705 |" in text
    assert "- Reconstruction: nearer than another cell and the mean shape: Round." in text
    assert "**no nearer** than another cell and the mean shape: Flat." in text
