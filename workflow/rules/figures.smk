# What the rules share that make figures: where tables lie, what this run lacks, looks and captions. No rule.

# Where the tables lie that figures are drawn from. {model} is the dataset's analysis model, {seed} the first.
ANALYSED = "results/analyse/{dataset}/{model}/seed-{seed}"
TABLES = {
    "examples": "results/analyse/{dataset}/examples.parquet",
    "scores": "results/score/{dataset}/scores.parquet",
    "item_values": "results/score/{dataset}/items.parquet",
    "combined": "results/score/combined/{combined}.parquet",
    "meshes": f"{ANALYSED}/surfaces.npz",
    "surfaces": f"{ANALYSED}/surfaces.parquet",
    "retrieval": "results/analyse/{dataset}/retrieval.parquet",
    "pieces": "results/analyse/{dataset}/pieces.parquet",
    **{
        name: f"{ANALYSED}/{name}.parquet"
        for name in (
            *("walks", "archetypes", "rotations", "map", "map_archetypes", "volume_bins"),
            *("volume_bin_shapes", "stratum_by_archetype", "pca_scores"),
            *("lda_scores", "lda_walk", "lda_tests"),
        )
    },
}
# Tables of analyses that a dataset asks for in its block `analyse`, by the key there.
ON_REQUEST = {
    "map": ("map", "map_archetypes"),
    "volume_bins": ("volume_bins", "volume_bin_shapes"),
    "pieces": ("pieces",),
    "drugs": ("retrieval", "lda_scores", "lda_walk", "lda_tests"),
}


# Tables that need a trained model, or the masked cells, and why a run from published files has none.
DECODED = ("walks", "archetypes", "rotations", "volume_bin_shapes")
MASKED = ("surfaces", "meshes")
NO_DECODER = "not drawn: the workflow started from published embeddings, with no model to decode"
NO_SURFACES = "not drawn: the workflow started from published files, without the surfaces of cells"


def figure_gaps(figure):
    """The tables of a figure that this run cannot have, with the reason that stands in their panels."""
    described = CONFIG["figures"][figure]
    dataset = CONFIG["datasets"][described["dataset"]]
    asked, entry = dataset.get("analyse", {}), dataset["start_from"]
    gaps = {
        name: f"not drawn: analyse.{key} of {described['dataset']} is not set"
        for key, names in ON_REQUEST.items()
        if not asked.get(key)
        for name in names
    }
    if not described.get("combined"):
        gaps["combined"] = f"not drawn: config/figures/{figure}.yaml names no combined table"
    if entry == "embeddings":
        gaps |= dict.fromkeys(DECODED, NO_DECODER)
    if entry != "raw":
        gaps |= dict.fromkeys(MASKED, NO_SURFACES)
    return gaps


def figure_inputs(figure):
    """The tables that a figure is drawn from, by name."""
    described, gaps = CONFIG["figures"][figure], figure_gaps(figure)
    panels = [panel for row in described["rows"] for panel in row["panels"]]
    names = dict.fromkeys(name for panel in panels for name in panel["tables"])
    return {name: table_path(name, described) for name in names if name not in gaps}


def table_path(name, figure):
    """Where a table of the figure's dataset lies."""
    return TABLES[name].format(
        dataset=figure["dataset"],
        model=CONFIG["datasets"][figure["dataset"]]["analysis_model"],
        seed=CONFIG["train"]["seeds"][0],
        combined=figure.get("combined"),
    )


def shown_cells(wildcards):
    """Input function: the tables of chosen cells whose surfaces figures show, by role."""
    asked = CONFIG["datasets"][wildcards.dataset].get("analyse", {})
    folder = ANALYSED.format(**wildcards)
    roles = {"walk": "walk_cells", "archetype": "archetype_cells"}
    roles |= {"volume_bin": "volume_bin_cells"} if asked.get("volume_bins") else {}
    roles |= {"lda": "lda_walk"} if asked.get("drugs") else {}
    return {role: f"{folder}/{table}.parquet" for role, table in roles.items()}


def shapes_of(wildcards):
    """Input function: what the page of shapes shows: real cells where they have surfaces, else decoded clouds."""
    names = ("surfaces", "meshes") if kind_of(wildcards) == "polymorphic" else ("walks", "archetypes")
    return {name: table_path(name, {"dataset": wildcards.dataset}) for name in names}


def strata_names(dataset):
    """How figures call the strata of a dataset, in drawing order."""
    drugs = CONFIG["datasets"][dataset].get("analyse", {}).get("drugs") or {}
    # Conditions go by their short names, the control first.
    names = {drugs["control"]: drugs["control"], **drugs.get("names", {})} if drugs else {}
    for figure in CONFIG["figures"].values():
        if figure["dataset"] == dataset:
            names = {**names, **figure.get("strata", {})}
    return names


def looks(models):
    """Label and colour of models in the order they are drawn; a palette goes by that order instead."""
    palette = CONFIG["plot"]["palettes"].get(CONFIG["plot"]["palette"], [])
    colors = dict(zip(models, palette)) if len(models) <= len(palette) else {}
    return {
        name: {
            "label": CONFIG["models"][name]["label"],
            "color": colors.get(name, CONFIG["models"][name]["color"]),
        }
        for name in models
    }


def figure_params(figure):
    """What a figure needs to know besides its tables."""
    described = CONFIG["figures"][figure]
    dataset = CONFIG["datasets"][described["dataset"]]
    kinds = {panel["kind"] for row in described["rows"] for panel in row["panels"]}
    return dict(
        figure={**described, "strata": strata_names(described["dataset"])},
        title=described.get("title", dataset["title"]),
        demo=SCALE == "demo",
        models=looks(dataset["benchmark"]),
        baselines={
            name: {key: baseline[key] for key in configuration.LOOKS}
            for name, baseline in CONFIG["baselines"].items()
            if dataset["kind"] in baseline["kinds"]
        },
        analysis_model=dataset["analysis_model"],
        gaps=figure_gaps(figure),
        labels=dataset["labels"],
        width_mm=CONFIG["plot"]["width_mm"],
    )


def figure_report(figure, part, **labels):
    """Where a file of a figure stands in the report: under the figure, then its drawing or its tables."""
    dataset = CONFIG["figures"][figure]["dataset"]
    number = figure.removeprefix("fig")
    return dict(
        caption=f"../report/{'tables' if part == 'Tables' else figure}.rst",
        category=f"Figure {number}: {CONFIG['datasets'][dataset]['title']}",
        subcategory=part,
        labels={**labels, "dataset": dataset},
    )
