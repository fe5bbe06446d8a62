"""Contact sheet of meshes: as of segmented structures."""

from morphobench.plot.contact_sheet.polymorphic import draw, read_views

__all__ = ["draw", "read_views"]
