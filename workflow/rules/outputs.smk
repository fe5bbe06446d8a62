# `snakemake all`. Included, it is no default target, so that `--forcerun plot_figure figures/fig3.pdf`, of which
# snakemake takes both words as forced, plans that figure alone.
from morphobench.config import outputs


rule all:
    input:
        or_stop(outputs.paths, CONFIG),
    localrule: True
