"""morphobench: morphology-appropriate representation learning, benchmarked.

One module per stage of the workflow: download, align, mask, sample, train, embed, score, analyse, plot.
Importing the package imports none of them; the heavy ones (torch) load where they are used.
Axes, units and rotations are fixed in ``conventions.md`` beside this file.
"""

__version__ = "0.1.0"
