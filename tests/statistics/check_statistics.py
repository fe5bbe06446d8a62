"""Simulate every interval and every p value of the project, and write the tables into docs/statistics.md.

Ends with an error where an interval holds the truth, or p is small without effect, too rarely or too often.
Run by `make check-statistics`.
"""

import argparse
import operator
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import simulate_exchange
import simulate_scores
import simulate_strata

DOCS = Path(__file__).resolve().parents[2] / "docs/statistics.md"
# The rows of both tables. Those of drugs take longest.
LEVELS = [*simulate_scores.LEVELS, *simulate_exchange.ROWS, *simulate_strata.ROWS]
COVERAGE = simulate_scores.COVERAGE
SHARE = "share of p <= 0.05"


def faults(coverage: Sequence[Mapping[str, object]], levels: Sequence[Mapping[str, object]]) -> list[str]:
    """Say which intervals hold the truth too rarely or too often, and which p values are small so."""
    found = []
    for row in coverage:
        for place, share in row.items():
            if isinstance(share, float) and outside(share, *simulate_scores.COVER):
                found.append(f"interval of {next(iter(row.values()))}, {place}: {share:.3f}")
    for row in levels:
        if outside(row[SHARE], simulate_scores.LOWEST, simulate_scores.HIGHEST):
            found.append(f"p of {row['test']}, {row['without effect, but']}: {row[SHARE]:.3f}")
    return found


def outside(share: float, least: float, most: float) -> bool:
    """Return whether a share is known and lies outside two limits."""
    return share < least or share > most


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows as a table in Markdown; a share that is not known is a dash."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join(map(line, lines))


def line(values: Iterable[object]) -> str:
    """Return values as a line of a table."""
    return "| " + " | ".join(map(text, values)) + " |"


def printed(rows: Iterable[Mapping[str, object]]) -> Iterator[Mapping[str, object]]:
    """Yield rows, and print each as it comes."""
    for row in rows:
        print(line(row.values()), flush=True)
        yield row


def text(value: object) -> str:
    """Return a share with three digits, else the value."""
    if isinstance(value, float):
        return f"{value:.3f}" if value == value else "-"
    return str(value)


def write(docs: Path, tables: Mapping[str, str]) -> None:
    """Put each table between the two marks of its name."""
    said = docs.read_text()
    for name, rows in tables.items():
        first, last = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, rest = said.split(first)
        said = before + first + rows + last + rest.split(last)[1]
    docs.write_text(said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="simulated test sets per number")
    parser.add_argument("--docs", type=Path, default=DOCS, help="page to write the tables into")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        made = [pool.map(operator.call, rows, repeat(arguments.n)) for rows in (LEVELS, COVERAGE)]
        levels, coverage = (list(printed(rows)) for rows in made)
    tables = {"coverage": table(coverage), "levels": table(levels)}
    write(arguments.docs, tables)
    if found := faults(coverage, levels):
        sys.exit("beyond what is promised:\n" + "\n".join(found))
