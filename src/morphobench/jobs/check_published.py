"""Published files of a data set: which are there, and whether its entry could read them."""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from morphobench.config.entry import BY_MODEL, ENTRIES
from morphobench.errors import InputError
from morphobench.jobs import check_table
from morphobench.jobs.check_report import Report
from morphobench.published import manifest
from morphobench.remote import Store
from morphobench.remote.connections import FileError

Config = Mapping[str, Any]
_SECTION = "Published files"
# Checkpoints in this project's own format need no yaml beside them.
_OWN = ".pt"


def check(report: Report, dataset: Config, download_config: Config) -> None:
    """Say which files of block `published` are there; those of the entry that are not would stop a run."""
    published = dataset["published"]
    read = ENTRIES[dataset["start_from"]]
    try:
        store = manifest.open_published(dataset, download_config)
        files = _names(published)
        sizes = store.sizes([name for name, _, _ in files], dataset=dataset["name"])
    except InputError as error:
        (report.stop if read else report.remark)(error, "published.location")
        return
    for kind in dict.fromkeys(kind for _, kind, _ in files):
        own = [(name, key) for name, other, key in files if other == kind]
        missing = [(name, key) for name, key in own if isinstance(sizes[name], FileError)]
        gigabytes = sum(sizes[name] for name, _ in own if not isinstance(sizes[name], FileError)) / 1e9
        there = f"{len(own) - len(missing)} of {len(own)} there, {max(gigabytes, 0):.3f} GB"
        report.say(_SECTION, f"{kind}: {there}, at {store.location}")
        if missing:
            note = report.stop if missing[0][1].partition(".")[0] in read else report.remark
            names = ", ".join(name for name, _ in missing)
            lacking = (
                f"has no {names}" if len(missing) < len(own) else f"has no {kind}, first {missing[0][0]}"
            )
            note(
                f"{store.location}: {lacking}. Mend the names, or take these out.",
                f"published.{missing[0][1]}",
            )
    name = published.get("preprocessed")
    if name and not isinstance(sizes[name], FileError):
        _check_manifest(report, store, name, dataset, needed="preprocessed" in read)


def _names(published: Config) -> list[tuple[str, str, str]]:
    """Return name, kind and key below `published` of each file; a yaml has the key of its checkpoint."""
    files = [
        (published[key], key, key)
        for key in ("preprocessed", "grid_file", "cellprofiler")
        if published.get(key)
    ]
    for kind in BY_MODEL:
        for model, name in (published.get(kind) or {}).items():
            files.append((name, kind, f"{kind}.{model}"))
            if kind == "checkpoints" and PurePosixPath(name).suffix != _OWN:
                yaml_name = str(PurePosixPath(name).with_suffix(".yaml"))
                files.append((yaml_name, "yaml beside checkpoints", f"{kind}.{model}"))
    return files


def _check_manifest(report: Report, store: Store, name: str, dataset: Config, *, needed: bool) -> None:
    note = report.stop if needed else report.remark
    with tempfile.TemporaryDirectory() as folder:
        try:
            part = check_table.read(store, name, Path(folder), dataset=dataset["name"])
            report.say(
                _SECTION, f"preprocessed: {part.n_rows:,} rows, columns {', '.join(part.columns)[:500]}"
            )
            cells = manifest.read(part.path, dataset)
        except InputError as error:
            note(error, "published.preprocessed")
            return
    failed = cells[~cells["success"]]
    if len(failed):
        reason = f"{len(failed)} of {len(cells)} rows cannot be read, first {failed['error'].iloc[0]}"
        note(f"{store.location}: {name}: {reason}", "published.preprocessed")
