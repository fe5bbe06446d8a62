# `snakemake all`. Included, it is no default target, so that `--forcerun plot_fig3 figures/fig3.pdf`, of which snakemake
# takes both words as forced, plans that figure alone.
rule all:
    input:
        targets(),
    localrule: True
