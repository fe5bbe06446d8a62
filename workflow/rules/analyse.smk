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
    wildcard_constraints:
        dataset=starting_from("raw", "preprocessed", "checkpoints"),
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
    message:
        "Choose one test cell of each kind in {wildcards.dataset}"
    script:
        "../scripts/analyse_examples.py"


rule analyse_walk_codes:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        embeddings="results/analyse/{dataset}/{model}/seed-{seed}/walk_embeddings.parquet",
        cells="results/analyse/{dataset}/{model}/seed-{seed}/walk_cells.parquet",
    log:
        "logs/analyse_walk_codes/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_walk_codes/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        n_components=analysis("walk_components"),
        sigmas=CONFIG["analyse"]["sigmas"],
        keep=analysis("keep"),
    message:
        "Walk through the latent space of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/analyse_walk_codes.py"


rule analyse_archetype_codes:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        embeddings="results/analyse/{dataset}/{model}/seed-{seed}/archetype_embeddings.parquet",
        weights="results/analyse/{dataset}/{model}/seed-{seed}/archetype_weights.parquet",
        cells="results/analyse/{dataset}/{model}/seed-{seed}/archetype_cells.parquet",
        variance="results/analyse/{dataset}/{model}/seed-{seed}/archetype_variance.parquet",
    log:
        "logs/analyse_archetype_codes/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_archetype_codes/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        n_archetypes=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["n_archetypes"],
        k_list=analysis("k_list"),
        n_starts=CONFIG["analyse"]["n_starts"],
        keep=analysis("keep"),
        seed=CONFIG["seed"],
    message:
        "Find the archetypes of {wildcards.dataset} as {wildcards.model} sees it"
    script:
        "../scripts/analyse_archetype_codes.py"


rule analyse_strata:
    input:
        "results/analyse/{dataset}/{model}/seed-{seed}/archetype_weights.parquet",
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/stratum_by_archetype.parquet",
    log:
        "logs/analyse_strata/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_strata/{dataset}/{model}/seed-{seed}.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        n_permutations=CONFIG["analyse"]["n_permutations"],
        seed=CONFIG["seed"],
    message:
        "Ask whether each stratum of {wildcards.dataset} has an archetype of its own in {wildcards.model}"
    script:
        "../scripts/analyse_strata.py"


rule analyse_pca:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/pca_scores.parquet",
    log:
        "logs/analyse_pca/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_pca/{dataset}/{model}/seed-{seed}.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        keep=analysis("keep"),
    message:
        "Find the principal components of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/analyse_pca.py"


rule analyse_map:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        archetypes="results/analyse/{dataset}/{model}/seed-{seed}/archetype_embeddings.parquet",
    output:
        cells="results/analyse/{dataset}/{model}/seed-{seed}/map.parquet",
        archetypes="results/analyse/{dataset}/{model}/seed-{seed}/map_archetypes.parquet",
    log:
        "logs/analyse_map/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_map/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=datasets_with("map"),
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        keep=analysis("keep"),
        seed=CONFIG["seed"],
    message:
        "Draw up the map of {wildcards.dataset} as {wildcards.model} sees it"
    script:
        "../scripts/analyse_map.py"


rule analyse_volumes:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        bins="results/analyse/{dataset}/{model}/seed-{seed}/volume_bins.parquet",
        embeddings="results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_embeddings.parquet",
        cells="results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_cells.parquet",
    log:
        "logs/analyse_volumes/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_volumes/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=datasets_with("volume_bins"),
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        bins=analysis("volume_bins"),
        keep=analysis("keep"),
    message:
        "Average the codes of {wildcards.model} over volume bins of {wildcards.dataset}"
    script:
        "../scripts/analyse_volumes.py"


rule analyse_walks:
    input:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        embeddings="results/analyse/{dataset}/{model}/seed-{seed}/walk_embeddings.parquet",
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
        analysis="walks",
        embed=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
    message:
        "Decode the walk through {wildcards.dataset} with {wildcards.model}"
    script:
        "../scripts/analyse_shapes.py"


use rule analyse_walks as analyse_archetypes with:
    input:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        embeddings="results/analyse/{dataset}/{model}/seed-{seed}/archetype_embeddings.parquet",
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/archetypes.parquet",
    log:
        "logs/analyse_archetypes/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_archetypes/{dataset}/{model}/seed-{seed}.tsv"
    params:
        analysis="archetypes",
        embed=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
    message:
        "Decode the archetypes of {wildcards.dataset} with {wildcards.model}"


use rule analyse_walks as analyse_volume_shapes with:
    input:
        model="results/train/{dataset}/{model}/seed-{seed}/model.pt",
        embeddings="results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_embeddings.parquet",
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_shapes.parquet",
    log:
        "logs/analyse_volume_shapes/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_volume_shapes/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=datasets_with("volume_bins"),
    params:
        analysis="volume_bins",
        embed=CONFIG["embed"],
        side_um=side_um,
        seed=CONFIG["seed"],
    message:
        "Decode the mean cells of volume bins of {wildcards.dataset} with {wildcards.model}"


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
    message:
        "Turn test cells of {wildcards.dataset} and reconstruct them with {wildcards.model}"
    script:
        "../scripts/analyse_rotations.py"


rule analyse_retrieval:
    input:
        unpack(cellprofiler_table),
        manifest="results/sample/{dataset}/manifest.parquet",
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet"),
    output:
        groups="results/analyse/{dataset}/retrieval.parquet",
        cells="results/analyse/{dataset}/retrieval_cells.parquet",
    log:
        "logs/analyse_retrieval/{dataset}.log",
    benchmark:
        "benchmarks/analyse_retrieval/{dataset}.tsv"
    wildcard_constraints:
        dataset=datasets_with("drugs"),
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        sets=feature_sets,
        drugs=analysis("drugs"),
        n_null=CONFIG["analyse"]["n_null"],
        n_exchanges=CONFIG["analyse"]["n_exchanges"],
        seed=CONFIG["seed"],
    message:
        "Retrieve the conditions of {wildcards.dataset} from every model"
    script:
        "../scripts/analyse_retrieval.py"


rule analyse_lda:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        tests="results/analyse/{dataset}/{model}/seed-{seed}/lda_tests.parquet",
        scores="results/analyse/{dataset}/{model}/seed-{seed}/lda_scores.parquet",
        walk="results/analyse/{dataset}/{model}/seed-{seed}/lda_walk.parquet",
    log:
        "logs/analyse_lda/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_lda/{dataset}/{model}/seed-{seed}.tsv"
    wildcard_constraints:
        dataset=datasets_with("drugs"),
    conda:
        "../../envs/report.yaml"
    resources:
        **LIGHT,
    params:
        drugs=analysis("drugs"),
        n_permutations=CONFIG["analyse"]["n_permutations"],
        seed=CONFIG["seed"],
    message:
        "Separate the conditions of {wildcards.dataset} from the controls with {wildcards.model}"
    script:
        "../scripts/analyse_lda.py"


rule analyse_pieces:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet"),
    output:
        "results/analyse/{dataset}/pieces.parquet",
    log:
        "logs/analyse_pieces/{dataset}.log",
    benchmark:
        "benchmarks/analyse_pieces/{dataset}.tsv"
    wildcard_constraints:
        dataset=datasets_with("pieces"),
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        sets=feature_sets,
        settings=analysis("pieces"),
        bins=analysis("volume_bins"),
    message:
        "Tell the number of pieces of {wildcards.dataset} from codes and from shape features"
    script:
        "../scripts/analyse_pieces.py"


rule analyse_shown:
    input:
        unpack(shown_cells),
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("mask"),
    output:
        meshes="results/analyse/{dataset}/{model}/seed-{seed}/surfaces.npz",
        table="results/analyse/{dataset}/{model}/seed-{seed}/surfaces.parquet",
    log:
        "logs/analyse_shown/{dataset}/{model}/seed-{seed}.log",
    benchmark:
        "benchmarks/analyse_shown/{dataset}/{model}/seed-{seed}.tsv"
    conda:
        "../../envs/image.yaml"
    resources:
        **LIGHT,
    params:
        stratum=lambda wildcards: CONFIG["datasets"][wildcards.dataset]["stratum"],
        n_faces=CONFIG["analyse"]["n_faces"],
    message:
        "Collect the surfaces of the cells of {wildcards.dataset} that figures show"
    script:
        "../scripts/analyse_shown.py"
