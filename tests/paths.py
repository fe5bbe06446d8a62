"""Where things lie: this clone, and the folder of shared data beside it, which a clone may lack."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
