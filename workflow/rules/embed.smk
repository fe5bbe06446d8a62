rule embed:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
    output:
        "results/embed/{dataset}/{model}/seed-{seed}/{pose}.parquet",
    log:
        "logs/embed/{dataset}/{model}/seed-{seed}/{pose}.log",
    benchmark:
        "benchmarks/embed/{dataset}/{model}/seed-{seed}/{pose}.tsv"
    wildcard_constraints:
        dataset=starting_from("raw", "preprocessed", "checkpoints"),
    conda:
        "../../envs/torch.yaml"
    resources:
        **GPU,
    params:
        settings=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
        accelerator=CONFIG["train"]["accelerator"],
        code=code.digest("morphobench.embed"),
    message:
        "Embed {wildcards.dataset} with {wildcards.model}, seed {wildcards.seed}, poses: {wildcards.pose}"
    script:
        "../scripts/embed.py"
