rule score_pairs:
    input:
        "results/sample/{dataset}/manifest.parquet",
    output:
        "results/score/{dataset}/pairs.csv",
    log:
        "logs/score_pairs/{dataset}.log",
    benchmark:
        "benchmarks/score_pairs/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        n_pairs=CONFIG["score"]["n_pairs"],
        seed=CONFIG["seed"],
        code=code.digest("morphobench.score.interpolation"),
    message:
        "Draw the pairs of test cells of {wildcards.dataset} between which every model interpolates"
    script:
        "../scripts/score_pairs.py"


rule score_evolution:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        pairs="results/score/{dataset}/pairs.csv",
    output:
        "results/score/{dataset}/{model}/seed-{seed}/evolution.parquet",
    log:
        "logs/score_evolution/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/score_evolution/{dataset}/{model}/seed-{seed}.tsv"
    group:
        "score"
    conda:
        "../../envs/torch.yaml"
    resources:
        **HEAVY,
    params:
        n_fractions=CONFIG["score"]["n_fractions"],
        embed=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
        code=code.digest("morphobench.interpolate"),
    message:
        "Interpolate between pairs of {wildcards.dataset} with {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/score_evolution.py"


rule score_cost:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        record="results/train/{dataset}/{model}/seed-{seed}/record.json",
    output:
        "results/score/{dataset}/{model}/seed-{seed}/cost.json",
    log:
        "logs/score_cost/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/score_cost/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    # All cores of a small machine: nothing else should run while a model is timed.
    threads: CONFIG["score"]["timing_threads"]
    resources:
        **GPU,
    params:
        n_repeats=CONFIG["score"]["n_repeats"],
        accelerator=CONFIG["train"]["accelerator"],
        code=code.digest("morphobench.cost"),
    message:
        "Time {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}, with nothing beside it"
    script:
        "../scripts/score_cost.py"


rule score_model:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        identity="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        lattice="results/embed/{dataset}/{model}/seed-{seed}/lattice.parquet",
        uniform="results/embed/{dataset}/{model}/seed-{seed}/uniform.parquet",
        evolution="results/score/{dataset}/{model}/seed-{seed}/evolution.parquet",
        cost="results/score/{dataset}/{model}/seed-{seed}/cost.json",
    output:
        scores="results/score/{dataset}/{model}/seed-{seed}/scores.parquet",
        item_values="results/score/{dataset}/{model}/seed-{seed}/items.parquet",
    log:
        "logs/score_model/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/score_model/{dataset}/{model}/seed-{seed}.tsv"
    group:
        "score"
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        labels=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["labels"],
        settings={key: CONFIG["score"][key] for key in ("n_bootstrap", "k_neighbours")},
        seed=CONFIG["seed"],
        code=code.digest("morphobench.score"),
    message:
        "Score {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    script:
        "../scripts/score_model.py"


rule score_table:
    input:
        scores=per_model("results/score/{dataset}/{model}/seed-{seed}/scores.parquet"),
        item_values=per_model("results/score/{dataset}/{model}/seed-{seed}/items.parquet"),
    output:
        scores="results/score/{dataset}/scores.parquet",
        item_values="results/score/{dataset}/items.parquet",
    log:
        "logs/score_table/{dataset}.log",
    benchmark:
        "benchmarks/score_table/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        code=code.digest("morphobench.score"),
    message:
        "Collect the scores of every model on {wildcards.dataset}"
    script:
        "../scripts/score_table.py"
