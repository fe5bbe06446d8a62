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
    message:
        "Fabricate cells in the layout of {wildcards.bucket}"
    script:
        "../scripts/download_bucket.py"


rule download_published:
    input:
        published_files("preprocessed"),
    output:
        "results/download/{dataset}/published.parquet",
    log:
        "logs/download_published/{dataset}.log",
    benchmark:
        "benchmarks/download_published/{dataset}.tsv"
    wildcard_constraints:
        dataset=starting_from("preprocessed", "checkpoints", "embeddings"),
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        dataset=of_dataset("name", "kind", "source", "published"),
        max_cells=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["source"].get("max_cells"),
        cache=CONFIG["download"]["cache"],
    message:
        "Fetch and check the published manifest of {wildcards.dataset}"
    script:
        "../scripts/download_published.py"


rule download_preprocessed:
    input:
        "results/download/{dataset}/published.parquet",
    output:
        directory("results/sample/{dataset}/shard-{shard}"),
    log:
        "logs/download_preprocessed/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/download_preprocessed/{dataset}/shard-{shard}.tsv"
    wildcard_constraints:
        dataset=starting_from("preprocessed", "checkpoints"),
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        kind=kind_of,
        dataset=of_dataset("name", "kind", "source", "published", "voxel_um", "rules", "mask", "sample"),
        n_shards=n_parts,
        cache=CONFIG["download"]["cache"],
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Index the published cells of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/download_preprocessed.py"


rule download_checkpoint:
    input:
        published_files("checkpoints", "grid_file"),
    output:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        record="results/train/{dataset}/{model}/seed-{seed}/record.json",
    log:
        "logs/download_checkpoint/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/download_checkpoint/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=starting_from("checkpoints"),
    conda:
        "../../envs/publish.yaml"
    resources:
        **LIGHT,
    params:
        model=of_model,
        dataset=of_dataset("name", "published"),
        cache=CONFIG["download"]["cache"],
    message:
        "Convert the published weights of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/download_checkpoint.py"


rule download_embedding:
    input:
        cells="results/download/{dataset}/published.parquet",
        local=published_files("embeddings"),
    output:
        table="results/embed/{dataset}/{model}/seed-{seed}/{pose}.parquet",
        unmatched="results/embed/{dataset}/{model}/seed-{seed}/{pose}_unmatched.csv",
    log:
        "logs/download_embedding/{dataset}/{model}/seed-{seed}/{pose}.log",
    benchmark:
        "benchmarks/download_embedding/{dataset}/{model}/seed-{seed}/{pose}.tsv"
    wildcard_constraints:
        dataset=starting_from("embeddings"),
        pose="identity",
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        dataset=of_dataset("name", "kind", "published"),
        cache=CONFIG["download"]["cache"],
    message:
        "Fetch the published embeddings of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/download_embedding.py"


rule download_labels:
    input:
        cells="results/download/{dataset}/published.parquet",
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet"),
    output:
        "results/sample/{dataset}/manifest.parquet",
    log:
        "logs/download_labels/{dataset}.log",
    benchmark:
        "benchmarks/download_labels/{dataset}.tsv"
    wildcard_constraints:
        dataset=starting_from("embeddings"),
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    message:
        "List the published cells of {wildcards.dataset} with labels and splits"
    script:
        "../scripts/download_labels.py"


rule download_examples:
    input:
        "results/sample/{dataset}/manifest.parquet",
    output:
        "results/analyse/{dataset}/examples.parquet",
    log:
        "logs/download_examples/{dataset}.log",
    benchmark:
        "benchmarks/download_examples/{dataset}.tsv"
    wildcard_constraints:
        dataset=starting_from("embeddings"),
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        dataset=of_dataset("name", "kind", "source", "published", "voxel_um", "rules", "sample", "stratum"),
        cache=CONFIG["download"]["cache"],
        seed=CONFIG["seed"],
    message:
        "Fetch the few cells of {wildcards.dataset} that figures show"
    script:
        "../scripts/download_examples.py"
