"""Stage `align` for multi-piece structures given as segmentations, mostly not rotated: as for punctate."""

from morphobench.align.punctate import run

__all__ = ["run"]
