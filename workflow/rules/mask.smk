rule mask:
    input:
        "results/align/{dataset}/shard-{shard}",
    output:
        directory("results/mask/{dataset}/shard-{shard}"),
    log:
        "logs/mask/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/mask/{dataset}/shard-{shard}.tsv"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        mask=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["mask"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
        code=code.digest("morphobench.mask"),
    message:
        "Keep what lies inside the mask of each cell of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/mask.py"
