rule download:
    input:
        local_source,
    output:
        directory("results/download/{dataset}/shard-{shard}"),
    log:
        "logs/download/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/download/{dataset}/shard-{shard}.tsv"
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


rule download_bucket:
    output:
        directory("results/bucket/{bucket}"),
    log:
        "logs/download_bucket/{bucket}.log",
    benchmark:
        "benchmarks/download_bucket/{bucket}.tsv"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        bucket=of_bucket,
        seed=CONFIG["seed"],
        code=code.digest("morphobench.download.fabricate.bucket"),
    message:
        "Fabricate cells in the layout of {wildcards.bucket}"
    script:
        "../scripts/download_bucket.py"


wildcard_constraints:
    bucket=r"[A-Za-z0-9_]+",
