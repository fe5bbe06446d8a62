# What the rules share: the checked configuration, shard lists, resource classes. No rule, no science.

from morphobench import sweep as sweeps

CONFIG = or_stop(configuration.resolve, config, Path(workflow.basedir))


# Resources by class; a retry (profiles set how many) asks for more memory.
def resources(mem_mb, runtime, **more):
    return dict(
        mem_mb=lambda wildcards, attempt: mem_mb * attempt,
        runtime=runtime,
        disk_mb=4 * mem_mb,
        **more,
    )


LIGHT = resources(mem_mb=2000, runtime=30)
HEAVY = resources(mem_mb=8000, runtime=240)
GPU = resources(mem_mb=32000, runtime=1440, gpu=CONFIG["train"]["gpus"])


def of_dataset(*keys):
    """Params function: these keys of the dataset's configuration, so that only they make a rule run again."""
    return lambda wildcards: {key: CONFIG["datasets"][wildcards.dataset].get(key) for key in keys}


def kind_of(wildcards):
    return CONFIG["datasets"][wildcards.dataset]["kind"]


def code_of_kind(stage):
    """Params function: digest of the code of a stage for the dataset's kind."""
    return lambda wildcards: code.digest(f"morphobench.{stage}.{kind_of(wildcards)}")


def of_model(wildcards):
    return configuration.model_for(CONFIG, wildcards.dataset, wildcards.model)


def parts_of(dataset):
    """The shards of cells that a dataset is sampled from: its own, then those of the datasets it shares."""
    names = [dataset, *CONFIG["datasets"][dataset].get("cells_from", [])]
    return [(name, number) for name in names for number in range(CONFIG["datasets"][name]["n_shards"])]


def shards(stage):
    """Input function: the shard folders of one stage, in order."""

    def folders(wildcards):
        parts = parts_of(wildcards.dataset)
        if stage == "sample":
            parts = [(wildcards.dataset, number) for number in range(len(parts))]
        return [f"results/{stage}/{name}/shard-{number}" for name, number in parts]

    return folders


def local_source(wildcards):
    """Input function: the files of a local source, when it is there; the job says what is missing if not."""
    source = CONFIG["datasets"][wildcards.dataset]["source"]
    folders = [Path(source[key]) for key in ("shapes", "packings") if source.get(key)]
    folders += [Path(source[key]).parent for key in ("fovs", "stack") if source.get(key)]
    kinds = {".csv", ".json", ".npz", ".obj", ".ply", ".stl", ".tif", ".tiff"}
    found = [path for folder in folders for path in folder.glob("*") if path.suffix in kinds]
    # Of crops the manifest alone: they are too many to be looked at before every run.
    found += [path for path in [Path(source.get("cells", ""))] if path.is_file()]
    return sorted(map(str, found))


def sample_inputs(wildcards):
    """Input function: a shard of stage mask, and what all shards share: the box, or the scale of shapes."""
    name, number = parts_of(wildcards.dataset)[int(wildcards.shard)]
    shared = {"punctate": ("box", "box.json"), "polymorphic": ("scale", "scale.parquet")}
    key, file = shared.get(kind_of(wildcards), (None, None))
    common = {key: f"results/mask/{wildcards.dataset}/{file}"} if key else {}
    return {"shard_in": f"results/mask/{name}/shard-{number}", **common}


def align_settings(wildcards):
    """Params function: what aligning needs to know; of stage mask, only which mask it will ask for."""
    settings = of_dataset("voxel_um", "kind", "source", "channels", "align")(wildcards)
    return {**settings, "mask": {"role": CONFIG["datasets"][wildcards.dataset]["mask"].get("role")}}


def side_um(wildcards):
    """Params function: the side of the dataset's cubes, where it has cubes."""
    return CONFIG["datasets"][wildcards.dataset]["sample"].get("cube", {}).get("side_um")


def of_cells(wildcards):
    """Params function: what the contact sheet needs to know of the dataset."""
    return {**align_settings(wildcards), "side_um": side_um(wildcards)}


def scale_settings(wildcards):
    """Params function: how large shapes are on their grid."""
    settings = CONFIG["datasets"][wildcards.dataset]
    return {**settings["scale"], "resolution": settings["sample"]["resolution"]}


def per_model(pattern, key="models"):
    """Input function: `pattern` for every model under `key` of the dataset and every training seed."""

    def paths(wildcards):
        models = CONFIG["datasets"][wildcards.dataset][key]
        return expand(
            pattern,
            dataset=wildcards.dataset,
            model=models,
            seed=CONFIG["train"]["seeds"],
        )

    return paths


# Where the tables lie that figures are drawn from. {model} is the dataset's analysis model, {seed} the first.
ANALYSED = "results/analyse/{dataset}/{model}/seed-{seed}"
TABLES = {
    "examples": "results/analyse/{dataset}/examples.parquet",
    "scores": "results/score/{dataset}/scores.parquet",
    "item_values": "results/score/{dataset}/items.parquet",
    "combined": "results/score/combined/{combined}.parquet",
    "meshes": f"{ANALYSED}/shown.npz",
    "shown": f"{ANALYSED}/shown.parquet",
    "retrieval": "results/analyse/{dataset}/retrieval.parquet",
    "pieces": "results/analyse/{dataset}/pieces.parquet",
    **{
        name: f"{ANALYSED}/{name}.parquet"
        for name in (
            *(
                "walks",
                "archetypes",
                "rotations",
                "map",
                "map_archetypes",
                "volume_bins",
                "volume_bin_shapes",
            ),
            *("stratum_by_archetype", "pca_scores", "lda_scores", "lda_walk", "lda_tests"),
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
MASKED = ("shown", "meshes")
NO_DECODER = "not drawn: the workflow started from published embeddings, with no model to decode"
NO_SURFACES = "not drawn: the workflow started from published files, without the surfaces of cells"


def figure_gaps(figure):
    """The tables of a figure that this run cannot have, with the reason that stands in their panels."""
    described = CONFIG["figures"][figure]
    dataset = CONFIG["datasets"][described["dataset"]]
    asked, entry = dataset.get("analyse", {}), dataset.get("start_from", "raw")
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
    names = ("shown", "meshes") if kind_of(wildcards) == "polymorphic" else ("walks", "archetypes")
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
            for name, baseline in CONFIG.get("baselines", {}).items()
            if dataset["kind"] in baseline["kinds"]
        },
        analysis_model=dataset["analysis_model"],
        gaps=figure_gaps(figure),
        labels=dataset["labels"],
        width_mm=CONFIG["plot"]["width_mm"],
        code=code.digest(
            "morphobench.plot.figure", *(f"morphobench.plot.panels.{kind}" for kind in sorted(kinds))
        ),
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


def train_code(model_of):
    """Params function: digest of the code that trains the model which `model_of` tells of."""

    def digest(wildcards):
        return code.digest("morphobench.train", f"morphobench.models.{model_of(wildcards)['family']}")

    return digest


def of_sweep(wildcards):
    return or_stop(sweeps.read, wildcards.sweep, CONFIG)


def of_point(wildcards):
    return or_stop(sweeps.model_for, wildcards.sweep, wildcards.point, CONFIG)


def sampled(wildcards):
    """Input function: the shards of the data set that a sweep trains on."""
    dataset = of_sweep(wildcards)["dataset"]
    return expand(
        f"results/sample/{dataset}/shard-{{number}}", number=range(CONFIG["datasets"][dataset]["n_shards"])
    )
