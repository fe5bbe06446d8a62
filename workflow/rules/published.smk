# Files of the paper: read at a later entry, or written from a finished run.


def published_files(*keys):
    """Input function: published files under these keys, where they lie in a local folder and are there."""

    def files(wildcards):
        published = CONFIG["datasets"][wildcards.dataset]["published"]
        names = [published.get(key) for key in keys]
        named = [name.get(wildcards.model) if isinstance(name, dict) else name for name in names]
        paths = [Path(published["location"].removeprefix("file://")) / name for name in named if name]
        return [str(path) for path in paths if path.is_file()]

    return files


# The shards that published cells of a kind are written from.
PUBLISHED_FROM = {
    "packing": ("download", "mask"),
    "punctate": ("sample",),
    "polymorphic": ("sample", "mask"),
}


def published_shards(wildcards):
    """Input function: those shard folders, by stage."""
    return {stage: shards(stage)(wildcards) for stage in PUBLISHED_FROM[kind_of(wildcards)]}


def of_first_seed(pattern):
    """Input function: `pattern` for every model of the dataset and the first training seed."""

    def paths(wildcards):
        models = CONFIG["datasets"][wildcards.dataset]["models"]
        return expand(pattern, dataset=wildcards.dataset, model=models, seed=CONFIG["train"]["seeds"][0])

    return paths


rule published_manifest:
    input:
        published_files("preprocessed"),
    output:
        "results/published/{dataset}/manifest.parquet",
    log:
        "logs/published_manifest/{dataset}.log",
    benchmark:
        "benchmarks/published_manifest/{dataset}.tsv"
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
        "../scripts/published_manifest.py"


rule published_cells:
    input:
        "results/published/{dataset}/manifest.parquet",
    output:
        directory("results/sample/{dataset}/shard-{shard}"),
    log:
        "logs/published_cells/{dataset}/shard-{shard}.log",
    benchmark:
        "benchmarks/published_cells/{dataset}/shard-{shard}.tsv"
    wildcard_constraints:
        dataset=starting_from("preprocessed", "checkpoints"),
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        dataset=of_dataset("name", "kind", "source", "published", "voxel_um", "rules", "mask", "sample"),
        n_shards=n_parts,
        cache=CONFIG["download"]["cache"],
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Index the published cells of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/published_cells.py"


rule published_checkpoint:
    input:
        published_files("checkpoints", "grid_file"),
    output:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        record="results/train/{dataset}/{model}/seed-{seed}/record.json",
    log:
        "logs/published_checkpoint/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/published_checkpoint/{dataset}/{model}/seed-{seed}.tsv"
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
        "../scripts/published_checkpoint.py"


rule published_embedding:
    input:
        cells="results/published/{dataset}/manifest.parquet",
        local=published_files("embeddings"),
    output:
        table="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        reconstruction="results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet",
        unmatched="results/embed/{dataset}/{model}/seed-{seed}/identity_unmatched.csv",
    log:
        "logs/published_embedding/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/published_embedding/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=starting_from("embeddings"),
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
        "../scripts/published_embedding.py"


rule published_labels:
    input:
        cells="results/published/{dataset}/manifest.parquet",
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet"),
    output:
        "results/sample/{dataset}/manifest.parquet",
    log:
        "logs/published_labels/{dataset}.log",
    benchmark:
        "benchmarks/published_labels/{dataset}.tsv"
    wildcard_constraints:
        dataset=starting_from("embeddings"),
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    message:
        "List the published cells of {wildcards.dataset} with labels and splits"
    script:
        "../scripts/published_labels.py"


rule published_examples:
    input:
        "results/sample/{dataset}/manifest.parquet",
    output:
        "results/analyse/{dataset}/examples.parquet",
    log:
        "logs/published_examples/{dataset}.log",
    benchmark:
        "benchmarks/published_examples/{dataset}.tsv"
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
        "../scripts/published_examples.py"


rule published_folder:
    input:
        unpack(published_shards),
        manifest="results/sample/{dataset}/manifest.parquet",
        models=of_first_seed("results/train/{dataset}/{model}/seed-{seed}/model.pt"),
        embeddings=of_first_seed("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet"),
        reconstructions=of_first_seed("results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet"),
    output:
        directory("results/publish/{dataset}"),
    log:
        "logs/published_folder/{dataset}.log",
    benchmark:
        "benchmarks/published_folder/{dataset}.tsv"
    wildcard_constraints:
        dataset=starting_from("raw"),
    conda:
        "../../envs/publish.yaml"
    resources:
        **HEAVY,
    params:
        dataset=lambda wildcards: CONFIG["datasets"][wildcards.dataset],
        seed=CONFIG["train"]["seeds"][0],
    message:
        "Write the results on {wildcards.dataset} in the published layout"
    script:
        "../scripts/published_folder.py"
