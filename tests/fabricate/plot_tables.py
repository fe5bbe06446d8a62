"""Made-up tables of every kind that figures are drawn from: realistic in layout, of no scientific meaning."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from paths import ROOT
from skimage.measure import marching_cubes

from morphobench import config as configuration
from morphobench.analyse.surfaces import list_items, with_offsets
from morphobench.config import figures
from morphobench.config.schema import read_yaml
from morphobench.files import write_table
from morphobench.plot.context import Context

CONFIG = configuration.resolve(read_yaml(ROOT / "config/config.yaml"), ROOT)
FIGURES = CONFIG["figures"]
SIGMAS = (-2.0, 0.0, 2.0)
# Of the data sets of a figure that has panels of several.
CLASSES = {
    "red_blood_cells": ["cell_cluster", "multilobate", "knizocyte", "keratocyte"],
    "adrenal": ["normal", "hyperplasia"],
}
# Kinds of panels of every method beside each other.
BESIDE = {"methods", "invariances", "models_by_metrics"}
COST = {"parameters": ("", 2e5), "encode_time": ("s", 0.008), "emissions": ("kg CO2eq", np.nan)}


DRUGS = CONFIG["datasets"]["npm1_perturb"]["analyse"]["drugs"]
CONDITIONS = {DRUGS["control"]: DRUGS["control"], **DRUGS["names"]}


def strata_of(figure: str) -> dict[str, str]:
    """The strata that a figure's yaml names, or those of its dataset, with their names in figures."""
    dataset = CONFIG["datasets"][FIGURES[figure]["dataset"]]
    if dataset["stratum"] == "condition":
        return CONDITIONS
    return FIGURES[figure].get("strata") or dict.fromkeys(dataset["rules"])


def baselines_of(figure: str) -> dict[str, dict]:
    """Descriptors without training, and controls, that are scored on a figure's dataset."""
    return figures.baselines_of(CONFIG, FIGURES[figure]["dataset"])


def clouds(rows: list[dict], n_points: int = 256, spread: float = 4.0) -> pd.DataFrame:
    """Clouds of points, one for each row of labels, flat along z."""
    rng = np.random.default_rng(1)
    parts = []
    for number, row in enumerate(rows):
        points = rng.normal(0, spread, (n_points, 3)) * [0.8 + 0.12 * (number % 5), 0.7, 0.4]
        parts.append(pd.DataFrame(points, columns=["x_um", "y_um", "z_um"]).assign(**row))
    return pd.concat(parts, ignore_index=True)


@cache
def blob(number: int, n_grid: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A closed surface of one to three rounded pieces, micrometres."""
    rng = np.random.default_rng(number)
    axis = np.linspace(-6, 6, n_grid)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    value = np.zeros(grid.shape[:3])
    for _ in range(2 + number % 4):
        centre, width = rng.uniform(-3, 3, 3) * [1, 1, 0.6], rng.uniform(1.2, 2)
        value += np.exp(-(((grid - centre) / width) ** 2).sum(-1))
    value[[0, -1]] = value[:, [0, -1]] = value[:, :, [0, -1]] = 0
    vertices, faces, *_ = marching_cubes(
        value, 0.5, spacing=(axis[1] - axis[0],) * 3, gradient_direction="ascent"
    )
    return vertices - vertices.mean(0), faces


def surface_tables(tables: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """What rule analyse_surfaces makes of tables of chosen cells, by role."""
    table = list_items(tables)
    ids = list(dict.fromkeys(table["CellId"]))
    meshes = [blob(i) for i in range(len(ids))]
    vertices, faces = ([mesh[part] for mesh in meshes] for part in (0, 1))
    arrays = {
        "vertices_um": np.concatenate(vertices).astype("f4"),
        "faces": np.concatenate(faces).astype("i4"),
    }
    return with_offsets(table, vertices, faces), arrays


def scores(
    models: list[str],
    labels: list[str],
    *,
    targets: bool,
    dataset: str = "small",
    seeds: tuple[int, ...] = (42,),
    beside: bool = False,
) -> pd.DataFrame:
    """A score table: every headline metric, corrected and legacy; with `beside` those of panel `methods`."""
    metrics = {f"classification_{label}_top_{top}": ("", "high", 0.6) for label in labels for top in (1, 2)}
    metrics |= {"regression_r2": ("", "high", 0.5)} if targets else {}
    metrics |= {
        "reconstruction": ("um", "low", 2.0),
        "evolution_energy": ("", "low", 1.3),
        "interpolation_distance": ("of the distance between cells", "low", 1.3),
        "rotation_invariance_error_uniform": ("", "low", 0.2),
        "rotation_invariance_error_lattice": ("", "low", 0.15),
        "compactness": ("dimensions", "none", 5.0),
    }
    metrics |= {name: (unit, "low", value) for name, (unit, value) in COST.items()}
    if beside:
        names = product(labels, ("balanced_accuracy", "auroc"), ("", "_rotated", "_sized"))
        metrics |= {f"classification_{label}_{name}{end}": ("", "high", 0.7) for label, name, end in names}
        metrics |= {f"reconstruction_{name}": ("um", "low", 1.0) for name in ("noise_floor", "other_cell")}
        changes = ("rotation_distance_uniform", "invariance_reflection", "invariance_order")
        metrics |= dict.fromkeys(changes, ("of the distance between cells", "low", 0.3))
    rng = np.random.default_rng(2)
    rows = []
    for (metric, (unit, better, value)), model, seed in product(metrics.items(), models, seeds):
        if model in CONFIG["baselines"] and not metric.startswith(("class", "regr", "rota", "comp")):
            continue
        one = value * rng.uniform(0.7, 1.3)
        row = {
            "dataset": dataset,
            "model": model,
            "seed": seed,
            "metric": metric,
            "unit": unit,
            "better": better,
        }
        row |= {"value": one, "ci_low": 0.93 * one, "ci_high": 1.07 * one, "n": 40, "n_units": 20}
        row["reason"] = "not measured on this machine" if np.isnan(one) else ""
        rows += [{**row, "variant": "corrected"}, {**row, "variant": "legacy", "value": 1.1 * one}]
    table = pd.DataFrame(rows)
    return table.assign(scaled=rng.uniform(0, 1, len(table))) if beside else table


def scaled(table: pd.DataFrame, dataset: str, factor: float) -> pd.DataFrame:
    """The scores of a dataset as they stand in a combined table, all values by a factor larger."""
    return table.assign(model=table["model"] + "_" + dataset, value=factor * table["value"])


def items(table: pd.DataFrame) -> pd.DataFrame:
    """Single values behind a score table."""
    rng = np.random.default_rng(3)
    real = table[(table["n"] > 1) & ~table["metric"].isin(["parameters", "emissions"])]
    many = real.loc[real.index.repeat(30), ["dataset", "model", "seed", "metric", "variant", "value"]]
    return many.assign(item="a", value=many["value"] * rng.uniform(0.8, 1.2, len(many)))


def cells(strata: list[str], n_each: int = 30) -> pd.DataFrame:
    """Cells with a place in two planes, near others of their stratum."""
    rng = np.random.default_rng(4)
    parts = []
    for number, stratum in enumerate(strata):
        angle = 2 * np.pi * number / len(strata)
        plane = rng.normal([4 * np.cos(angle), 3 * np.sin(angle)], 1, (n_each, 2))
        ids = [f"c{number}-{i}" for i in range(n_each)]
        parts.append(pd.DataFrame(plane, columns=["dim_0", "dim_1"]).assign(CellId=ids, stratum=stratum))
    return pd.concat(parts, ignore_index=True)


def walk_labels(strata: list[str], n_components: int) -> pd.DataFrame:
    """The steps of a walk through every stratum."""
    return pd.DataFrame(
        product(strata, range(n_components), SIGMAS), columns=["stratum", "component", "sigma"]
    )


def chosen_cells(strata: list[str], n_archetypes: int, hits: list[str]) -> dict[str, pd.DataFrame]:
    """Tables of representative cells, by role."""
    walk = walk_labels(strata, 2)
    lda = pd.DataFrame(product(hits, range(7)), columns=["condition", "step"])
    return {
        "example": pd.DataFrame({"CellId": [f"e{i}" for i in range(len(strata))], "stratum": strata}),
        "walk": walk.assign(CellId=[f"w{i}" for i in range(len(walk))]),
        "archetype": pd.DataFrame(
            {"CellId": [f"a{i}" for i in range(n_archetypes)], "archetype": range(n_archetypes)}
        ),
        "volume_bin": pd.DataFrame({"CellId": [f"v{i}" for i in range(5)], "bin": range(5)}),
        "lda": lda.assign(CellId=[f"l{i}" for i in range(len(lda))]),
    }


def drugs(conditions: dict[str, str], models: list[str]) -> dict[str, pd.DataFrame]:
    """Retrieval and discriminants of treatments, drug by condition; the first seven have an effect."""
    rng = np.random.default_rng(5)
    hits = list(conditions)[:7]
    effect = {name: 4.0 if name in hits else 0.2 for name in conditions}
    retrieval = [
        {
            "model": model,
            "seed": 42,
            "condition": name,
            "drug": drug,
            "kind": "condition",
            "mean_average_precision": rng.uniform(0.1, 0.8),
            "p": 10 ** -(effect[name] * rng.uniform(0.5, 1)),
            "q": min(1.0, 2 * 10 ** -(effect[name] * rng.uniform(0.4, 1))),
            "q_legacy": 0.2,
        }
        for model in [*models, "cellprofiler"]
        for name, drug in conditions.items()
    ]
    scores, walk = [], []
    for hit in hits:
        for kind, n, middle in (("control", 40, -1.5), ("condition", 15, 1.5)):
            score = rng.normal(middle, 1, n)
            part = pd.DataFrame(
                {"score": score, "PC_1": score + rng.normal(0, 1, n), "PC_2": rng.normal(0, 1, n)}
            )
            names = {"condition": hit, "drug": conditions[hit], "class": kind}
            scores.append(part.assign(CellId=[f"{hit}{kind}{i}" for i in range(n)], **names))
        place = np.linspace(-3, 3, 7)
        steps = pd.DataFrame({"condition": hit, "step": range(7), "PC_1": place, "PC_2": 0.2 * place})
        steps["class"] = np.where(place < 0, "control", "condition")
        walk.append(steps.assign(CellId=[f"{hit}{i}" for i in range(7)], position=place))
    tests = [
        {
            "condition": name,
            "drug": drug,
            "cv_auroc": 0.5 + 0.11 * effect[name] - 0.02 * i % 0.07,
            "p": 0.001 if name in hits else 0.4,
            "q": 0.003 if name in hits else 0.5,
            "control_auroc_mean": 0.5,
            "control_auroc_high": 0.63,
        }
        for i, (name, drug) in enumerate(conditions.items())
    ]
    return {
        "retrieval": pd.DataFrame(retrieval),
        "lda_scores": pd.concat(scores, ignore_index=True),
        "lda_walk": pd.concat(walk, ignore_index=True),
        "lda_tests": pd.DataFrame(tests),
    }


def pieces(model: str) -> pd.DataFrame:
    """Accuracies of a model and of shape features in five volume bins."""
    rng = np.random.default_rng(6)
    rows = list(product((f"{model}/42", "shape"), range(5), (-1, 0, 1, 2, 3, 4)))
    table = pd.DataFrame(rows, columns=["features", "bin", "cv"])
    return table.assign(
        variant=np.where(table["cv"] < 0, "corrected", "legacy"),
        metric="top_1",
        value=rng.uniform(0.4, 0.9, len(table)),
    )


def inputs(figure: str, n_models: int = 6) -> dict[str, object]:
    """Every table that a figure's panels name, and `meshes` as arrays."""
    described = FIGURES[figure]
    dataset = CONFIG["datasets"][described["dataset"]]
    strata = CLASSES.get(described["dataset"], list(strata_of(figure)))
    n_archetypes = dataset["n_archetypes"]
    models = dataset["benchmark"][:n_models]
    targets = dataset["kind"] == "polymorphic"
    others = [CONFIG["datasets"][name] for name in others_of(figure)]
    labels = [label for one in (dataset, *others) for label in one["labels"]]
    # Three trainings where panels display their spread.
    asked = {"beside": True, "seeds": (1, 2, 3)} if kinds_of(figure) & BESIDE else {}
    named = [*models, *baselines_of(figure)]
    table = scores(named, labels, targets=targets, dataset=described["dataset"], **asked)
    both = [
        scaled(scores(models, dataset["labels"], targets=targets, dataset=name), name, factor)
        for name, factor in (("npm1", 1.0), ("npm1_64_res", 0.85))
    ]
    places = cells(strata)
    weights = pd.DataFrame(product(strata, range(n_archetypes)), columns=["stratum", "archetype"])
    own = [strata.index(s) == a for s, a in zip(weights["stratum"], weights["archetype"], strict=True)]
    bins = pd.DataFrame({"bin": range(5), "lo_um3": 250 + 140.0 * np.arange(5), "n": [12, 40, 33, 20, 5]})
    treated = dataset["stratum"] == "condition"
    conditions = dict(DRUGS["names"]) if treated else {}
    hits = list(conditions)[:7]
    surfaces = chosen_cells(strata, n_archetypes, hits)
    listed, meshes = surface_tables(surfaces) if "surfaces" in names_of(figure) else (None, None)
    found = {
        "examples": clouds([{"CellId": f"{i}", "stratum": s} for i, s in enumerate(strata)], 600),
        "scores": table,
        "item_values": items(table),
        "combined": pd.concat(both, ignore_index=True),
        "walks": clouds(walk_labels(strata, 2).to_dict("records")),
        "archetypes": clouds(
            [{"archetype": i, "explained_variance": 0.9, "start_distance": 0.04} for i in range(n_archetypes)]
        ),
        "rotations": clouds(
            [
                {"stratum": s, "degrees": d, "kind": k}
                for s, d, k in product(
                    strata, (0.0, 90.0, 180.0, 270.0), ("input", "canonical", "reconstruction")
                )
            ],
            64,
        ),
        "map": places,
        "map_archetypes": places[:: len(places) // n_archetypes][["dim_0", "dim_1"]][:n_archetypes].assign(
            archetype=range(n_archetypes)
        ),
        "pca_scores": places.rename(columns={"dim_0": "PC_1", "dim_1": "PC_2"}).assign(
            explained_variance_1=0.41, explained_variance_2=0.18
        ),
        "volume_bins": bins.assign(hi_um3=bins["lo_um3"] + 140),
        "volume_bin_shapes": clouds([{"bin": i} for i in range(5)]),
        "stratum_by_archetype": weights.assign(
            mean_weight=np.where(own, 0.5, 0.5 / n_archetypes), assigned=own, p=0.001, q=0.002
        ),
        "pieces": pieces(dataset["analysis_model"]),
        "surfaces": listed,
        "meshes": meshes,
        **(drugs(conditions, models) if conditions else {}),
    }
    found = {name: found[name] for name in names_of(figure)}
    for name in others_of(figure):
        beside = dict(found)
        if "surfaces" in found:
            own = chosen_cells(CLASSES[name], n_archetypes, [])
            beside |= dict(zip(("surfaces", "meshes"), surface_tables(own), strict=True))
        found |= {f"{name}__{table}": beside[table] for table in names_of(figure, name)}
    return found


def panels_of(figure: str) -> list[dict]:
    return figures.list_panels(FIGURES[figure])


def kinds_of(figure: str) -> set[str]:
    return {panel["kind"] for panel in panels_of(figure)}


def others_of(figure: str) -> list[str]:
    """Data sets of single panels."""
    return list(dict.fromkeys(panel["dataset"] for panel in panels_of(figure) if "dataset" in panel))


def names_of(figure: str, dataset: str | None = None) -> list[str]:
    """Names of all tables that a figure's panels need of its data set, or of that of single panels."""
    own = [panel for panel in panels_of(figure) if panel.get("dataset") == dataset]
    return list(dict.fromkeys(name for panel in own for name in panel["tables"]))


def context(figure: str, n_models: int = 6) -> Context:
    """What a figure is given besides its tables."""
    dataset = CONFIG["datasets"][FIGURES[figure]["dataset"]]
    models = {
        name: {key: CONFIG["models"][name][key] for key in ("label", "color")}
        for name in dataset["benchmark"][:n_models]
    }
    drawn = figures.describe(CONFIG, figure)
    looks = (models, drawn["baselines"])
    more = {key: dataset[key] for key in ("labels", "length_unit", "analysis_model")}
    own = Context(*looks, **more, strata=strata_of(figure), controls=drawn["controls"])
    keys = ("labels", "length_unit")
    others = {
        name: own._replace(**{key: CONFIG["datasets"][name][key] for key in keys})
        for name in others_of(figure)
    }
    return own._replace(others=others)


def write_inputs(found: dict[str, object], folder: Path) -> dict[str, Path]:
    """Write inputs as the workflow stores them; return their paths."""
    paths = {}
    for name, table in found.items():
        paths[name] = folder / f"{name}{'.npz' if name.endswith('meshes') else '.parquet'}"
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith("meshes"):
            np.savez(paths[name], **table)
        else:
            write_table(table, paths[name])
    return paths


def write_golden(path: Path) -> None:
    """Write the summaries that test_figure compares the panels' tables with, after a look at the change."""
    import json
    import tempfile

    from harness.figures import NAMES, tables_of
    from harness.page import summary

    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: {stem: summary(table) for stem, table in tables_of(name, Path(folder) / name).items()}
            for name in NAMES
        }
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    write_golden(ROOT / "tests/plot/golden_tables.json")
