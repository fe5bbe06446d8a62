rule mask:
    input:
        "results/align/{dataset}/shard-{shard}",
    output:
        directory("results/mask/{dataset}/shard-{shard}"),
    group:
        "cells"
    conda:
        "../../envs/image.yaml"
    params:
        dataset=dataset_params("form", "mask"),
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Keep what lies inside the mask of each cell of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/mask.py"


rule mask_box:
    input:
        frozen=frozen,
        shards=shards("mask"),
    output:
        "results/mask/{dataset}/box.json",
    localrule: True
    conda:
        "../../envs/image.yaml"
    params:
        box=lambda wildcards: dataset_config(wildcards)["box"],
    message:
        "Find the box that the cells of {wildcards.dataset} share"
    script:
        "../scripts/mask_box.py"


rule mask_scale_factor:
    input:
        factors=published_factors,
        frozen=frozen,
        shards=shards("mask"),
    output:
        "results/mask/{dataset}/scale_factor.parquet",
    localrule: True
    conda:
        "../../envs/image.yaml"
    params:
        scale_factor=scale_factor,
    message:
        "Find how large the shapes of {wildcards.dataset} are on their grids"
    script:
        "../scripts/mask_scale_factor.py"
