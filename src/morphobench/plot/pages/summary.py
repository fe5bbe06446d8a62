"""Summary of a figure for the first page of the report: picture, numbers, what was run, what is missing."""

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import pandas as pd

from morphobench.config.figures import list_panels
from morphobench.files import FilePath, atomic_file, read_table
from morphobench.plot import picture
from morphobench.plot.learnt import not_learnt
from morphobench.plot.pages.verdict import best, described_value
from morphobench.plot.panels.models_by_metrics import metric_titles
from morphobench.plot.titles import TITLES

_TEMPLATE = Path(__file__).with_name("summary.html")
_NUMBERS, _REASONS = 3, 3
# Metric -> what its value is read against: a metric of the same model, or words.
_AGAINST = {
    "reconstruction": ("another cell", "reconstruction_other_cell"),
    "rotation_distance_uniform": ("0: the same embedding; 1: as far as another cell", ""),
    "evolution_energy": ("1: a shortest path; 2: a third cell", ""),
}
_SCALES = {
    "demo": "Demo scale: narrow models, few epochs, few cells. Shows the workflow, not the paper's numbers.",
    "workstation": "Workstation scale: narrow models, each trained for minutes. Not the paper's numbers.",
}


class Scored(NamedTuple):
    """A data set of a figure: its looks by group and its scores (None: the figure reads none)."""

    labels: Sequence[str]
    models: Mapping[str, Mapping[str, str]]
    baselines: Mapping[str, Mapping[str, str]]
    scores: pd.DataFrame | None

    def label(self, name: str) -> str:
        """Return the name of a model or descriptor in figures."""
        return {**self.models, **self.baselines}[name]["label"]


def run(
    inputs: Mapping[str, FilePath],
    outputs: Mapping[str, FilePath],
    *,
    name: str,
    jobs: Sequence[Mapping[str, str]],
    described: Mapping[str, Any],
    scale: str,
) -> None:
    """Write the summary of a drawn figure as a piece of HTML that stands alone, too.

    Parameters
    ----------
    name
        Of the figure: fig2, or of a data set.
    inputs, described
        Paths of tables by name, and what `config.figures.describe` says of the figure.
    outputs
        What the drawing wrote (png, tables, warnings), and where this goes (summary).
    jobs
        Rows of `jobs.provenance.collect` of the figure and its data sets.
    """
    figure = described["figure"]
    datasets = {
        name: Scored(about["labels"], about["models"], about["baselines"], _scores(inputs, prefix))
        for name, about, prefix in [
            (figure["dataset"], described, ""),
            *((name, about, f"{name}__") for name, about in described["others"].items()),
        ]
    }
    notes = [text for text in (_SCALES.get(scale), described["note"]) if text]
    fields = {
        "title": html.escape(f"Figure {name.removeprefix('fig')}: {described['title']}"),
        "notes": "".join(f"<p class=warned>{html.escape(text)}</p>" for text in notes),
        "picture": picture.encoded(outputs["png"]),
        "alt": html.escape(alternative(figure, described["title"]), quote=True),
        "numbers": "".join(_numbers(name, one) for name, one in datasets.items()),
        "facts": _rows(_facts(datasets, jobs)),
        "ages": _ages(jobs),
        "missing": "".join(
            f"<li>{html.escape(text)}</li>"
            for text in missing(figure, outputs["tables"], datasets, pd.read_csv(outputs["warnings"]))
        ),
    }
    page = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(fields)
    with atomic_file(outputs["summary"]) as part:
        part.write_text(page, encoding="utf-8")


def _scores(inputs: Mapping[str, FilePath], prefix: str) -> pd.DataFrame | None:
    path = inputs.get(f"{prefix}scores")
    return read_table(path) if path and Path(path).exists() else None


def alternative(figure: Mapping[str, Any], title: str) -> str:
    """Return what a figure displays in words, for who cannot see it."""
    panels = list_panels(figure)
    said = "; ".join(f"{panel['letter']}, {panel['caption']}" for panel in panels)
    return f"{title}. Figure of {len(panels)} panel{'s' if len(panels) > 1 else ''}: {said}."


def headline(dataset: Scored) -> list[tuple[str, str, str, str]]:
    """Return up to three numbers: what, value with interval, of which model, and what it is read against."""
    titles = {
        **TITLES,
        **metric_titles(dataset.labels),
        "rotation_distance_uniform": "Distance of the rotated cell",
    }
    asked = [f"classification_{label}_balanced_accuracy" for label in dataset.labels[:1]]
    asked += [*_AGAINST, "regression_r2", "interpolation_distance"]
    rows = []
    for metric in asked:
        name = best(dataset.scores, list(dataset.models), metric)
        if name and len(rows) < _NUMBERS:
            words, other = _AGAINST.get(metric, ("", ""))
            value = described_value(dataset.scores, name, other) if other else ""
            against = f"{words}: {value}" if value else "" if other else words
            against = against or _best_descriptor(dataset, metric)
            rows.append(
                (titles[metric], _bounded(dataset.scores, name, metric), dataset.label(name), against)
            )
    return rows


def _bounded(scores: pd.DataFrame, model: str, metric: str) -> str:
    """Return a value with its interval, or with the reason why it has none."""
    chosen = (scores["model"] == model) & (scores["metric"] == metric) & (scores["variant"] == "corrected")
    own, text = scores[chosen], described_value(scores, model, metric)
    if own["ci_low"].notna().any():
        return text
    reasons = [reason for reason in own["reason"].fillna("") if reason]
    return f"{text} ({reasons[0] if reasons else 'no interval'})"


def _best_descriptor(dataset: Scored, metric: str) -> str:
    name = best(dataset.scores, list(dataset.baselines), metric)
    if not name:
        return ""
    return f"{dataset.label(name)}, without training: {_bounded(dataset.scores, name, metric)}"


def _numbers(name: str, dataset: Scored) -> str:
    rows = headline(dataset) if dataset.scores is not None else []
    if not rows:
        return f"<h3>In numbers</h3><p>This figure reads no scores of {html.escape(name)}.</p>"
    heads = ("on test cells", "best trained model (95 % interval)", "model", "read against")
    head = "".join(f"<th>{text}</th>" for text in heads)
    table = f"<div class=scroll><table><tr>{head}</tr>{_rows(rows)}</table></div>"
    return f"<h3>In numbers: {html.escape(name)}</h3>{table}"


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)


def _facts(datasets: Mapping[str, Scored], jobs: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    rows = [(name, _extent(dataset)) for name, dataset in datasets.items() if dataset.scores is not None]
    if not jobs:
        return [*rows, ("jobs", "there are no logs of them")]
    table = pd.DataFrame(jobs).sort_values("when")
    hosts = ", ".join(f"{host} ({part['cores'].iloc[-1]} cores)" for host, part in table.groupby("host"))
    last = table.iloc[-1]
    return [
        *rows,
        ("jobs", f"{len(table)}, from {_minute(table['when'].iloc[0])} to {_minute(last['when'])}"),
        ("on", hosts),
        ("with", f"morphobench {last['version']}, Python {last['python']}, {last['packages']}"),
    ]


def _minute(when: str) -> str:
    return when[:16]


def _extent(dataset: Scored) -> str:
    """Say how many test cells, models and trainings stand behind the scores."""
    own = dataset.scores[dataset.scores["model"].isin(dataset.models) & (dataset.scores["seed"] >= 0)]
    if own.empty:
        return "no scores of a model"
    trained, seeds = own["model"].nunique(), own["seed"].nunique()
    text = f"{trained} trained models, {seeds} seed{'s' if seeds > 1 else ''} each"
    # One value for each test cell; other metrics count rotations or pairs of cells.
    counted = own[own["metric"].str.fullmatch("reconstruction|classification_.*_balanced_accuracy")]
    if counted.empty:
        return text
    return f"{counted['n'].max():.0f} test cells in {counted['n_units'].max():.0f} independent units; {text}"


def _ages(jobs: Sequence[Mapping[str, str]]) -> str:
    """Say which stages another version did, or other days, if there are any."""
    if not jobs:
        return ""
    table = pd.DataFrame(jobs)
    table["stage"] = table["rule"].str.partition("_")[0]
    table["day"] = table["when"].str.partition(" ")[0]
    runs = table.groupby(["version", "python"])
    if runs.ngroups == 1 and table["day"].nunique() <= 2:
        return ""
    rows = [
        (
            version,
            python,
            ", ".join(dict.fromkeys(own["stage"])),
            *map(_minute, (own["when"].min(), own["when"].max())),
        )
        for (version, python), own in runs
    ]
    head = "".join(
        f"<th>{text}</th>" for text in ("morphobench", "Python", "stages", "first job", "last job")
    )
    return (
        "<p class=warned>Parts of this figure come from different runs:</p>"
        f"<div class=scroll><table><tr>{head}</tr>{_rows(rows)}</table></div>"
    )


def missing(
    figure: Mapping[str, Any], tables: FilePath, datasets: Mapping[str, Scored], warnings: pd.DataFrame
) -> Iterator[str]:
    """Yield what a figure lacks, each with its reason: panels, models, values; then how much was warned."""
    for panel in list_panels(figure):
        path = Path(tables) / f"{panel['letter']}_missing.csv"
        if path.exists():
            yield f"Panel {panel['letter']}, {panel['caption']}: {pd.read_csv(path)['reason'].iloc[0]}."
    for name, dataset in datasets.items():
        if dataset.scores is not None:
            yield from (f"{name}: {text}" for text in _unscored(dataset))
    n_jobs = int(warnings["jobs"].sum())
    if n_jobs:
        yield f"{n_jobs} warnings of jobs stand, each once, in the table of warnings of this figure."
    else:
        yield "No job warned of anything."


def _unscored(dataset: Scored) -> Iterator[str]:
    scores = dataset.scores
    for name in dataset.models:
        if name not in set(scores["model"]):
            yield f"{dataset.label(name)} has no scores."
    for name in not_learnt(scores, "reconstruction", list(dataset.models)):
        yield f"{dataset.label(name)} has not learnt: no nearer than another cell or the mean shape."
    own = scores[scores["model"].isin(dataset.models) & (scores["variant"] == "corrected")]
    empty = own[own["value"].isna()]
    reasons = empty["reason"].replace("", None).dropna().value_counts()
    for reason, count in reasons.head(_REASONS).items():
        metrics = ", ".join(dict.fromkeys(empty.loc[empty["reason"] == reason, "metric"]))
        yield f"{count} scores without a value ({metrics}): {reason}."
    if len(reasons) > _REASONS:
        yield f"{reasons.iloc[_REASONS:].sum()} more scores without a value: the column reason has why."
