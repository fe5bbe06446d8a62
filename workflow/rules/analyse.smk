rule analyse_examples:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
    output:
        "results/analyse/{dataset}/examples.parquet",
    log:
        "logs/analyse_examples/{dataset}.log",
    benchmark:
        "benchmarks/analyse_examples/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        code=code.digest("morphobench.analyse.examples"),
    message:
        "Choose one test cell of each kind in {wildcards.dataset}"
    script:
        "../scripts/analyse_examples.py"


rule analyse_walks:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/walks.parquet",
    log:
        "logs/analyse_walks/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_walks/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **HEAVY,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        sigmas=CONFIG["analyse"]["sigmas"],
        embed=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
        code=code.digest("morphobench.analyse.shapes"),
    message:
        "Walk through the latent space of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/analyse_walks.py"


rule analyse_archetypes:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        shapes="results/analyse/{dataset}/{model}/seed-{seed}/archetypes.parquet",
        weights="results/analyse/{dataset}/{model}/seed-{seed}/archetype_weights.parquet",
    log:
        "logs/analyse_archetypes/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_archetypes/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **HEAVY,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        n_archetypes=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["n_archetypes"],
        n_starts=CONFIG["analyse"]["n_starts"],
        embed=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
        code=code.digest("morphobench.analyse.shapes"),
    message:
        "Find the archetypes of {wildcards.dataset} as {wildcards.model} sees it"
    script:
        "../scripts/analyse_archetypes.py"


rule analyse_rotations:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/rotations.parquet",
    log:
        "logs/analyse_rotations/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_rotations/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **HEAVY,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        degrees=CONFIG["analyse"]["rotations_degrees"],
        embed=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
        code=code.digest("morphobench.analyse.shapes"),
    message:
        "Turn test cells of {wildcards.dataset} and reconstruct them with {wildcards.model}"
    script:
        "../scripts/analyse_rotations.py"
