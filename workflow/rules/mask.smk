rule mask:
    input:
        "results/align/{dataset}/shard-{shard}",
    output:
        directory("results/mask/{dataset}/shard-{shard}"),
    log:
        "logs/mask/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/mask/{dataset}/shard-{shard}.tsv"
    group:
        "cells"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        kind=kind_of,
        mask=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["mask"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Keep what lies inside the mask of each cell of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/mask.py"


rule mask_box:
    input:
        shards("mask"),
    output:
        "results/mask/{dataset}/box.json",
    log:
        "logs/mask_box/{dataset}.log",
    benchmark:
        "benchmarks/mask_box/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        box=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["box"],
    message:
        "Find the box that the cells of {wildcards.dataset} share"
    script:
        "../scripts/mask_box.py"


rule mask_scale_factor:
    input:
        shards("mask"),
    output:
        "results/mask/{dataset}/scale_factor.parquet",
    log:
        "logs/mask_scale_factor/{dataset}.log",
    benchmark:
        "benchmarks/mask_scale_factor/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        scale_factor=scale_factor_settings,
    message:
        "Find how large the shapes of {wildcards.dataset} are on their grids"
    script:
        "../scripts/mask_scale_factor.py"
