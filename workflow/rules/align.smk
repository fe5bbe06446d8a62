rule align:
    input:
        "results/download/{dataset}/shard-{shard}",
    output:
        directory("results/align/{dataset}/shard-{shard}"),
    log:
        "logs/align/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/align/{dataset}/shard-{shard}.tsv"
    group:
        "cells"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        kind=kind_of,
        dataset=align_settings,
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Bring the cells of {wildcards.dataset}, shard {wildcards.shard}, into one frame in micrometres"
    script:
        "../scripts/align.py"
