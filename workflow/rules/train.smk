# Not the list of seeds nor what is asked of the scheduler: a further seed must not train the others again.
TRAIN_CONFIG = {
    key: value for key, value in CONFIG["train"].items() if key not in ("seeds", "gpus", "recipe")
}
# A retried training goes on from its checkpoint; more time would only find its node later.
TRAIN = resources(
    mem_mb=32000, runtime=1440, gpu=CONFIG["train"]["gpus"] * CONFIG["train"]["devices"], grows=False
)
if CONFIG["train"]["nodes"] > 1:
    # SLURM counts gres on each node; gpu would be the sum, which the first node alone does not have.
    gres = {"gres": f"gpu:{TRAIN['gpu']}"} if TRAIN["gpu"] else {}
    TRAIN = {**TRAIN, "gpu": 0, "nodes": CONFIG["train"]["nodes"], "tasks": CONFIG["train"]["nodes"], **gres}


ruleorder: train_baseline > train


rule train_baseline:
    output:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
    wildcard_constraints:
        model="|".join(DECODED_BASELINES) or "(?!)",
    localrule: True
    conda:
        "../../envs/torch.yaml"
    params:
        model_config=weightless,
    message:
        "Write {wildcards.model} for {wildcards.dataset} as a model: it has no weights, and nothing is trained"
    script:
        "../scripts/train_baseline.py"


rule train:
    input:
        manifest=manifest,
        shards=shards("sample"),
        shared=lambda wildcards: shared_of(wildcards.dataset),
        start=start_file,
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
    wildcard_constraints:
        dataset=datasets(start_from=["raw", "preprocessed"], weights_from=False),
    # What takes longest, and all else waits for, begins first.
    priority: 1
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG["train"]["devices"]
    resources:
        **TRAIN,
    params:
        # A path, not an output: what a job declares is deleted when it fails, and these must survive a crash.
        checkpoints="results/train/{dataset}/{model}/seed-{seed}/checkpoints",
        model_config=lambda wildcards: configuration.model_for(CONFIG, wildcards.dataset, wildcards.model),
        dataset="{dataset}",
        model_name="{model}",
        seed=lambda wildcards: int(wildcards.seed.partition("/")[0]),
        train_config=TRAIN_CONFIG,
        start_weights=start_weights,
        cells_config=cells_config,
    message:
        "Train {params.model_name} on {params.dataset}, seed {params.seed}"
    script:
        "../scripts/train.py"


rule train_reuse:
    input:
        unpack(reused_weights),
        manifest="results/sample/{dataset}/manifest.parquet",
    output:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        record="results/train/{dataset}/{model}/seed-{seed}/record.json",
    wildcard_constraints:
        dataset=datasets(start_from=["raw"], weights_from=True),
    localrule: True
    conda:
        "../../envs/torch.yaml"
    params:
        model_config=lambda wildcards: configuration.model_for(CONFIG, wildcards.dataset, wildcards.model),
        cells_config=cells_config,
    message:
        "Take weights that are trained for {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/train_reuse.py"


rule train_weights:
    input:
        model=trained("model.pt"),
        record=trained("record.json"),
    # Small enough to travel with a clone: half precision, with the record beside.
    output:
        model="results/train/weights/{dataset}/seed-{seed}/{model}.pt",
        record="results/train/weights/{dataset}/seed-{seed}/{model}.json",
    localrule: True
    conda:
        "../../envs/torch.yaml"
    message:
        "Write the weights of {wildcards.model} on {wildcards.dataset} in half precision"
    script:
        "../scripts/train_weights.py"


use rule train as train_sweep_point with:
    input:
        manifest=lambda wildcards: f"results/sample/{read_sweep(wildcards)['dataset']}/manifest.parquet",
        shards=shards("sample", dataset=lambda wildcards: read_sweep(wildcards)["dataset"]),
    output:
        model="results/train/sweeps/{sweep}/{point}/model.pt",
        record="results/train/sweeps/{sweep}/{point}/record.json",
        curves="results/train/sweeps/{sweep}/{point}/curves.csv",
        picture="results/train/sweeps/{sweep}/{point}/curves.png",
    params:
        checkpoints="results/train/sweeps/{sweep}/{point}/checkpoints",
        model_config=lambda wildcards: or_stop(sweep.point_config, wildcards.sweep, wildcards.point, CONFIG),
        dataset=lambda wildcards: read_sweep(wildcards)["dataset"],
        model_name=lambda wildcards: read_sweep(wildcards)["model"],
        seed=SEEDS[0],
        train_config=TRAIN_CONFIG,
        start_weights=None,
        cells_config=lambda wildcards: preprocessing_of(
            *(read_sweep(wildcards)[key] for key in ("dataset", "model"))
        ),
    message:
        "Train point {wildcards.point} of sweep {wildcards.sweep}"


rule train_sweep:
    input:
        records=lambda wildcards: [
            f"results/train/sweeps/{wildcards.sweep}/{point}/record.json"
            for point in read_sweep(wildcards)["points"]
        ],
    output:
        table="results/train/sweeps/{sweep}.csv",
    localrule: True
    conda:
        "../../envs/torch.yaml"
    params:
        points=lambda wildcards: read_sweep(wildcards)["points"],
    message:
        "Compare the points of sweep {wildcards.sweep}"
    script:
        "../scripts/train_sweep.py"
