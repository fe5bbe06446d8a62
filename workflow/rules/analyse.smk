ruleorder: analyse_decoded_bins > analyse_decoded


rule analyse_examples:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        shards=shards("sample"),
    output:
        "results/analyse/{dataset}/examples.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["raw", "preprocessed", "checkpoints"]),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        options=analysis("stratum"),
    message:
        "Choose one test cell of each kind in {wildcards.dataset}"
    script:
        "../scripts/analyse_examples.py"


rule analyse_trainings:
    input:
        training_records,
    output:
        "results/analyse/{dataset}/trainings.parquet",
    wildcard_constraints:
        dataset=datasets(start_from=["raw", "preprocessed"]),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        trainings=trainings,
    message:
        "List what the trainings on {wildcards.dataset} took"
    script:
        "../scripts/analyse_trainings.py"


rule analyse_embeddings:
    input:
        manifest=manifest,
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        walk_embeddings="results/analyse/{dataset}/{model}/seed-{seed}/walk_embeddings.parquet",
        walk_cells="results/analyse/{dataset}/{model}/seed-{seed}/walk_cells.parquet",
        archetype_embeddings="results/analyse/{dataset}/{model}/seed-{seed}/archetype_embeddings.parquet",
        archetype_weights="results/analyse/{dataset}/{model}/seed-{seed}/archetype_weights.parquet",
        archetype_cells="results/analyse/{dataset}/{model}/seed-{seed}/archetype_cells.parquet",
        archetype_variance="results/analyse/{dataset}/{model}/seed-{seed}/archetype_variance.parquet",
        pca_scores="results/analyse/{dataset}/{model}/seed-{seed}/pca_scores.parquet",
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        walk=analysis("stratum", "sigmas", "keep", n_components="walk_components"),
        archetypes=analysis("stratum", "n_archetypes", "k_list", "n_starts", "keep", "seed"),
        pca=analysis("stratum", "keep"),
    message:
        "Find principal components, walks and archetypes of {wildcards.dataset} as {wildcards.model} sees it"
    script:
        "../scripts/analyse_embeddings.py"


rule analyse_strata:
    input:
        "results/analyse/{dataset}/{model}/seed-{seed}/archetype_weights.parquet",
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/stratum_by_archetype.parquet",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        options=analysis("stratum", "n_permutations", "seed"),
    message:
        "Ask whether each stratum of {wildcards.dataset} has an archetype of its own in {wildcards.model}"
    script:
        "../scripts/analyse_strata.py"


rule analyse_map:
    input:
        manifest=manifest,
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
        archetypes="results/analyse/{dataset}/{model}/seed-{seed}/archetype_embeddings.parquet",
    output:
        cells="results/analyse/{dataset}/{model}/seed-{seed}/map.parquet",
        archetypes="results/analyse/{dataset}/{model}/seed-{seed}/map_archetypes.parquet",
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        options=analysis("stratum", "keep", "seed"),
    message:
        "Draw up the map of {wildcards.dataset} as {wildcards.model} sees it"
    script:
        "../scripts/analyse_map.py"


rule analyse_volume_bins:
    input:
        manifest=manifest,
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        bins="results/analyse/{dataset}/{model}/seed-{seed}/volume_bins.parquet",
        embeddings="results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_embeddings.parquet",
        cells="results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_cells.parquet",
    wildcard_constraints:
        dataset=datasets(analyse="volume_bins"),
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        options=analysis("keep", bins="volume_bins"),
    message:
        "Average the embeddings of {wildcards.model} over volume bins of {wildcards.dataset}"
    script:
        "../scripts/analyse_volume_bins.py"


# To load torch and the model takes longer than to decode some ten cells: one job for what is decoded of a model.
rule analyse_decoded:
    input:
        model=trained("model.pt"),
        walks="results/analyse/{dataset}/{model}/seed-{seed}/walk_embeddings.parquet",
        archetypes="results/analyse/{dataset}/{model}/seed-{seed}/archetype_embeddings.parquet",
    output:
        walks="results/analyse/{dataset}/{model}/seed-{seed}/walks.parquet",
        archetypes="results/analyse/{dataset}/{model}/seed-{seed}/archetypes.parquet",
    conda:
        "../../envs/torch.yaml"
    resources:
        **HEAVY,
    params:
        **DECODING,
    message:
        "Decode the walks and archetypes of {wildcards.dataset} with {wildcards.model}"
    script:
        "../scripts/analyse_decoded.py"


use rule analyse_decoded as analyse_decoded_bins with:
    input:
        **dict(rules.analyse_decoded.input.items()),
        volume_bins="results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_embeddings.parquet",
    output:
        **dict(rules.analyse_decoded.output.items()),
        volume_bins="results/analyse/{dataset}/{model}/seed-{seed}/volume_bin_shapes.parquet",
    wildcard_constraints:
        dataset=datasets(analyse="volume_bins"),
    message:
        "Decode the walks, archetypes and volume bins of {wildcards.dataset} with {wildcards.model}"


rule analyse_rotations:
    input:
        manifest=manifest,
        shards=shards("sample"),
        model=trained("model.pt"),
    output:
        "results/analyse/{dataset}/{model}/seed-{seed}/rotations.parquet",
    conda:
        "../../envs/torch.yaml"
    resources:
        **HEAVY,
    params:
        **DECODING,
        options=analysis("stratum", degrees="rotations_degrees"),
    message:
        "Rotate test cells of {wildcards.dataset} and reconstruct them with {wildcards.model}"
    script:
        "../scripts/analyse_rotations.py"


rule analyse_retrieval:
    input:
        cellprofiler=cellprofiler_features,
        manifest="results/sample/{dataset}/manifest.parquet",
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet", own=True),
    output:
        groups="results/analyse/{dataset}/retrieval.parquet",
        cells="results/analyse/{dataset}/retrieval_cells.parquet",
    wildcard_constraints:
        dataset=datasets(analyse="drugs"),
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        sets=per_model("{model}/{seed}", own=True),
        options=analysis("drugs", "n_null", "n_exchanges", "seed"),
    message:
        "Retrieve the conditions of {wildcards.dataset} from every model"
    script:
        "../scripts/analyse_retrieval.py"


rule analyse_lda:
    input:
        manifest=manifest,
        embedding="results/embed/{dataset}/{model}/seed-{seed}/identity.parquet",
    output:
        tests="results/analyse/{dataset}/{model}/seed-{seed}/lda_tests.parquet",
        scores="results/analyse/{dataset}/{model}/seed-{seed}/lda_scores.parquet",
        walk="results/analyse/{dataset}/{model}/seed-{seed}/lda_walk.parquet",
    wildcard_constraints:
        dataset=datasets(analyse="drugs"),
    conda:
        "../../envs/report.yaml"
    params:
        options=analysis("drugs", "n_permutations", "seed"),
    message:
        "Separate the conditions of {wildcards.dataset} from the controls with {wildcards.model}"
    script:
        "../scripts/analyse_lda.py"


rule analyse_pieces:
    input:
        manifest="results/sample/{dataset}/manifest.parquet",
        embeddings=per_model("results/embed/{dataset}/{model}/seed-{seed}/identity.parquet", own=True),
    output:
        "results/analyse/{dataset}/pieces.parquet",
    wildcard_constraints:
        dataset=datasets(analyse="pieces"),
    conda:
        "../../envs/report.yaml"
    resources:
        **HEAVY,
    params:
        sets=per_model("{model}/{seed}", own=True),
        options=analysis(settings="pieces", bins="volume_bins"),
    message:
        "Predict the number of pieces of {wildcards.dataset} from embeddings and from shape features"
    script:
        "../scripts/analyse_pieces.py"


rule analyse_surfaces:
    input:
        unpack(displayed_cells),
        manifest=manifest,
        shards=shards("mask"),
    output:
        meshes="results/analyse/{dataset}/{model}/seed-{seed}/surfaces.npz",
        table="results/analyse/{dataset}/{model}/seed-{seed}/surfaces.parquet",
    conda:
        "../../envs/image.yaml"
    params:
        options=analysis("stratum", "n_faces"),
    message:
        "Collect the surfaces of the cells of {wildcards.dataset} that figures display"
    script:
        "../scripts/analyse_surfaces.py"
