rule download_manifest:
    output:
        "results/download/{dataset}/manifest.parquet",
    localrule: True
    conda:
        "../../envs/data.yaml"
    params:
        dataset=dataset_params("name", "kind", "source", "rules", "needs", "used_channels"),
        place={"cache": CONFIG["download"]["cache"]},
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
    group:
        "cells"
    conda:
        "../../envs/data.yaml"
    params:
        dataset=download_params,
        local_files=local_files,
        # Where crops of a remote source lie, which cell tables hold.
        place=lambda wildcards: {"cache": CONFIG["download"]["cache"] if remote_index(wildcards) else None},
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Pack or fetch the cells of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/download.py"
