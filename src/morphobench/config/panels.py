"""Panels by name: what each is drawn from follows from what its data set has; the figure of any data set."""

import string
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from morphobench.errors import InputError

Config = Mapping[str, Any]

# Panels of cells in the plane have axes for so many columns at most, unless a yaml names others.
_MAX_COLORS = 3
# Rows of the figure of a data set, below its title, fit a page.
_PAGE_MM = 232
_SCORES = "test cells: mean, 95 % interval, single values; \u2191 higher is better, \u2193 lower is better"


def _shapes(role: str, table: str, decoded: str, nearest: str, **options: Any) -> Callable[[Config], Config]:
    """Return the panel of a role: of cells with surfaces these, of others clouds."""

    def panel(dataset: Config) -> dict[str, Any]:
        surfaces = dataset["kind"] == "polymorphic"
        return {
            "kind": "shapes",
            "caption": nearest if surfaces else decoded,
            "tables": ["surfaces", "meshes"] if surfaces else [table],
            "options": {"role": role, **options},
        }

    return panel


def _examples(dataset: Config) -> dict[str, Any]:
    flat = "example cells in projection along the optical axis; darker is nearer"
    panel = _shapes("example", "examples", flat, "example cells")(dataset)
    if _asked(dataset, "drugs"):
        panel["caption"] = "example cell of each condition"
        panel["tables"] = [*panel["tables"], "pca_scores"]
        panel["options"]["n_rows"] = 2
    return panel


def _archetypes(dataset: Config) -> dict[str, Any]:
    n_rows = min(3, -(-dataset["n_archetypes"] // 3))
    nearest = "cells nearest to the archetypes"
    return _shapes("archetype", "archetypes", "archetypes", nearest, n_rows=n_rows)(dataset)


def _volume_bins(dataset: Config) -> dict[str, Any]:
    nearest = "cells nearest to the mean embedding of each volume bin"
    panel = _shapes("volume_bin", "volume_bin_shapes", "mean shapes by volume", nearest)(dataset)
    return {**panel, "tables": ["volume_bins", *panel["tables"]]}


def _plane(caption: str, *tables: str) -> Callable[[Config], Config]:
    """Return the panel of cells in the plane, coloured by what the data set names."""

    def panel(dataset: Config) -> dict[str, Any]:
        options = {"colors": colors(dataset)}
        return {"kind": "scatter", "caption": caption, "tables": [*tables, "cells"], "options": options}

    return panel


def _plain(kind: str, caption: str, *tables: str, **options: Any) -> Callable[[Config], Config]:
    made = {
        "kind": kind,
        "caption": caption,
        "tables": list(tables),
        **({"options": options} if options else {}),
    }
    return lambda dataset: made


# Height of a row in millimetres that has such a panel, and the panel of a data set.
PANELS: dict[str, tuple[float, Callable[[Config], Config]]] = {
    "examples": (34, _examples),
    "scores": (76, _plain("scores", _SCORES, "scores", "item_values")),
    "map": (50, _plane("PaCMAP of all cells, and the archetypes (\u00d7)", "map", "map_archetypes")),
    "pca": (50, _plane("principal components", "pca_scores")),
    "walks": (
        53,
        _shapes(
            "walk",
            "walks",
            "latent walk along the first principal component of each class",
            "cells nearest to walks along the first principal component of each class",
        ),
    ),
    "archetypes": (46, _archetypes),
    "rotations": (
        75,
        _shapes(
            "rotation",
            "rotations",
            "cells rotated about the optical axis, their canonical shapes and their reconstructions",
            "",
        ),
    ),
    "volume_bins": (38, _volume_bins),
    "strata": (46, _plain("stratum_by_archetype", "archetype weights by class", "stratum_by_archetype")),
    "pieces": (38, _plain("pieces", "classification of the number of pieces", "pieces", "volume_bins")),
    "drugs": (
        54,
        _plain(
            "drug_bars",
            "retrieval of treatments against the control: 1/q; above the line, retrieved",
            "retrieval",
        ),
    ),
    "lda": (
        102,
        _plain(
            "lda",
            "linear discriminants of the best separated treatments, and the cells nearest to them",
            *("lda_scores", "lda_walk", "lda_tests", "surfaces", "meshes"),
        ),
    ),
    "lda_control": (
        42,
        _plain(
            "lda_control",
            "cross-validated AUROC of each discriminant, beside that of sets of controls of its size",
            "lda_tests",
        ),
    ),
}


def colors(dataset: Config) -> list[str]:
    """Return the columns that cells in the plane are coloured by: stratum, labels, condition, targets."""
    drugs = _asked(dataset, "drugs") or {}
    named = [dataset["stratum"], *dataset["labels"], *filter(None, [drugs.get("condition")])]
    return list(dict.fromkeys([*named, *(dataset.get("targets") or [])]))[:_MAX_COLORS]


def _asked(dataset: Config, analysis: str) -> Any:
    return (dataset.get("analyse") or {}).get(analysis)


def default_figure(name: str, dataset: Config) -> dict[str, Any]:
    """Return the figure of a data set that follows from its kind and from what it has, of one page."""
    rows = list(_default_rows(dataset))
    share = min(1.0, _PAGE_MM / sum(height_mm for height_mm, _ in rows))
    return {
        "dataset": name,
        "rows": [
            {
                "height_mm": round(share * height_mm, 1),
                "panels": [{"panel": panel, **more} for panel, more in row],
            }
            for height_mm, row in rows
        ],
    }


def _default_rows(dataset: Config) -> Iterator[tuple[float, list[tuple[str, dict[str, Any]]]]]:
    """Yield heights, millimetres, and panels with what differs from `PANELS`."""
    analyses = [(key, {}) for key in ("volume_bins", "pieces", "drugs") if _asked(dataset, key)]
    is_packing = dataset["kind"] == "packing"
    columns = colors(dataset)[: 1 if analyses or is_packing else _MAX_COLORS]
    planes = [(panel, {"options": {"colors": columns}}) for panel in ("map", "pca")]
    yield 44 if _asked(dataset, "drugs") else 34, [("examples", {})]
    yield 84, [("scores", {})]
    if len(columns) > 1:
        yield from ((40, [plane]) for plane in planes)
    else:
        yield 46, planes
    nearest = "cells nearest to latent walks of each class (component 1)"
    narrow = nearest if dataset["kind"] == "polymorphic" else "latent walk of each class (component 1)"
    yield 54, [("walks", {"width": 1.5, "caption": narrow}), ("archetypes", {}), ("strata", {})]
    if is_packing:
        yield 66, [("rotations", {})]
    if analyses:
        yield 44, analyses


def expanded(figure: Config, datasets: Mapping[str, Config]) -> dict[str, Any]:
    """Return a figure with all that its panels are made of: rows, kinds, captions, tables, heights, letters.

    What its yaml says wins. `datasets` are known to have the figure's data set and those of its panels.
    """
    own = datasets[figure["dataset"]]
    rows = figure.get("rows") or default_figure(figure["dataset"], own)["rows"]
    letters = iter(string.ascii_lowercase)
    return {**figure, "rows": [_expanded_row(row, own, datasets, letters) for row in rows]}


def _expanded_row(
    row: Config, own: Config, datasets: Mapping[str, Config], letters: Iterator[str]
) -> dict[str, Any]:
    panels, heights = [], [row["height_mm"]] if "height_mm" in row else []
    for given in row["panels"]:
        given, dataset, made, letter = (
            dict(given),
            datasets.get(given.get("dataset")) or own,
            {},
            next(letters),
        )
        if name := given.pop("panel", None):
            height_mm, panel = PANELS[name]
            made = panel(dataset)
            heights.append(height_mm)
        options = {**made.get("options", {}), **given.get("options", {})}
        panels.append({"letter": letter, **made, **given, **({"options": options} if options else {})})
    return {**row, "height_mm": row.get("height_mm", max(heights, default=50)), "panels": panels}


def check_letters(source: str, figure: Config) -> None:
    """Refuse two panels of one letter."""
    letters = [panel["letter"] for row in figure["rows"] for panel in row["panels"]]
    if twice := sorted({letter for letter in letters if letters.count(letter) > 1}):
        raise InputError(f"{source}: two panels are called {twice[0]}. Give each a letter of its own.")
