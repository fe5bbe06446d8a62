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
    message:
        "Write the results on {wildcards.dataset} in the published layout"
    script:
        "../scripts/publish.py"
