rule download_manifest:
    output:
        "results/download/{dataset}/manifest.parquet",
    log:
        "logs/download_manifest/{dataset}.log",
    benchmark:
        "benchmarks/download_manifest/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/data.yaml"
    resources:
        **LIGHT,
    params:
        dataset=of_dataset("name", "kind", "source", "rules", "stratum", "labels"),
        place=cache_of,
    message:
        "List what {wildcards.dataset} fetches"
    script:
        "../scripts/download_manifest.py"


rule download:
    input:
        local_source,
        manifest=remote_index,
    output:
        directory("results/download/{dataset}/shard-{shard}"),
    log:
        "logs/download/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/download/{dataset}/shard-{shard}.tsv"
    group:
        "cells"
    conda:
        "../../envs/data.yaml"
    resources:
        **LIGHT,
    params:
        kind=kind_of,
        dataset=of_dataset("name", "kind", "source", "rules", "packing", "voxel_um", "n_shards"),
        place=cache_of,
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Pack or fetch the cells of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/download.py"
