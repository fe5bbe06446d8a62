"""Write the configuration of a data set that was found, and its table beside it; nothing is written over."""

import os
import re
from pathlib import Path

import pandas as pd

from morphobench import files
from morphobench.config.schema import BLANK, NAME, list_files
from morphobench.errors import InputError
from morphobench.files import reserved
from morphobench.new import columns, found, look, reused
from morphobench.new.bodies import quoted

FOLDER = Path("config/datasets")
_CELLS_PER_SHARD, _MOST_SHARDS = 250, 200
_TEMPLATE = """# {title}: found by `make new` in {place}
{remarks}
title: {title}
kind: {kind}
licence: not stated           # under which others may use the data
citation: not stated

source:
  {key}
{source}

n_shards: {n_shards}                   # jobs per stage
{channels}{body}n_archetypes: 4

stratum: {stratum}
labels: {labels}
{units}"""


def run(name: str, place: Path, root: Path = Path(), weights: str = "") -> str:
    """Write config/datasets/<name>.yaml and .csv for what lies at a place; return what to print.

    `weights`, a data set or a folder, embed its cells (`weights_from`): the preprocessing is theirs.

    Raises
    ------
    InputError
        When the name is none or taken, or the place holds no data set.
    """
    if not re.fullmatch(NAME, name):
        raise InputError(f"NAME is {name!r}. Call the data set by small letters, digits and _ alone.")
    out, manifest = (root / FOLDER / f"{name}.{ending}" for ending in ("yaml", "csv"))
    for path in (out, manifest):
        if path.exists():
            raise InputError(
                f"{path}: exists already, and is not written over. Take another NAME, or remove it."
            )
    draft = look.draft_of(place.expanduser())
    if weights:
        draft = draft._replace(body=reused.body(weights, draft.kind, root / FOLDER))
    text, table = describe(name, place, draft, FOLDER / manifest.name)
    files.write_table(table, manifest)
    try:
        with files.atomic_file(out) as part:
            part.write_text(text, encoding="utf-8")
        list_files(FOLDER, root)
    except (InputError, OSError):
        for path in (out, manifest):
            path.unlink(missing_ok=True)
        raise
    return _message(name, out, draft, text)


def describe(name: str, place: Path, draft: found.Draft, manifest: Path) -> tuple[str, pd.DataFrame]:
    """Return the yaml of a draft, and its table with the column that strata come from."""
    table = _apart(draft)
    named = [column for column in table if column in _FILE_COLUMNS or column in ("CellId", "FOVId", "part")]
    labels = [one for one in draft.source if "label_channels" in one]
    own = re.findall(r"\w+", labels[0].split("[")[1].split("]")[0]) if labels else []
    known = columns.candidates(table, [*named, *own])
    if not known.labels:
        table = table.assign(**{"class": "all"}) if "FOVId" not in table or len(table) > 20 else table
    stratum = known.labels[0] if known.labels else "FOVId" if "class" not in table else "class"
    others = f"   # or {', '.join(known.labels[1:])}" if len(known.labels) > 1 else ""
    comment = (
        "what figures go by"
        if known.labels
        else "no column has few values of text: all cells are one stratum"
    )
    key = f"{draft.key}: {_source_file(draft, manifest)}"
    text = _TEMPLATE.format(
        title=name,
        place=os.path.abspath(place),
        remarks="\n".join(f"# - {remark}" for remark in draft.remarks),
        kind=draft.kind,
        key=key if draft.key != "stack" else f"{key}\n  stack_table: {manifest}",
        source="\n".join(draft.source),
        n_shards=max(1, min(draft.n_units, _MOST_SHARDS, -(-draft.n_cells // _CELLS_PER_SHARD))),
        channels=draft.channels,
        body=draft.body,
        stratum=f"{quoted(stratum)}   # {comment}{others.replace('   #', ',')}",
        labels=f"[{', '.join(map(quoted, known.labels[:3]))}]   # columns to classify",
        units=_units(known.units),
    )
    return text, table


# Columns of a manifest that name files.
_FILE_COLUMNS = ("image", "crop_raw", "crop_seg", "mesh", "points")


def _apart(draft: found.Draft) -> pd.DataFrame:
    """Return a draft's table without columns that stages write: those are called source_<name>."""
    needed = {"CellId", "FOVId", "part", *_FILE_COLUMNS}
    taken = (reserved.stored(draft.kind) | reserved.measured(draft.kind)) - needed
    return draft.table.rename(columns={one: f"source_{one}" for one in draft.table if one in taken})


def _source_file(draft: found.Draft, manifest: Path) -> str:
    return draft.table.attrs["stack"] if draft.key == "stack" else str(manifest)


def _units(units: dict[str, str]) -> str:
    """Return a comment on columns of plates, wells and donors, of which cells are not independent."""
    if not units:
        return ""
    named = ", ".join(f"{column} ({unit})" for unit, column in units.items())
    listed = ", ".join(units.values())
    return f"# Cells may not be independent within {named}: then set source.group to [{listed}].\n"


def _message(name: str, out: Path, draft: found.Draft, text: str) -> str:
    """Return what was found and what to do next."""
    said = "\n".join(f"  {remark}" for remark in draft.remarks)
    asked = [line.strip() for line in text.splitlines() if re.search(rf": {BLANK}\b", line)]
    answer = "".join(f"\nAnswer in it:\n  {line}" for line in asked)
    command = "snakemake --cores 2 --config scale=demo --"
    made = f"figures/{name}.pdf results/plot/shapes/{name}.html results/publish/{name}.h5ad"
    written = f"Written: {out} and {out.with_suffix('.csv')}"
    look = f"Then look at the cells:\n  {command} results/plot/cells/{name}.png"
    return f"Found:\n{said}\n{written}{answer}\n{look}\nThen the figure and the tables:\n  {command} {made}"
