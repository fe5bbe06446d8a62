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


rule publish:
    input:
        unpack(published_shards),
        manifest="results/sample/{dataset}/manifest.parquet",
        models=of_first_seed("results/train/{dataset}/{model}/seed-{seed}/model.pt"),
        embeddings=of_first_seed("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet"),
    output:
        directory("results/publish/{dataset}"),
    log:
        "logs/publish/{dataset}.log",
    benchmark:
        "benchmarks/publish/{dataset}.tsv"
    wildcard_constraints:
        dataset=starting_from("raw"),
    conda:
        "../../envs/publish.yaml"
    resources:
        **HEAVY,
    params:
        dataset=lambda wildcards: CONFIG["datasets"][wildcards.dataset],
        seed=CONFIG["train"]["seeds"][0],
        code=lambda wildcards: code.digest(
            "morphobench.publish.folder", f"morphobench.publish.{kind_of(wildcards)}"
        ),
    message:
        "Write the results on {wildcards.dataset} in the published layout"
    script:
        "../scripts/publish.py"
