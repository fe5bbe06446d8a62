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


def analysis(key):
    """Params function: a setting of the analyses: of the dataset's block `analyse`, else of the configuration."""

    def value(wildcards):
        own = CONFIG["datasets"][wildcards.dataset].get("analyse", {})
        return own.get(key, CONFIG["analyse"].get(key))

    return value


def datasets_with(key):
    """Wildcard constraint: the datasets whose block `analyse` asks for an analysis."""
    return (
        "|".join(name for name, own in CONFIG["datasets"].items() if own.get("analyse", {}).get(key)) or "^"
    )


def feature_sets(wildcards):
    """Params function: names of the dataset's sets of features, in the order of `per_model`."""
    models = CONFIG["datasets"][wildcards.dataset]["models"]
    return expand("{model}/{seed}", model=models, seed=CONFIG["train"]["seeds"])


def cellprofiler_table(wildcards):
    """Input function: the CellProfiler features of the dataset, when they are there."""
    path = (analysis("drugs")(wildcards) or {}).get("cellprofiler")
    return {"cellprofiler": path} if path and Path(path).is_file() else {}


def baselines_of(dataset):
    """The baselines without training that are scored on a dataset."""
    kind = CONFIG["datasets"][dataset]["kind"]
    return [name for name, baseline in CONFIG["baselines"].items() if kind in baseline["kinds"]]


def per_scored(pattern):
    """Input function: `pattern` for every model and seed, and once for every baseline: it has no training."""

    def paths(wildcards):
        baselines, first = baselines_of(wildcards.dataset), CONFIG["train"]["seeds"][0]
        return per_model(pattern)(wildcards) + expand(
            pattern, dataset=wildcards.dataset, model=baselines, seed=first
        )

    return paths


def score_inputs(wildcards):
    """Input function: what there is to score; a baseline has neither a decoder nor a cost."""
    of_model = f"{wildcards.dataset}/{wildcards.model}/seed-{wildcards.seed}"
    inputs = {pose: f"results/embed/{of_model}/{pose}.parquet" for pose in ("identity", "lattice", "uniform")}
    if wildcards.model not in CONFIG["baselines"]:
        inputs["evolution"] = f"results/score/{of_model}/evolution.parquet"
        inputs["cost"] = f"results/score/{of_model}/cost.json"
    return inputs


def score_settings(wildcards):
    """Params function: numbers of the score stage, and the width of the narrowest model of the dataset."""
    models = CONFIG["datasets"][wildcards.dataset]["models"]
    widths = [CONFIG["models"][name]["architecture"]["latent_dim"] for name in models]
    settings = {key: CONFIG["score"][key] for key in ("n_bootstrap", "k_neighbours", "n_fractions")}
    return {**settings, "legacy_width": min(widths)}


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
