ruleorder: embed_baseline > embed


rule embed_baseline:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
    output:
        identity="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        lattice="results/embed/{dataset}/{model}/seed-{seed}/lattice.parquet",
        uniform="results/embed/{dataset}/{model}/seed-{seed}/uniform.parquet",
    log:
        "logs/embed_baseline/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/embed_baseline/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        model="|".join(CONFIG["baselines"]),
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        baseline=lambda wildcards: {
            key: CONFIG["baselines"][wildcards.model][key] for key in ("features", "options")
        },
        n_uniform=CONFIG["embed"]["n_uniform"],
        seed=CONFIG["seed"],
    message:
        "Describe {wildcards.dataset} by {wildcards.model}, without training"
    script:
        "../scripts/embed_baseline.py"


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
        embed_config=CONFIG["embed"],
        seed=CONFIG["seed"],
        accelerator=CONFIG["train"]["accelerator"],
    message:
        "Embed {wildcards.dataset} with {wildcards.model}, seed {wildcards.seed}, poses: {wildcards.pose}"
    script:
        "../scripts/embed.py"


rule embed_reconstruction:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
        meshes=masked_meshes,
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        "results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet",
    log:
        "logs/embed_reconstruction/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/embed_reconstruction/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=starting_from("raw", "preprocessed", "checkpoints"),
    conda:
        "../../envs/torch.yaml"
    resources:
        **GPU,
    params:
        embed_config=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
        accelerator=CONFIG["train"]["accelerator"],
    message:
        "Reconstruct test cells of {wildcards.dataset} with {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/embed_reconstruction.py"


rule embed_anndata:
    input:
        unpack(reconstruction_errors),
        manifest="results/sample/{dataset}/manifest.parquet",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        "results/embed/{dataset}/{model}/seed-{seed}/identity.h5ad",
    log:
        "logs/embed_anndata/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/embed_anndata/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        provenance=of_dataset("title", "licence", "citation"),
    message:
        "Export the embeddings of {wildcards.dataset} by {wildcards.model}, seed {wildcards.seed}, as AnnData"
    script:
        "../scripts/embed_anndata.py"
