# Not the list of seeds nor what is asked of the scheduler: a further seed must not train the others again.
TRAIN_CONFIG = {key: value for key, value in CONFIG["train"].items() if key not in ("seeds", "gpus")}


rule train:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
    output:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        record="results/train/{dataset}/{model}/seed-{seed}/record.json",
        curves="results/train/{dataset}/{model}/seed-{seed}/curves.csv",
        picture=report(
            "results/train/{dataset}/{model}/seed-{seed}/curves.png",
            caption="../report/curves.rst",
            category="Training",
            labels={"dataset": "{dataset}", "model": "{model}", "seed": "{seed}"},
        ),
    log:
        "logs/train/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/train/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=starting_from("raw", "preprocessed"),
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG["train"]["devices"]
    resources:
        **TRAIN,
    params:
        # A path, not an output: what a job declares is deleted when it fails, and these must survive a crash.
        checkpoints="results/train/{dataset}/{model}/seed-{seed}/checkpoints",
        model_config=of_model,
        dataset="{dataset}",
        model_name="{model}",
        seed=lambda wildcards: int(wildcards.seed),
        train_config=TRAIN_CONFIG,
    message:
        "Train {params.model_name} on {params.dataset}, seed {params.seed}"
    script:
        "../scripts/train.py"


use rule train as train_sweep_point with:
    input:
        manifest=lambda wildcards: f"results/sample/{of_sweep(wildcards)['dataset']}/manifest.parquet",
        shards=sampled,
    output:
        model="results/train/sweeps/{sweep}/{point}/model.pt",
        record="results/train/sweeps/{sweep}/{point}/record.json",
        curves="results/train/sweeps/{sweep}/{point}/curves.csv",
        picture="results/train/sweeps/{sweep}/{point}/curves.png",
    log:
        "logs/train_sweep_point/{sweep}/{point}.log",
    benchmark:
        "benchmarks/train_sweep_point/{sweep}/{point}.tsv"
    params:
        checkpoints="results/train/sweeps/{sweep}/{point}/checkpoints",
        model_config=of_point,
        dataset=lambda wildcards: of_sweep(wildcards)["dataset"],
        model_name=lambda wildcards: of_sweep(wildcards)["model"],
        seed=CONFIG["train"]["seeds"][0],
        train_config=TRAIN_CONFIG,
    message:
        "Train point {wildcards.point} of sweep {wildcards.sweep}"


rule train_sweep:
    input:
        records=lambda wildcards: [
            f"results/train/sweeps/{wildcards.sweep}/{point}/record.json"
            for point in of_sweep(wildcards)["points"]
        ],
    output:
        table="results/train/sweeps/{sweep}.csv",
    log:
        "logs/train_sweep/{sweep}.log",
    benchmark:
        "benchmarks/train_sweep/{sweep}.tsv"
    localrule: True
    conda:
        "../../envs/torch.yaml"
    resources:
        **LIGHT,
    params:
        points=lambda wildcards: of_sweep(wildcards)["points"],
    message:
        "Compare the points of sweep {wildcards.sweep}"
    script:
        "../scripts/train_sweep.py"
