"""Stage `sample` for meshes: as for segmented structures."""

from morphobench.sample.polymorphic import run

__all__ = ["run"]
