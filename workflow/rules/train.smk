rule train:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
    output:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        record="results/train/{dataset}/{model}/seed-{seed}/record.json",
        curves="results/train/{dataset}/{model}/seed-{seed}/curves.csv",
    log:
        "logs/train/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/train/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **GPU,
    params:
        # A path, not an output: what a job declares is deleted when it fails, and these must survive a crash.
        checkpoints="results/train/{dataset}/{model}/seed-{seed}/checkpoints",
        model=of_model,
        settings=CONFIG["train"],
        code=lambda wildcards: code.digest(
            "morphobench.train", f"morphobench.models.{of_model(wildcards)['family']}"
        ),
    message:
        "Train {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    script:
        "../scripts/train.py"
