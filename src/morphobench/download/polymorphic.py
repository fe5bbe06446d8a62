"""Stage `download` for multi-piece structures given as segmentations: as for punctate ones.

Cells that are already there (`source.cells`) may come without crop_raw, or without crop_seg when
crop_raw holds the segmentation and the masks.
"""

from morphobench.download.punctate import run

__all__ = ["run"]
