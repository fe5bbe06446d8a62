"""Stage `download` for segmented shapes of one or more pieces, whose cells may lack one of the crops."""

from morphobench.download.punctate import run

__all__ = ["run"]
