"""The speed table of scores that run models: at tiny sizes, both procedures give the same scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent / "bench_score_models.py"


def test_both_procedures_give_the_same_scores():
    command = [sys.executable, str(BENCH), "--quick"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.strip("| ").split("|") for line in printed.splitlines() if line.startswith("| ")][1:]
    kinds = ["rotation error", "rotation error", *["evolution energy", "... without decoding"] * 2]
    assert [line[0].split(",")[0].strip() for line in lines] == kinds
    assert all(float(cells[-1]) < 1e-5 for cells in lines)
    assert all(float(cells[1].split()[0]) > 0 and float(cells[2].split()[0]) > 0 for cells in lines)
