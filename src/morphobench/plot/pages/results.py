"""Page of what was found, docs/results.md: every number from a table of the run or a published source."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphobench.files import FilePath, atomic_file, read_table
from morphobench.plot.learnt import not_learnt
from morphobench.plot.pages.verdict import best, described_value, short, verdict
from morphobench.plot.panels.models_by_metrics import metric_titles

_CLASSES = ("balanced_accuracy", "auroc", "auroc_rotated")
_OTHERS = ("reconstruction", "evolution_energy", "rotation_distance_uniform", "invariance_reflection")
_TITLES = {"invariance_reflection": "Mirrored"}
# Errors between which a model's lies: of its representation, of one mean shape for all, of another cell.
_ANCHORS = [
    ("reconstruction_sampling_distance", "reconstruction_noise_floor"),
    ("reconstruction_mean_shape",),
    ("reconstruction_other_cell",),
]
_ANCHORS_TITLE = "its error if perfect, of the mean shape, of another cell"
_HEAD = """# What was found

Written by `make results` from the tables of a run at {scale} scale; no number is typed. Values are means over
trainings, on test cells that these have not seen; in brackets the 95 % interval over independent units of
cells; after ± the standard deviation between trainings. [statistics.md](statistics.md) says what each is.
"""
_NOT_HERE = "This run has no scores of it: `make workstation` makes them."

Row = Mapping[str, Any]


class Dataset(NamedTuple):
    """A data set of the page: what it is called, its looks by group, and its tables (None: not there)."""

    name: str
    title: str
    labels: Sequence[str]
    models: Mapping[str, Row]
    baselines: Mapping[str, Row]
    controls: Mapping[str, Row]
    scores: pd.DataFrame | None = None
    differences: pd.DataFrame | None = None
    trainings: pd.DataFrame | None = None

    def label(self, model: str) -> str:
        """Return the name of a model, baseline or control in figures."""
        return {**self.models, **self.baselines, **self.controls}[model]["label"]


def run(
    inputs: Mapping[str, Sequence[FilePath]],
    out: FilePath,
    *,
    present: Sequence[str],
    described: Mapping[str, Row],
    published: Sequence[Row],
    scale: str,
) -> None:
    """Write the page of the data sets in `described`, by name: title, labels, models, baselines, controls.

    `inputs` are the tables scores, differences and trainings of those that are `present`, in that order;
    `published` rows are those of `config.published_values`.
    """
    tables = {
        name: dict(zip(inputs, map(read_table, paths), strict=True))
        for name, *paths in zip(present, *inputs.values(), strict=True)
    }
    datasets = [Dataset(name, **about, **tables.get(name, {})) for name, about in described.items()]
    with atomic_file(out) as part:
        part.write_text(page(datasets, published, scale), encoding="utf-8")


def page(datasets: Sequence[Dataset], published: Sequence[Row], scale: str) -> str:
    """Return the page as Markdown."""
    parts = [_HEAD.format(scale=scale)]
    for dataset in datasets:
        own = [row for row in published if row["dataset"] == dataset.name]
        parts += [f"## {dataset.title}\n", *_section(dataset, own)]
    known = {dataset.name for dataset in datasets}
    others = [row for row in published if row["dataset"] not in known]
    if others:
        parts.append("## Printed numbers of data sets that are not above\n")
        parts.append("Not measured here; they stand for comparison with a run at paper scale.\n")
        parts += _published(others, None)
    return "\n".join(parts)


def _section(dataset: Dataset, published: Sequence[Row]) -> Iterator[str]:
    if dataset.scores is None:
        yield f"{_NOT_HERE}\n"
    else:
        yield f"{_extent(dataset)}\n"
        metrics = _metrics(dataset)
        yield _score_table(dataset, metrics)
        yield from (f"- {verdict(dataset, metric, title)}" for metric, title in _class_metrics(dataset))
        yield from _learnt(dataset)
        yield ""
        yield _training_table(dataset)
    if published:
        yield "### What others printed\n"
        yield from _published(published, dataset)


def _class_metrics(dataset: Dataset) -> list[tuple[str, str]]:
    titles = metric_titles(dataset.labels)
    names = [f"classification_{label}_{end}" for label in dataset.labels for end in _CLASSES]
    return [(name, titles[name]) for name in names]


def _metrics(dataset: Dataset) -> list[tuple[str, str]]:
    """Return metric and title of the columns that have any value."""
    titles = metric_titles(dataset.labels) | _TITLES
    asked = [*_class_metrics(dataset), *((name, titles[name]) for name in _OTHERS)]
    valued = dataset.scores.dropna(subset=["value"])
    units = valued[valued["metric"] == "reconstruction"]["unit"].dropna()
    unit = f", {units.iloc[0].replace('um', 'µm')}" if len(units) else ""
    return [
        (name, title + (unit if name == "reconstruction" else ""))
        for name, title in asked
        if name in set(valued["metric"])
    ]


def _extent(dataset: Dataset) -> str:
    """Say how many cells, units and trainings stand behind the table, and what is missing."""
    scores = dataset.scores[dataset.scores["variant"] == "corrected"]
    seeds = sorted(scores.loc[(scores["seed"] >= 0) & scores["model"].isin(dataset.models), "seed"].unique())
    classified = scores[scores["metric"].isin(name for name, _ in _class_metrics(dataset))]
    cells = f"{classified['n'].max()} test cells in {classified['n_units'].max()} independent units"
    text = f"{cells}; seeds of the trainings: {', '.join(map(str, seeds)) or 'none'}."
    if len(seeds) == 1:
        text += " With one seed, the spread between trainings is not known."
    lacking = [look["label"] for name, look in dataset.models.items() if name not in set(scores["model"])]
    return text + (f" Without scores: {', '.join(lacking)}." if lacking else "")


def _score_table(dataset: Dataset, metrics: Sequence[tuple[str, str]]) -> str:
    columns = []
    for metric, title in metrics:
        columns.append((title, partial(described_value, dataset.scores, metric=metric)))
        if metric == "reconstruction":
            columns.append((_ANCHORS_TITLE, partial(_anchors, dataset.scores)))
    rows = []
    for group in (dataset.models, dataset.baselines, dataset.controls):
        for name in group:
            values = [value_of(name) for _, value_of in columns]
            rows += [[dataset.label(name), *values]] if any(values) else []
    return table(["", *(title for title, _ in columns)], rows)


def _anchors(scores: pd.DataFrame, model: str) -> str:
    """Return the errors between which a model's lies; empty for one without a decoder."""
    own = scores[scores["model"] == model]
    found = [own.loc[own["metric"].isin(names), "value"].mean() for names in _ANCHORS]
    return ", ".join(map(short, found)) if np.isfinite(found).any() else ""


def _learnt(dataset: Dataset) -> Iterator[str]:
    """Say which models reconstruct a cell better than what knows nothing of it, and which have not learnt."""
    own = dataset.scores[dataset.scores["variant"] == "corrected"]
    decoded = own[(own["metric"] == "reconstruction") & own["value"].notna()]["model"]
    failed = not_learnt(dataset.scores, "reconstruction", list(dataset.models))
    learnt = [name for name in dataset.models if name in set(decoded) and name not in failed]
    for said, names in (("nearer", learnt), ("**no nearer**", failed)):
        if names:
            labels = "; ".join(map(dataset.label, names))
            yield f"- Reconstruction: {said} than another cell and the mean shape: {labels}."


def _training_table(dataset: Dataset) -> str:
    """Return epochs, hours and hardware of the trainings, by model."""
    rows = []
    for model, own in dataset.trainings.groupby("model", sort=False):
        hours, cpu = own["train_s"].astype(float) / 3600, own["cpu_s"].astype(float) / 3600
        each = "; ".join(f"{name} {one:.2g}" for name, one in zip(own["training"], hours, strict=True))
        devices = zip(own["devices"], own["device"], strict=True)
        processors = ", ".join(dict.fromkeys(f"{n} x {name}" for n, name in devices))
        epochs = _span(own["epochs"])
        total = f"{hours.sum():.2g}", "" if cpu.isna().all() else f"{cpu.sum():.2g}"
        rows.append([dataset.label(model), epochs, each, *total, processors])
    heads = ["trained", "epochs", "hours by seed and fold", "hours together", "CPU hours", "hardware"]
    return table(heads, rows) if rows else "There is no record of a training.\n"


def _span(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _published(rows: Sequence[Row], dataset: Dataset | None) -> Iterator[str]:
    """Yield for each source who printed the values, why they may differ, and a table of numbers by method.

    Beside them, of a data set with scores, stand the best model and the best descriptor.
    """
    scored = dataset is not None and dataset.scores is not None
    table_of = pd.DataFrame(list(rows))
    for (source, differs, name), own in table_of.groupby(["source", "differs", "dataset"], sort=False):
        where = "" if dataset else f" (`{name}`)"
        yield f"{source}{where}. Why they may differ: {differs}.\n"
        values = own.pivot_table(index="metric", columns="method", values="value", sort=False)
        lines = [
            [f"`{metric}`", *(f"{value:.4g}" if pd.notna(value) else "" for value in line)]
            for metric, line in zip(values.index, values.to_numpy(), strict=True)
        ]
        heads = ["number", *map(str, values.columns)]
        if scored:
            heads += ["best model here", "best descriptor here"]
            groups = (dataset.models, dataset.baselines)
            for metric, line in zip(values.index, lines, strict=True):
                line += [_best_of(dataset, group, metric) for group in groups]
        yield table(heads, lines)


def _best_of(dataset: Dataset, group: Mapping[str, Row], metric: str) -> str:
    name = best(dataset.scores, list(group), metric)
    return (
        f"{described_value(dataset.scores, name, metric)}, {dataset.label(name)}"
        if name
        else short(float("nan"))
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = ([field.replace("|", "\\|").strip() for field in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"
