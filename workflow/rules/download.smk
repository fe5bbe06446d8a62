rule download:
    input:
        local_source,
    output:
        directory("results/download/{dataset}/shard-{shard}"),
    log:
        "logs/download/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/download/{dataset}/shard-{shard}.tsv"
    group:
        "cells"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        kind=kind_of,
        dataset=of_dataset("name", "kind", "source", "rules", "packing", "voxel_um", "n_shards"),
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
        code=code_of_kind("download"),
    message:
        "Pack or fetch the cells of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/download.py"
