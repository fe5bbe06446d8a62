# Files of the paper: read at a later entry, or written from a finished run.

# The stages whose shards published cells of a kind are written from.
PUBLISHED_FROM = {
    "packing": ("download", "mask"),
    "punctate": ("sample",),
    "polymorphic": ("sample", "mask"),
}


rule published_manifest:
    input:
        published_files("preprocessed"),
    output:
        "results/published/{dataset}/manifest.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["preprocessed", "checkpoints", "embeddings"]),
    conda:
        "../../envs/image.yaml"
    params:
        dataset=dataset_params("name", "kind", "source", "published", "voxel_um", "rules", "needs"),
        max_cells=lambda wildcards: dataset_config(wildcards)["source"].get("max_cells"),
    message:
        "Fetch and check the published manifest of {wildcards.dataset}"
    script:
        "../scripts/published_manifest.py"


rule published_cells:
    input:
        "results/published/{dataset}/manifest.parquet",
    output:
        directory("results/sample/{dataset}/shard-{shard}"),
    wildcard_constraints:
        dataset=datasets(start_from=["preprocessed", "checkpoints"]),
    conda:
        "../../envs/image.yaml"
    params:
        dataset=dataset_params("name", "kind", "source", "published", "voxel_um", "rules", "mask", "sample"),
        n_shards=lambda wildcards: len(shards("sample")(wildcards)),
        seed=CONFIG["seed"],
        max_failed_fraction=CONFIG["max_failed_fraction"],
    message:
        "Index the published cells of {wildcards.dataset}, shard {wildcards.shard}"
    script:
        "../scripts/published_cells.py"


rule published_checkpoint:
    input:
        published_files("checkpoints", "grid_file"),
    output:
        model="results/published/{dataset}/{model}/seed-{seed}/model.pt",
        record="results/published/{dataset}/{model}/seed-{seed}/record.json",
    wildcard_constraints:
        dataset=datasets(start_from=["checkpoints"]),
    conda:
        "../../envs/publish.yaml"
    params:
        model=lambda wildcards: configuration.model_for(CONFIG, wildcards.dataset, wildcards.model),
        dataset=dataset_params("name", "published"),
        cells_config=cells_config,
    message:
        "Convert the published weights of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/published_checkpoint.py"


rule published_embedding:
    input:
        cells="results/published/{dataset}/manifest.parquet",
        local=published_files("embeddings"),
    output:
        table="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        reconstruction="results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet",
        unmatched="results/embed/{dataset}/{model}/seed-{seed}/identity_unmatched.csv",
    wildcard_constraints:
        dataset=datasets(start_from=["embeddings"]),
    conda:
        "../../envs/image.yaml"
    params:
        dataset=dataset_params("name", "kind", "published"),
    message:
        "Fetch the published embeddings of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/published_embedding.py"


rule published_cellprofiler:
    input:
        published_files("cellprofiler"),
    output:
        "results/published/{dataset}/cellprofiler.csv",
    wildcard_constraints:
        dataset=datasets(analyse="drugs"),
    localrule: True
    conda:
        "../../envs/image.yaml"
    params:
        dataset=dataset_params("name", "published"),
    message:
        "Fetch the CellProfiler features of {wildcards.dataset}, where there are any"
    script:
        "../scripts/published_cellprofiler.py"


rule published_labels:
    input:
        cells="results/published/{dataset}/manifest.parquet",
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet"),
    output:
        "results/sample/{dataset}/manifest.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["embeddings"]),
    conda:
        "../../envs/image.yaml"
    message:
        "List the published cells of {wildcards.dataset} with labels and splits"
    script:
        "../scripts/published_labels.py"


rule published_examples:
    input:
        "results/sample/{dataset}/manifest.parquet",
    output:
        "results/analyse/{dataset}/examples.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["embeddings"]),
    conda:
        "../../envs/image.yaml"
    params:
        dataset=dataset_params(
            "name", "kind", "source", "published", "voxel_um", "rules", "sample", "stratum"
        ),
        seed=CONFIG["seed"],
    message:
        "Fetch the few cells of {wildcards.dataset} that figures display"
    script:
        "../scripts/published_examples.py"


rule published_folder:
    input:
        unpack(
            lambda wildcards: {
                stage: shards(stage)(wildcards)
                for stage in PUBLISHED_FROM[dataset_config(wildcards)["kind"]]
            }
        ),
        manifest="results/sample/{dataset}/manifest.parquet",
        models=per_model("results/train/{dataset}/{model}/seed-{seed}/model.pt", seeds=SEEDS[:1]),
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet", seeds=SEEDS[:1]),
        reconstructions=per_model(
            "results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet", seeds=SEEDS[:1]
        ),
    output:
        directory("results/publish/{dataset}"),
    wildcard_constraints:
        dataset=datasets(start_from=["raw"]),
    conda:
        "../../envs/publish.yaml"
    resources:
        **HEAVY,
    params:
        dataset=dataset_config,
        seed=SEEDS[0],
    message:
        "Write the results on {wildcards.dataset} in the published layout"
    script:
        "../scripts/published_folder.py"


rule published_export:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embeddings=exported_embeddings,
        pca=lambda wildcards: figures.table_path(CONFIG, "pca_scores", wildcards.dataset),
        plane=lambda wildcards: figures.table_path(CONFIG, "map", wildcards.dataset),
        scores="results/score/{dataset}/scores.parquet",
    output:
        h5ad="results/publish/{dataset}.h5ad",
        csv="results/publish/{dataset}.csv",
    conda:
        "../../envs/report.yaml"
    params:
        models=exported_models,
        model=lambda wildcards: dataset_config(wildcards)["analysis_model"],
        numbers=lambda wildcards: list(dataset_config(wildcards)["numbers"]),
        provenance=dataset_params("title", "licence", "citation"),
        seed=SEEDS[0],
    message:
        "Export the cells of {wildcards.dataset} with embeddings and scores, as AnnData and CSV"
    script:
        "../scripts/published_export.py"
