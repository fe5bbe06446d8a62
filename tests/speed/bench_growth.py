"""Seconds, peak memory and growth of each stage with the number of cells: `make bench-growth`.

The data path (download to sample) of three kinds in one shard of small cells, the indexing of manifests, and
scores and analyses of made-up embeddings. Each stage has a process of its own, forked from this one: seconds
are its processor's, the memory its peak. The exponent is that of the seconds between the two largest sizes,
where what a job takes at any size counts least. Prints one table; --long adds the largest sizes.
"""

from __future__ import annotations

import os

# Before numpy: BLAS reads these when it loads.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import bench_download
from fabricate import growing

Steps = Iterator[tuple[str, Callable[[], object]]]
# Cells (rows of indexing) by group of stages: in tests, by default, with --long.
SIZES = {
    "packing": ((6, 12), (102, 1002), (102, 1002, 10002)),
    "punctate": ((1, 2), (100, 1000), (100, 1000, 10_000)),
    "polymorphic": ((1, 2), (100, 1000), (100, 1000, 10_000)),
    "indexing": ((20, 40), (100_000, 300_000), (100_000, 300_000, 1_000_000)),
    "embeddings": ((380, 400), (1000, 8000), (1000, 8000, 71_673)),
}
WIDTH, TINY_WIDTH = 512, 8


def indexing(folder: Path, n: int) -> Steps:
    """Index a manifest of n rows, and find its crops in a bucket's list."""
    bench_download.write_manifest(folder / "cells.csv", n, 12)
    yield "needed columns", lambda: bench_download.index_cells(str(folder / "cells.csv"), "")
    with bench_download.quick_server(2 * n, 1, 0) as port:
        os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "no_proxy": "127.0.0.1"}
        location = bench_download.LOCATION
        yield (
            "and 2 files each, listed",
            lambda: bench_download.index_cells(str(folder / "cells.csv"), location),
        )


def measure(call: Callable[[], object], fork: bool) -> tuple[float, float]:
    """Return the seconds that a call keeps a processor busy, and the peak memory of its process, MB."""
    if not fork:
        start = time.process_time()
        call()
        return time.process_time() - start, bench_download.peak_mb()
    child = os.fork()
    if not child:
        try:
            call()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit("a stage failed, see above")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def group_steps(group: str, folder: Path, n: int, width: int) -> Steps:
    """Return the stages of a group, each by name with a call; what one writes the next reads."""
    if group == "indexing":
        return indexing(folder, n)
    if group == "embeddings":
        return growing.embedding_steps(folder, n, width)
    return growing.path_steps(group, folder, n)


def line(name: str, found: Mapping[int, tuple[float, float]]) -> str:
    """Return a line of the table from seconds and memory by size."""
    seconds, memory = np.transpose(list(found.values()))
    columns = found, map("{:.3g}".format, seconds), map("{:.0f}".format, memory)
    cells = (" / ".join(map(str, column)) for column in columns)
    (n, shorter), (m, longer) = sorted(zip(found, seconds.clip(1e-9), strict=True))[-2:]
    return f"| {name} | {' | '.join(cells)} | {np.log(longer / shorter) / np.log(m / n):.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--long", action="store_true", help="the largest sizes too; hours")
    parser.add_argument("--only", metavar="GROUP", choices=SIZES, help="one group of stages")
    chosen = parser.parse_args()
    width = TINY_WIDTH if chosen.quick else WIDTH
    print(f"{os.cpu_count()} cores, one thread; load before: {os.getloadavg()[0]:.1f}\n")
    print("| stage | cells or rows | CPU seconds | peak memory, MB | exponent |\n|---|---|---|---|---|")
    for group in [chosen.only] if chosen.only else SIZES:
        found: dict[str, dict[int, tuple[float, float]]] = {}
        for n in SIZES[group][0 if chosen.quick else 1 + chosen.long]:
            with tempfile.TemporaryDirectory() as folder:
                for name, call in group_steps(group, Path(folder), n, width):
                    seconds, memory = found.setdefault(name, {})[n] = measure(call, not chosen.quick)
                    # The largest sizes take an hour: what is known is said at once.
                    print(
                        f"{group}: {name}, {n}: {seconds:.3g} s, {memory:.0f} MB", file=sys.stderr, flush=True
                    )
        for name, own in found.items():
            print(line(f"{group}: {name}", own), flush=True)


if __name__ == "__main__":
    main()
