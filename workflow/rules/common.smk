# What the rules share: the checked configuration, shard lists, resource classes. No rule, no science.

from morphobench import sweep as sweeps, targets as wanted

CONFIG = or_stop(configuration.resolve, config, Path(workflow.basedir))


# Resources by class (MB, minutes); a retry (profiles set how many) asks for more memory and time.
def resources(mem_mb, runtime, disk_mb=20000, gpu=0, grows=True):
    return dict(
        mem_mb=lambda wildcards, attempt: mem_mb * attempt,
        runtime=lambda wildcards, attempt: runtime * (attempt if grows else 1),
        disk_mb=disk_mb,
        gpu=gpu,
    )


LIGHT = resources(mem_mb=2000, runtime=30)
HEAVY = resources(mem_mb=8000, runtime=240)
GPU = resources(mem_mb=32000, runtime=240, gpu=CONFIG["train"]["gpus"])
# A retried training goes on from its checkpoint; more time would only find its node later.
TRAIN = resources(
    mem_mb=32000, runtime=1440, gpu=CONFIG["train"]["gpus"] * CONFIG["train"]["devices"], grows=False
)
if CONFIG["train"]["nodes"] > 1:
    # SLURM counts gres on each node; gpu would be the sum, which the first node alone does not have.
    gres = {"gres": f"gpu:{TRAIN['gpu']}"} if TRAIN["gpu"] else {}
    TRAIN = {**TRAIN, "gpu": 0, "nodes": CONFIG["train"]["nodes"], **gres}


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
    # Part of the clone, or a folder that every node has: not what a storage provider keeps.
    return [local(path) for path in sorted(map(str, found))]


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


def figure_inputs(dataset):
    """The tables that a benchmark figure (examples, scores, walks, archetypes, rotations) is drawn from."""
    model = CONFIG["datasets"][dataset]["analysis_model"]
    analysed = f"results/analyse/{dataset}/{model}/seed-{CONFIG['train']['seeds'][0]}"
    return dict(
        examples=f"results/analyse/{dataset}/examples.parquet",
        scores=f"results/score/{dataset}/scores.parquet",
        item_values=f"results/score/{dataset}/items.parquet",
        walks=f"{analysed}/walks.parquet",
        archetypes=f"{analysed}/archetypes.parquet",
        rotations=f"{analysed}/rotations.parquet",
    )


def figure_params(dataset):
    """What a benchmark figure needs to know besides its tables."""
    settings = CONFIG["datasets"][dataset]
    return dict(
        title=settings["title"],
        demo=SCALE == "demo",
        models={
            name: {key: CONFIG["models"][name][key] for key in configuration.LOOKS}
            for name in settings["benchmark"]
        },
        labels=settings["labels"],
        width_mm=CONFIG["plot"]["width_mm"],
    )


def targets():
    """What `snakemake all` makes; called after every include, for plot_fig... names a figure that is drawn."""
    drawn = [rule.name.removeprefix("plot_") for rule in workflow.rules if rule.name.startswith("plot_fig")]
    return or_stop(wanted.paths, CONFIG, drawn)


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
