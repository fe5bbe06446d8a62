rule score_pairs:
    input:
        "results/sample/{dataset}/manifest.parquet",
    output:
        "results/score/{dataset}/pairs.csv",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        n_pairs=CONFIG["score"]["n_pairs"],
        seed=CONFIG["seed"],
    message:
        "Draw the pairs of test cells of {wildcards.dataset} between which every model interpolates"
    script:
        "../scripts/score_pairs.py"


use rule score_pairs as score_fold_pairs with:
    input:
        "results/sample/{dataset}/{fold}/manifest.parquet",
    output:
        "results/score/{dataset}/{fold}/pairs.csv",
    message:
        "Draw the pairs of test cells of {wildcards.dataset}, {wildcards.fold}"


rule score_evolution:
    input:
        manifest=manifest,
        shards=shards("sample"),
        meshes=masked_meshes,
        model=trained("model.pt"),
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        pairs=pairs,
    output:
        "results/score/{dataset}/{model}/seed-{seed}/evolution.parquet",
    conda:
        "../../envs/torch.yaml"
    resources:
        **GPU,
    params:
        **DECODING,
        n_fractions=CONFIG["score"]["n_fractions"],
        energy_points=CONFIG["score"]["energy_points"],
        accelerator=CONFIG["train"]["accelerator"],
    message:
        "Interpolate between pairs of {wildcards.dataset} with {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/score_evolution.py"


rule score_cost:
    input:
        manifest=manifest,
        shards=shards("sample"),
        meshes=masked_meshes,
        model=trained("model.pt"),
        record=trained("record.json"),
    output:
        "results/score/{dataset}/{model}/seed-{seed}/cost.json",
    conda:
        "../../envs/torch.yaml"
    # All cores of a small machine: nothing else should run while a model is timed.
    threads: CONFIG["score"]["timing_threads"]
    resources:
        **GPU,
    params:
        n_repeats=CONFIG["score"]["n_repeats"],
        n_points=CONFIG["embed"]["error_points"],
        largest_batch=CONFIG["embed"]["batch_size"],
        country=CONFIG["score"]["country"],
        accelerator=CONFIG["train"]["accelerator"],
    message:
        "Time {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}, with nothing beside it"
    script:
        "../scripts/score_cost.py"


rule score_model:
    input:
        unpack(fold_tables),
        cost=cost,
    output:
        scores="results/score/{dataset}/{model}/seed-{seed}/scores.parquet",
        item_values="results/score/{dataset}/{model}/seed-{seed}/items.parquet",
        replicates="results/score/{dataset}/{model}/seed-{seed}/replicates.parquet",
        outputs="results/score/{dataset}/{model}/seed-{seed}/outputs.parquet",
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        dataset_config=dataset_params("kind", "labels", "classes", "scale_factor", "targets", "outlier"),
        score_config=lambda wildcards: {
            **{
                key: CONFIG["score"][key]
                for key in ("n_jackknife", "k_neighbours", "n_compactness", "n_fractions")
            },
            "legacy_width": min(
                CONFIG["models"][name]["architecture"]["latent_dim"]
                for name in dataset_config(wildcards)["models"]
            ),
        },
        seed=CONFIG["seed"],
    message:
        "Score {wildcards.model} on {wildcards.dataset}, seed {wildcards.seed}"
    script:
        "../scripts/score_model.py"


rule score_table:
    input:
        scores=per_model("results/score/{dataset}/{model}/seed-{seed}/scores.parquet", baselines=True),
        item_values=per_model("results/score/{dataset}/{model}/seed-{seed}/items.parquet", baselines=True),
        replicates=per_model("results/score/{dataset}/{model}/seed-{seed}/replicates.parquet", baselines=True),
        outputs=per_model("results/score/{dataset}/{model}/seed-{seed}/outputs.parquet", baselines=True),
    output:
        scores="results/score/{dataset}/scores.parquet",
        item_values="results/score/{dataset}/items.parquet",
        differences="results/score/{dataset}/differences.parquet",
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        models=lambda wildcards: dataset_config(wildcards)["models"] + BASELINES[wildcards.dataset],
        anchors=anchors,
        n_permutations=CONFIG["score"]["n_permutations"],
        seed=CONFIG["seed"],
    message:
        "Collect the scores of every model on {wildcards.dataset}, and compare them"
    script:
        "../scripts/score_table.py"


rule score_combined:
    input:
        lambda wildcards: expand(
            "results/score/{dataset}/scores.parquet", dataset=CONFIG["score"]["combined"][wildcards.name]
        ),
    output:
        "results/score/combined/{name}.parquet",
    wildcard_constraints:
        name="|".join(CONFIG["score"].get("combined", {})),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        models=lambda wildcards: {
            dataset: CONFIG["datasets"][dataset]["benchmark"]
            for dataset in CONFIG["score"]["combined"][wildcards.name]
        },
    message:
        "Join the scores of {wildcards.name}"
    script:
        "../scripts/score_combined.py"
