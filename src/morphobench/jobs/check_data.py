"""Does a place look as it should, before anything large is fetched? `make check-data DATASET=pcna`.

Goes to the real place of a data set with its configuration and asks for as little as tells: the manifest, the
headers of three cells, the sizes of files. Writes results/check/<data set>.md, what is wrong first.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from morphobench import config as configuration
from morphobench import files, log
from morphobench.config import checks, schema
from morphobench.download.named_files import LISTED
from morphobench.errors import InputError
from morphobench.files import headers
from morphobench.jobs import check_cells, check_published, check_sources
from morphobench.jobs.check_report import Report, free_gb, time_limit
from morphobench.remote import DEFAULT_CACHE

Config = Mapping[str, Any]
OUT = Path("results/check")
# A place that is slow to answer is reported as such: within a minute, for each data set.
_PATIENCE = {"timeout_s": 6, "retries": 1, "backoff_s": 0.5}
_LIMIT_S = 25.0


def check(name: str, config: Config, patience: Config | None = None) -> Report:
    """Check one data set of a resolved configuration."""
    start, dataset = time.monotonic(), config["datasets"][name]
    shared = {other: config["datasets"][other].get("n_cells", 0) for other in dataset.get("cells_from", [])}
    dataset = {**dataset, "n_shared": shared}
    report = Report(name, Path(f"config/datasets/{name}.yaml"))
    download_config = {**config["download"], **(patience or _PATIENCE)}
    # Each report is whole, whatever others of this run said before.
    headers.warn_once.cache_clear()
    with _warnings(report):
        n_bytes = _limited(report, "source", lambda: _check_source(report, dataset, config, download_config))
        if dataset.get("published"):
            _limited(report, "published", lambda: check_published.check(report, dataset, download_config))
    cache = Path(config["download"]["cache"] or DEFAULT_CACHE)
    free = free_gb(cache)
    report.say("A run would read", f"{free:.1f} GB are free in {cache}")
    if (n_bytes or 0) / 1e9 > free and "://" in (dataset["source"].get("location") or ""):
        needed = f"{n_bytes / 1e9:.1f} GB would be fetched into {cache}, {free:.1f} GB are free"
        report.stop(
            f"{needed}. Set download.cache to a folder on a larger disk, or max_cells.", "source.max_cells"
        )
    took = f"{datetime.now():%Y-%m-%d %H:%M}, {time.monotonic() - start:.1f} s, morphobench {log.version()}"
    report.say("This check", took)
    return report


def _check_source(report: Report, dataset: Config, config: Config, download_config: Config) -> int:
    """Check what a run would read first; return the bytes that it would fetch, or about."""
    source = dataset["source"]
    if shared := ", ".join(dataset.get("cells_from", [])):
        report.say("Place", f"it also has the cells of {shared}, which are checked apart")
    if dataset["start_from"] != "raw":
        report.say("Place", f"raw files are not read: start_from is {dataset['start_from']}")
    elif dataset["kind"] == "packing":
        return check_sources.check_packing(report, dataset, download_config, config["max_failed_fraction"])
    elif source.get("fovs"):
        check_sources.check_fields(report, dataset)
    elif source.get("stack"):
        check_sources.check_stack(report, dataset)
    elif source.get("cells"):
        return check_cells.check(report, dataset, config, download_config)
    elif dataset["form"] in LISTED:
        check_sources.check_listed(report, dataset, dataset["form"])
    elif dataset["n_shards"]:
        report.stop("source needs one of the keys fovs, stack and cells.", "source")
    return 0


def _limited(report: Report, key: str, work: Callable[[], int | None]) -> int:
    """Return what `work` returns; an InputError, and a place that does not answer, would stop a run."""
    try:
        with time_limit(_LIMIT_S, f"{report.name}: {key}"):
            return work() or 0
    except InputError as error:
        report.stop(error, key)
        return 0


@contextmanager
def _warnings(report: Report) -> Iterator[None]:
    """Make remarks of what the readers warn of."""

    class Remarks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            report.remark(record.getMessage(), "source")

    handler = Remarks(logging.WARNING)
    log.logger.addHandler(handler)
    try:
        yield
    finally:
        log.logger.removeHandler(handler)


def write(report: Report, folder: Path) -> Path:
    """Write a report as a file that can be sent; return its path."""
    path = folder / f"{report.name}.md"
    with files.atomic_file(path) as part:
        part.write_text(report.text(), encoding="utf-8")
    return path


def main(names: list[str]) -> int:
    """Check these data sets, or `all`; print and write the reports. Return 1 when a run would stop."""
    try:
        config = configuration.resolve(schema.read_yaml(Path("config/config.yaml")))
        checks.check_known(
            "DATASET", "dataset", [name for name in names if name != "all"], config["datasets"]
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    wanted = list(config["datasets"]) if "all" in names else names
    reports = []
    for name in wanted:
        reports.append(check(name, config))
        path = write(reports[-1], OUT)
        print(f"{reports[-1].text()}\n(written to {path})\n", flush=True)
    if len(reports) > 1:
        print("\n".join(report.verdict() for report in reports))
    return int(any(report.stops for report in reports))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
