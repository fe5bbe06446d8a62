"""Time, memory and agreement of the scores beside a plain transcription of the published procedure.

Prints tables, tests nothing; half an hour on one core, seconds with --quick (tiny sizes). Rows of other parts
follow where their files exist: bench_score_models.py (encoding and decoding), bench_retrieval.py.
Run from anywhere: python tests/speed/bench_score.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import importlib
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import reference_scores as plain

from morphobench.metrics.classification import classification_scores, classification_scores_legacy
from morphobench.metrics.interpolation import interpolation_distance, interpolation_distance_legacy
from morphobench.metrics.intrinsic_dimension import (
    intrinsic_dimension,
    intrinsic_dimension_legacy,
    participation_ratio,
)
from morphobench.metrics.invariance import rotation_invariance_error
from morphobench.metrics.regression import regression_scores, regression_scores_legacy

HERE = Path(__file__).parent

# Each has a function rows(quick) that returns dictionaries as `row` makes them, or lines of as many columns.
OTHERS = ("bench_score_models", "bench_retrieval")


@dataclass
class Sizes:
    """What is measured; the defaults are those that the budget is stated for."""

    cells: int = 10_000
    width: int = 256
    labels: int = 8
    targets: int = 6
    pairs: int = 117
    many_cells: int = 70_000
    many_width: int = 512

    @classmethod
    def tiny(cls) -> Sizes:
        return cls(cells=400, width=12, labels=4, targets=1, pairs=5, many_cells=600, many_width=16)


def embeddings(n: int, width: int, sizes: Sizes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings with the falling spectrum of real ones, labels and targets that they half know."""
    rng, n_labels, n_targets = np.random.default_rng(0), sizes.labels, sizes.targets
    which = rng.permutation(np.arange(n) % n_labels)
    hidden = rng.normal(size=(n, width)) * np.exp(-np.arange(width) / (width / 6))
    hidden[:, :n_labels] += 0.8 * np.eye(n_labels)[which]
    targets = hidden @ rng.normal(size=(width, n_targets)) + 2 * rng.normal(size=(n, n_targets))
    return hidden @ np.linalg.qr(rng.normal(size=(width, width)))[0] + 1, which, targets


def row(what: str, published_s: float, ours_s: float, difference: float | None) -> dict[str, Any]:
    """Return one line of the table: seconds of both, their ratio, the largest difference of the results."""
    return {
        "what": what,
        "published_s": published_s,
        "ours_s": ours_s,
        "ratio": published_s / ours_s,
        "difference": difference,
    }


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that one call keeps this process busy, whatever else runs, and its result."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def own_rows(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """Measure classification, regression, compactness and interpolation."""
    z, which, targets = embeddings(sizes.cells, sizes.width, sizes)
    size, table = f"{sizes.cells} x {sizes.width}", pd.DataFrame(targets).add_prefix("target_")
    parts = []
    their_s, theirs = timed(lambda: plain.classification(z, which))
    our_s, ours = timed(lambda: classification_scores_legacy(z, which))
    parts.append(
        row(f"classification {size}, {sizes.labels} labels", their_s, our_s, _apart(theirs, ours.values))
    )
    yield parts[-1]
    their_s, theirs = timed(lambda: plain.regression(z, targets))
    our_s, ours = timed(lambda: regression_scores_legacy(z, table))
    r2 = ours["r2"].to_numpy().reshape(sizes.targets, -1)
    name = f"regression {size}, {sizes.targets} targets (ours rounded to 0.01)"
    parts.append(row(name, their_s, our_s, _apart(theirs, r2)))
    yield parts[-1]
    their_s, theirs = timed(lambda: plain.compactness(z))
    our_s, ours = timed(lambda: intrinsic_dimension_legacy(z))
    parts.append(row(f"compactness {size}", their_s, our_s, _apart(theirs, ours.per_k) / theirs.max()))
    yield parts[-1]
    together = [sum(part[key] for part in parts) for key in ("published_s", "ours_s")]
    yield row("the three together", *together, None)
    fractions, ends = np.arange(1, 10) / 10, z[: 2 * sizes.pairs].reshape(2, sizes.pairs, -1)
    their_s, theirs = timed(lambda: plain.interpolation_distance(*ends, fractions, z))
    our_s, ours = timed(lambda: interpolation_distance_legacy(*ends, fractions, z))
    yield row(f"nearest embeddings of {9 * sizes.pairs} interpolants", their_s, our_s, _apart(theirs, ours))


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


def calls(z: np.ndarray, which: np.ndarray, targets: np.ndarray) -> Mapping[str, Callable[[], Any]]:
    """Return every metric that sees all embeddings, by name."""
    n = len(z)
    split = np.where(np.arange(n) % 7, "train", "test")
    table, fractions = pd.DataFrame(targets), np.arange(1, 10) / 10
    ends, exclude = z[:234].reshape(2, -1, z.shape[1]), np.arange(234).reshape(2, -1).T
    return {
        "classification": lambda: classification_scores(z, which, split),
        "classification, legacy": lambda: classification_scores_legacy(z, which),
        "regression": lambda: regression_scores(z, table, split),
        "ridge regression": lambda: regression_scores(z, table, split, units=np.arange(len(z))),
        "regression, legacy": lambda: regression_scores_legacy(z, table),
        "compactness of 200 test cells": lambda: intrinsic_dimension(z[split == "test"][:200], [5, 10, 20]),
        "compactness, legacy": lambda: intrinsic_dimension_legacy(z),
        "participation ratio": lambda: participation_ratio(z),
        "interpolation distance": lambda: interpolation_distance(
            *ends, fractions, z, np.arange(len(z)), exclude
        ),
        "rotation error": lambda: rotation_invariance_error(z[: n // 7], z[n // 7 : 2 * (n // 7)]),
    }


def memory_of(name: str, sizes: Sizes) -> tuple[float, float, float]:
    """Run one metric in this process; return the peak beyond its input and the input in MB, and seconds."""
    import tracemalloc

    z, which, targets = embeddings(sizes.many_cells, sizes.many_width, sizes)
    call = calls(z, which, targets)[name]
    tracemalloc.start()
    seconds, _ = timed(call)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6, z.nbytes / 1e6, seconds


def memory_lines(quick: bool, sizes: Sizes) -> Iterator[str]:
    """Measure every metric in a process of its own, that pays for no other; when `quick`, in this one."""
    few = (np.zeros((300, 2)), np.zeros(300), np.zeros((300, 1)))
    yield f"\n| {sizes.many_cells} x {sizes.many_width} | peak beyond the input | input | seconds |"
    yield "|---|---|---|---|"
    for name in calls(*few):
        if quick:
            peak, given, seconds = memory_of(name, sizes)
        else:
            command = [sys.executable, __file__, "--memory", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            peak, given, seconds = map(float, done.stdout.split())
        yield f"| {name} | {peak:.0f} MB | {given:.0f} MB | {seconds:.1f} |"


def other_rows(quick: bool) -> Iterator[dict[str, Any] | str]:
    """Ask the other benches, those that exist, for their rows."""
    for name in OTHERS:
        if (HERE / f"{name}.py").is_file():
            yield from importlib.import_module(name).rows(quick)


def line(found: Mapping[str, Any]) -> str:
    """Return a row as Markdown."""
    difference = "" if found["difference"] is None else f"{found['difference']:.2g}"
    times = f"{found['published_s']:.3g} s | {found['ours_s']:.3g} s | {found['ratio']:.2g}"
    return f"| {found['what']} | {times} | {difference} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--skip-memory", action="store_true", help="times alone")
    parser.add_argument("--memory", metavar="METRIC", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    sizes = Sizes.tiny() if chosen.quick else Sizes()
    if chosen.memory:
        print(*memory_of(chosen.memory, sizes))
        return
    print(
        f"{platform.machine()}, {os.environ['OMP_NUM_THREADS']} thread(s), processor time of one call each\n"
    )
    print("| | published procedure | morphobench | ratio | largest difference |")
    print("|---|---|---|---|---|")
    for source in (own_rows(sizes), other_rows(chosen.quick)):
        for found in source:
            print(found if isinstance(found, str) else line(found), flush=True)
    if not chosen.skip_memory:
        for text in memory_lines(chosen.quick, sizes):
            print(text, flush=True)


if __name__ == "__main__":
    main()
