"""What figures are drawn from, those of config/figures and of data sets, and what a run cannot give them."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from morphobench.config import panels, published_values
from morphobench.config.folds import trainings

Config = Mapping[str, Any]
# Where weights lie that are part of the clone.
SHIPPED = "workflow/weights"

# Where the tables lie that figures are drawn from. {model} is the dataset's analysis model, {seed} the first.
_ANALYSED = "results/analyse/{dataset}/{model}/seed-{seed}"
_OF_MODEL = ("walks", "archetypes", "rotations", "map", "map_archetypes", "volume_bins", "volume_bin_shapes")
_OF_MODEL += ("surfaces", "stratum_by_archetype", "pca_scores", "lda_scores", "lda_walk", "lda_tests")
TABLES = {
    "cells": "results/sample/{dataset}/manifest.parquet",
    "examples": "results/analyse/{dataset}/examples.parquet",
    "scores": "results/score/{dataset}/scores.parquet",
    "item_values": "results/score/{dataset}/items.parquet",
    "combined": "results/score/combined/{combined}.parquet",
    "meshes": f"{_ANALYSED}/surfaces.npz",
    "retrieval": "results/analyse/{dataset}/retrieval.parquet",
    "pieces": "results/analyse/{dataset}/pieces.parquet",
    **{name: f"{_ANALYSED}/{name}.parquet" for name in _OF_MODEL},
}
# Features of baselines that know nothing of a cell, what is asked for, or its pose alone.
CONTROLS = ("random", "known", "principal_axes")
# Tables of analyses that a dataset asks for in its block `analyse`, by the key there.
_ON_REQUEST = {
    "volume_bins": ("volume_bins", "volume_bin_shapes"),
    "pieces": ("pieces",),
    "drugs": ("retrieval", "lda_scores", "lda_walk", "lda_tests"),
}


# Tables that need a trained model, or the masked cells, and why a run from published files has none.
_DECODED = ("walks", "archetypes", "rotations", "volume_bin_shapes")
_MASKED = ("surfaces", "meshes")
_NO_DECODER = "not drawn: the workflow started from published embeddings, with no model to decode"
_NO_SURFACES = "not drawn: the workflow started from published files, without the surfaces of cells"

# Of embeddings of the user's own that name none.
_OWN_COLORS = ("#000000", "#882255", "#117733", "#999933")


def report_text(text: str) -> str:
    """Return a text that Snakemake's report neither formats nor takes for the end of a script.

    A word joiner, which nobody sees, follows each sign that would begin either.
    """
    return re.sub("[<{]", lambda sign: f"{sign[0]}\N{WORD JOINER}", text)


def table_path(config: Config, name: str, dataset: str, combined: str | None = None) -> str:
    """Return where a table of a dataset lies."""
    model = config["datasets"][dataset]["analysis_model"]
    seed = trainings(config, dataset, config["train"]["seeds"][0])[0]
    return TABLES[name].format(dataset=dataset, model=model, seed=seed, combined=combined)


def names(config: Config) -> list[str]:
    """Return the names of all figures: of config/figures, and of every data set."""
    return list(dict.fromkeys([*config["figures"], *config["datasets"]]))


def figure_of(config: Config, name: str) -> Config:
    """Return a figure of config/figures, else the one that follows from what the data set of its name has."""
    if name in config["figures"]:
        return config["figures"][name]
    dataset = config["datasets"][name]
    return panels.expanded(panels.default_figure(name, dataset), config["datasets"])


def list_panels(figure: Config) -> list[Config]:
    """Return the panels of a figure in reading order."""
    return [panel for row in figure["rows"] for panel in row["panels"]]


def input_name(panel: Config, table: str) -> str:
    """Return the name of an input file: its table's, after the panel's own data set where it names one."""
    return f"{panel['dataset']}__{table}" if "dataset" in panel else table


def missing(config: Config, figure: str) -> dict[str, str]:
    """Return the inputs that this run cannot have, with the reason that stands in their panels."""
    described, reasons = figure_of(config, figure), {}
    for panel in list_panels(described):
        absent = _missing(config, figure, panel.get("dataset", described["dataset"]))
        reasons |= {input_name(panel, table): reason for table, reason in absent.items()}
    return reasons


def _missing(config: Config, figure: str, name: str) -> dict[str, str]:
    described, dataset = figure_of(config, figure), config["datasets"][name]
    asked, entry = dataset.get("analyse", {}), dataset["start_from"]
    reasons = {
        name: f"not drawn: analyse.{key} of {dataset['name']} is not set"
        for key, names in _ON_REQUEST.items()
        if not asked.get(key)
        for name in names
    }
    if not described.get("combined"):
        reasons["combined"] = f"not drawn: config/figures/{figure}.yaml names no combined table"
    if entry == "embeddings":
        reasons |= dict.fromkeys(_DECODED, _NO_DECODER)
    if entry != "raw":
        reasons |= dict.fromkeys(_MASKED, _NO_SURFACES)
    return reasons


def inputs(config: Config, figure: str) -> dict[str, str]:
    """Return the files that a figure is drawn from, by the name of the table."""
    described, absent = figure_of(config, figure), missing(config, figure)
    files = {}
    for panel in list_panels(described):
        at = panel.get("dataset", described["dataset"]), described.get("combined")
        files |= {input_name(panel, table): table_path(config, table, *at) for table in panel["tables"]}
    return {name: path for name, path in files.items() if name not in absent}


def datasets(config: Config, figure: str) -> list[str]:
    """Return the data sets whose jobs a figure depends on."""
    described = figure_of(config, figure)
    own = [described["dataset"], *_others(described)]
    own += config["score"].get("combined", {}).get(described.get("combined"), [])
    shared = [name for one in own for name in config["datasets"][one].get("cells_from", [])]
    return list(dict.fromkeys([*own, *shared]))


def _others(figure: Config) -> list[str]:
    """Return the data sets of single panels."""
    return list(dict.fromkeys(panel["dataset"] for panel in list_panels(figure) if "dataset" in panel))


def category(config: Config, figure: str) -> str:
    """Return the heading of the report under which the files of a figure stand."""
    described = figure_of(config, figure)
    title = described.get("title", config["datasets"][described["dataset"]]["title"])
    return report_text(f"Figure {figure.removeprefix('fig')}: {title}")


def shape_inputs(config: Config, dataset: str) -> dict[str, str]:
    """Return the files of the page of shapes: surfaces of cells where they have them, else decoded clouds."""
    surfaces = config["datasets"][dataset]["kind"] == "polymorphic"
    names = ("surfaces", "meshes") if surfaces else ("walks", "archetypes")
    return {name: table_path(config, name, dataset) for name in names}


def strata(config: Config, dataset: str) -> dict[str, str]:
    """Return the names of a dataset's strata in drawing order: of conditions, the control first."""
    drugs = config["datasets"][dataset].get("analyse", {}).get("drugs") or {}
    names = {drugs["control"]: drugs["control"], **drugs.get("names", {})} if drugs else {}
    for figure in config["figures"].values():
        if dataset in (figure["dataset"], *_others(figure)):
            names |= figure.get("strata", {})
    return names


def _own_looks(config: Config, dataset: str) -> dict[str, dict[str, str]]:
    """Return label and colour of the embeddings that come as tables of the user's own."""
    own = config["datasets"][dataset].get("embeddings") or {}
    colors = itertools.cycle(_OWN_COLORS)
    return {
        name: {"label": given.get("label", name), "color": given.get("color", color)}
        for (name, given), color in zip(own.items(), colors, strict=False)
    }


def _looks(config: Config, models: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return label and colour of models in drawing order; a palette goes by that order instead."""
    palette = config["plot"]["palettes"].get(config["plot"]["palette"], [])
    colors = dict(zip(models, palette, strict=False)) if len(models) <= len(palette) else {}
    looks = {name: {key: config["models"][name][key] for key in ("label", "color")} for name in models}
    return {name: {**look, "color": colors.get(name, look["color"])} for name, look in looks.items()}


def baselines_of(config: Config, dataset: str) -> dict[str, Any]:
    """Return the baselines that are scored on a dataset, by its kind and, where they name some, its name."""
    kind = config["datasets"][dataset]["kind"]
    return {
        name: baseline
        for name, baseline in config["baselines"].items()
        if kind in baseline["kinds"] and dataset in baseline.get("datasets", [dataset])
    }


def _looks_of_baselines(config: Config, dataset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return label and colour of the descriptors of a dataset, and of its controls."""
    looks: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    for name, baseline in baselines_of(config, dataset).items():
        own = {key: baseline[key] for key in ("label", "color")}
        looks[baseline["features"] in CONTROLS][name] = own
    return looks


def weights_note(config: Config, dataset: str) -> str:
    """Return in words where the weights of a data set's models come from; "" where they start from seeds."""
    described = config["datasets"][dataset]
    if described.get("freeze"):
        return "Models were trained before cells were added."
    if origin := described.get("weights_from"):
        source = config["datasets"].get(origin, {}).get("title", origin)
        return f"Models were trained on other cells ({source}), none on these."
    starts = described.get("start_weights") or {}
    files = [starts[model] for model in described["benchmark"] if starts.get(model)]
    if not files:
        return ""
    is_shipped = all(file.startswith(f"{SHIPPED}/") for file in files)
    who = "Models start" if len(files) == len(described["benchmark"]) else "Some models start"
    return f"{who} from weights {'shipped with the clone' if is_shipped else 'in files'}."


def describe(config: Config, figure: str) -> dict[str, Any]:
    """Return what the drawing of a figure needs to know besides its tables."""
    described = figure_of(config, figure)
    names = [described["dataset"], *_others(described)]
    notes = [config["training_note"], *(weights_note(config, name) for name in names)]
    return {
        "figure": {**described, "strata": strata(config, described["dataset"])},
        "title": described.get("title", config["datasets"][described["dataset"]]["title"]),
        **_of_dataset(config, described["dataset"]),
        "others": {name: _of_dataset(config, name) for name in _others(described)},
        "note": " ".join(dict.fromkeys(filter(None, notes))),
        "gaps": missing(config, figure),
        "width_mm": config["plot"]["width_mm"],
    }


def _of_dataset(config: Config, name: str) -> dict[str, Any]:
    """Return what panels need to know of their data set."""
    dataset = config["datasets"][name]
    baselines, controls = _looks_of_baselines(config, name)
    return {
        "models": {**_looks(config, dataset["benchmark"]), **_own_looks(config, name)},
        "own": list(dataset.get("embeddings") or {}),
        "baselines": baselines,
        "controls": controls,
        "analysis_model": dataset["analysis_model"],
        "labels": dataset["labels"],
        "length_unit": dataset["length_unit"],
        "published": published_values.of_dataset(config, name, comparable=True),
    }


def describe_results(config: Config, dataset: str) -> dict[str, Any]:
    """Return what the page of results needs to know of a data set besides its tables."""
    described = config["datasets"][dataset]
    baselines, controls = _looks_of_baselines(config, dataset)
    names = {"title": described["title"], "labels": described["labels"]}
    return names | {
        "models": _looks(config, described["models"]),
        "baselines": baselines,
        "controls": controls,
    }
