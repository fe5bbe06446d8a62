ruleorder: embed_own > embed_own_rotated > embed_baseline > embed > published_embedding
ruleorder: embed_own_rotated > embed_baseline > embed_scored


rule embed_own:
    input:
        manifest=manifest,
        file=own_embedding("file"),
    output:
        "results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    wildcard_constraints:
        model="|".join({name for own in OWN_EMBEDDINGS.values() for name in own}) or "(?!)",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        file=lambda wildcards: OWN_EMBEDDINGS[wildcards.dataset][wildcards.model]["file"],
        rotations="identity",
    message:
        "Check the embedding {wildcards.model} of {wildcards.dataset}"
    script:
        "../scripts/embed_own.py"


use rule embed_own as embed_own_rotated with:
    input:
        manifest=manifest,
        file=own_embedding("rotated"),
    output:
        "results/embed/{dataset}/{model}/seed-{seed}/lattice.parquet",
    params:
        file=lambda wildcards: OWN_EMBEDDINGS[wildcards.dataset][wildcards.model]["rotated"],
        rotations="lattice",
    message:
        "Check the embedding {wildcards.model} of rotated cells of {wildcards.dataset}"


rule embed_baseline:
    input:
        manifest=manifest,
        shards=shards("sample"),
        table=own_table,
    output:
        identity="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        lattice="results/embed/{dataset}/{model}/seed-{seed}/lattice.parquet",
        uniform="results/embed/{dataset}/{model}/seed-{seed}/uniform.parquet",
        invariances="results/embed/{dataset}/{model}/seed-{seed}/invariances.parquet",
    wildcard_constraints:
        model="|".join(set(CONFIG["baselines"]) - set(DECODED_BASELINES)) or "(?!)",
    conda:
        "../../envs/report.yaml"
    params:
        baseline=lambda wildcards: {
            key: CONFIG["baselines"][wildcards.model][key] for key in ("features", "options")
        },
        known=answers,
        packing=packing,
        n_uniform=CONFIG["embed"]["n_uniform"],
        seed=CONFIG["seed"],
    message:
        "Describe {wildcards.dataset} by {wildcards.model}, without training"
    script:
        "../scripts/embed_baseline.py"


rule embed:
    input:
        manifest=manifest,
        shards=shards("sample"),
        model=trained("model.pt"),
        frozen=frozen_rows("identity"),
    output:
        "results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["raw", "preprocessed", "checkpoints"]),
    conda:
        "../../envs/torch.yaml"
    resources:
        **GPU,
    params:
        embed_config=CONFIG["embed"],
        packing=packing,
        seed=CONFIG["seed"],
        accelerator=CONFIG["train"]["accelerator"],
    message:
        "Embed {wildcards.dataset} with {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/embed.py"


rule embed_freeze:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
        trainings=frozen_files,
    output:
        local(directory("results/frozen/{dataset}")),
    wildcard_constraints:
        dataset=datasets(start_from=["raw"], freeze=False),
    localrule: True
    conda:
        "../../envs/torch.yaml"
    message:
        "Freeze split, weights and embeddings of {wildcards.dataset}"
    script:
        "../scripts/embed_freeze.py"


# What scores read of one training, beside its embeddings: one job, which loads model and libraries once.
rule embed_scored:
    input:
        manifest=manifest,
        shards=shards("sample"),
        meshes=masked_meshes,
        model=trained("model.pt"),
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        frozen=frozen_rows("lattice", "uniform"),
    output:
        lattice="results/embed/{dataset}/{model}/seed-{seed}/lattice.parquet",
        uniform="results/embed/{dataset}/{model}/seed-{seed}/uniform.parquet",
        invariances="results/embed/{dataset}/{model}/seed-{seed}/invariances.parquet",
        reconstruction="results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["raw", "preprocessed", "checkpoints"]),
    conda:
        "../../envs/torch.yaml"
    resources:
        **GPU,
    params:
        **DECODING,
        stratum=lambda wildcards: dataset_config(wildcards).get("stratum"),
        accelerator=CONFIG["train"]["accelerator"],
    message:
        "Embed rotated cells of {wildcards.dataset} and reconstruct, with {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/embed_scored.py"


rule embed_anndata:
    input:
        unpack(reconstruction_errors),
        manifest=manifest,
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        "results/embed/{dataset}/{model}/seed-{seed}/identity.h5ad",
    conda:
        "../../envs/report.yaml"
    params:
        provenance=dataset_params("title", "licence", "citation"),
        numbers=lambda wildcards: list(dataset_config(wildcards)["numbers"]),
    message:
        "Export the embeddings of {wildcards.dataset} by {wildcards.model}, seed {wildcards.seed}, as AnnData"
    script:
        "../scripts/embed_anndata.py"
