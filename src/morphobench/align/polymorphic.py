"""Stage `align` for multi-piece structures given as segmentations, mostly not turned: as for punctate."""

from morphobench.align.punctate import align_cell, read_cell, run

__all__ = ["align_cell", "read_cell", "run"]
