"""Time of drug retrieval beside the published procedure, written out plainly, and the package copairs.

Alone: python tests/speed/bench_retrieval.py; `rows` gives the lines of the table to other benchmarks.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from morphobench.metrics.retrieval import retrieval_map, standardise_on_controls
from morphobench.metrics.retrieval_null import rank_null, tail_p

# As in the drug screen: 1025 cells, 17 drugs, the rest controls.
N_CONTROLS, SIZES, DIMENSION = 260, range(29, 63, 2), 512
HEADER = "| | published or copairs | morphobench | ratio | largest difference |\n|---|---|---|---|---|"


def screen(quick: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return profiles, conditions and control flags of a screen with effects from none to strong."""
    rng = np.random.default_rng(0)
    sizes = [6, 8] if quick else list(SIZES)
    n_controls, dimension = (20, 8) if quick else (N_CONTROLS, DIMENSION)
    parts, names = [rng.normal(size=(n_controls, dimension))], ["dmso"] * n_controls
    for number, size in enumerate(sizes):
        shift = 0.3 * number / len(sizes) * rng.normal(size=dimension)
        parts.append(rng.normal(size=(size, dimension)) + shift)
        names += [f"drug {number}"] * size
    names = np.array(names)
    return np.concatenate(parts), names, names == "dmso"


def published_null(n_positives: int, n_negatives: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Shuffle rows of ones and zeros and rank every place, as published."""
    labels = np.zeros((n_draws, n_positives + n_negatives), dtype=int)
    labels[:, :n_positives] = 1
    rng.permuted(labels, axis=1, out=labels)
    hits = np.cumsum(labels, axis=1)
    precision = hits / np.arange(1, labels.shape[1] + 1)
    return np.sort((precision * labels).sum(axis=1) / n_positives)


def seconds(call: Callable[[], object], repeats: int = 1) -> tuple[float, object]:
    """Return the least time of some calls, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def line(name: str, other_s: float, ours_s: float, difference: float) -> str:
    """Return a line of the table."""
    return f"| {name} | {other_s:.3g} s | {ours_s:.3g} s | {other_s / ours_s:.1f} | {difference:.0e} |"


def rows(quick: bool = False) -> list[str]:
    """Return the lines of the table, below `HEADER`."""
    from copairs import compute
    from copairs.map import average_precision

    n_draws = 200 if quick else 20000
    x, names, control = screen(quick)
    standard = standardise_on_controls(x, control)[0]
    meta = pd.DataFrame({"group": names, "control": control})
    pairs = {"pos_sameby": ["group"], "pos_diffby": [], "neg_sameby": [], "neg_diffby": ["group", "control"]}
    other_s, known = seconds(lambda: average_precision(meta, standard, **pairs, progress_bar=False), 2)
    ours_s, found = seconds(lambda: retrieval_map(x, names, control, n_null=1, n_exchanges=1), 3)
    cells = found.cells.sort_values("row")
    precision = cells["average_precision"].to_numpy(float)
    difference = np.abs(precision - known[~control]["average_precision"].to_numpy()).max()
    table = [line(f"average precision of {len(x)} cells (copairs)", other_s, ours_s, difference)]

    # The published table holds the controls too, and drops them afterwards.
    confs = known[["n_pos_pairs", "n_total_pairs"]].drop_duplicates().to_numpy()
    wanted = cells[["n_positives", "n_negatives"]].to_numpy(int)

    def by(null_of: Callable[[int, int], np.ndarray], which: np.ndarray) -> np.ndarray:
        nulls = {(p, q): null_of(p, q) for p, q in which}
        return np.array(
            [tail_p(nulls[p, q], ap) for (p, q), ap in zip(wanted.tolist(), precision, strict=True)]
        )

    rng = np.random.default_rng(0)
    all_counts = [(int(p), int(total - p)) for p, total in confs]
    own_counts = sorted(set(map(tuple, wanted.tolist())))
    ours_s, ours = seconds(lambda: by(lambda p, q: rank_null(p, q, n_draws, rng), own_counts), 3)
    other_s, other = seconds(lambda: by(lambda p, q: published_null(p, q, n_draws, rng), all_counts), 2)
    name = f"p of cells, {n_draws} random rankings"
    table.append(line(f"{name} (published)", other_s, ours_s, np.abs(ours - other).max()))
    with tempfile.TemporaryDirectory() as folder:
        other_s, nulls = seconds(
            lambda: compute.get_null_dists(confs, n_draws, 0, cache_dir=folder, progress_bar=False)
        )
    kept = dict(zip(all_counts, np.sort(nulls, axis=1), strict=True))
    other = by(lambda p, q: kept[p, q], own_counts)
    table.append(line(f"{name} (copairs)", other_s, ours_s, np.abs(ours - other).max()))
    return table


def report(quick: bool) -> None:
    """Print the table."""
    print(HEADER)
    print("\n".join(rows(quick)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    report(parser.parse_args().quick)
