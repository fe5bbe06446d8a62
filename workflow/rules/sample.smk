rule sample:
    input:
        unpack(
            lambda wildcards: {
                key: f"results/mask/{wildcards.dataset}/{name}"
                for key, name in SHARED[dataset_config(wildcards)["kind"]].items()
            }
        ),
        shard_in=lambda wildcards: shards("mask")(wildcards)[int(wildcards.shard)],
    output:
        directory("results/sample/{dataset}/shard-{shard}"),
    wildcard_constraints:
        dataset=datasets(start_from=["raw"]),
    conda:
        "../../envs/image.yaml"
    params:
        dataset=dataset_params("form", "sample"),
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Sample point clouds and cubes of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/sample.py"


rule sample_manifest:
    input:
        shards=shards("sample"),
        frozen=frozen_manifest,
    output:
        "results/sample/{dataset}/manifest.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["raw", "preprocessed", "checkpoints"]),
    localrule: True
    conda:
        "../../envs/image.yaml"
    params:
        split=CONFIG["sample"]["split"],
        column=lambda wildcards: dataset_config(wildcards).get("split"),
        seed=CONFIG["seed"],
        n_folds=lambda wildcards: dataset_config(wildcards).get("folds"),
        label=lambda wildcards: dataset_config(wildcards)["stratum"],
    message:
        "Account for every cell of {wildcards.dataset} and split them into train, val and test"
    script:
        "../scripts/sample_manifest.py"


rule sample_fold:
    input:
        "results/sample/{dataset}/manifest.parquet",
    output:
        "results/sample/{dataset}/{fold}/manifest.parquet",
    localrule: True
    conda:
        "../../envs/image.yaml"
    params:
        fold=lambda wildcards: int(wildcards.fold.removeprefix("fold-")),
        split=CONFIG["sample"]["split"],
        label=lambda wildcards: dataset_config(wildcards)["stratum"],
        seed=CONFIG["seed"],
    message:
        "Split {wildcards.dataset} for {wildcards.fold}"
    script:
        "../scripts/sample_fold.py"
