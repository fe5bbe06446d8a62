"""Stage `align`: bring raw cells into this project's frame, one module for each kind of dataset."""

from morphobench.align.inplane import inplane_angle

__all__ = ["inplane_angle"]
