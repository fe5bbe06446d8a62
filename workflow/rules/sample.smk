rule sample:
    input:
        unpack(sample_inputs),
    output:
        directory("results/sample/{dataset}/shard-{shard}"),
    log:
        "logs/sample/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/sample/{dataset}/shard-{shard}.tsv"
    wildcard_constraints:
        dataset=starting_from("raw"),
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        kind=kind_of,
        sample=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["sample"],
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Sample point clouds and cubes of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/sample.py"


rule sample_manifest:
    input:
        shards("sample"),
    output:
        "results/sample/{dataset}/manifest.parquet",
    log:
        "logs/sample_manifest/{dataset}.log",
    benchmark:
        "benchmarks/sample_manifest/{dataset}.tsv"
    wildcard_constraints:
        dataset=starting_from("raw", "preprocessed", "checkpoints"),
    localrule: True
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        split=CONFIG["sample"]["split"],
        column=split_column,
        seed=CONFIG["seed"],
    message:
        "Account for every cell of {wildcards.dataset} and split them into train, val and test"
    script:
        "../scripts/sample_manifest.py"
