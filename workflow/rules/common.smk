# What the rules share: the checked configuration, shard lists, resource classes. No rule, no science.

from morphobench.config import outputs
from morphobench.jobs import slurm as partitions
from morphobench.train import sweep as sweeps
from morphobench.download.remote import is_remote, local_folder

CONFIG = or_stop(configuration.resolve, config, Path(workflow.basedir))


# Resources by class (MB, minutes); a retry (profiles set how many) asks for more memory and time.
def resources(mem_mb, runtime, disk_mb=20000, gpu=0, grows=True):
    return dict(
        mem_mb=lambda wildcards, attempt: mem_mb * (attempt + 1) // 2,
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
    TRAIN = {**TRAIN, "gpu": 0, "nodes": CONFIG["train"]["nodes"], "tasks": CONFIG["train"]["nodes"], **gres}


def of_dataset(*keys):
    """Params function: these keys of the dataset's configuration, so that only they make a rule run again."""
    return lambda wildcards: {key: CONFIG["datasets"][wildcards.dataset].get(key) for key in keys}


def kind_of(wildcards):
    return CONFIG["datasets"][wildcards.dataset]["kind"]


def of_model(wildcards):
    return configuration.model_for(CONFIG, wildcards.dataset, wildcards.model)


def starting_from(*entries):
    """Wildcard constraint: the datasets that are entered at one of these; none where there is none."""
    names = [name for name, settings in CONFIG["datasets"].items() if settings["start_from"] in entries]
    return "|".join(names) or "(?!)"


def n_parts(wildcards):
    return len(parts_of(wildcards.dataset))


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


BUCKETS = ("results", "bucket")


def bucket_of(source):
    """Return the fabricated bucket that a source lies in, as a list: empty for any other source."""
    parts = Path(source.get("location") or "").parts
    return ["/".join(parts[:3])] if parts[:2] == BUCKETS else []


def masked_meshes(wildcards):
    """Input function: the shards with the surfaces that decoded ones are compared with, where cells have them."""
    raw = CONFIG["datasets"][wildcards.dataset]["start_from"] == "raw"
    return shards("mask")(wildcards) if raw and kind_of(wildcards) == "polymorphic" else []


def local_source(wildcards):
    """Input function: the files of a local source, when it is there; the job says what is missing if not.

    A fabricated bucket is made first, and counts as one.
    """
    source = CONFIG["datasets"][wildcards.dataset]["source"]
    if bucket_of(source):
        return bucket_of(source)
    if is_remote(source.get("location")):
        return []
    root = local_folder(source.get("location"))
    folders = [root / source[key] for key in ("shapes", "packings") if source.get(key)]
    folders += [root.joinpath(source[key]).parent for key in ("fovs", "stack") if source.get(key)]
    kinds = {".csv", ".json", ".npz", ".obj", ".ply", ".stl", ".tif", ".tiff"}
    found = [path for folder in folders for path in folder.glob("*") if path.suffix in kinds]
    # Of crops the manifest alone: they are too many to be looked at before every run.
    found += [path for path in [root / source.get("cells", "")] if path.is_file()]
    # Part of the clone, or a folder that every node has: not what a storage provider keeps.
    return [local(path) for path in sorted(map(str, found))]


def remote_index(wildcards):
    """Input function: the index of a remote source."""
    location = CONFIG["datasets"][wildcards.dataset]["source"].get("location")
    return f"results/download/{wildcards.dataset}/manifest.parquet" if is_remote(location) else []


def cache_of(wildcards):
    """Params function: where the crops of a remote source lie, which cell tables hold."""
    return {"cache": CONFIG["download"]["cache"] if remote_index(wildcards) else None}


def sample_inputs(wildcards):
    """Input function: a shard of stage mask, and what all shards share: the box, or the scale factors of shapes."""
    name, number = parts_of(wildcards.dataset)[int(wildcards.shard)]
    shared = {"punctate": ("box", "box.json"), "polymorphic": ("scale_factor", "scale_factor.parquet")}
    key, file = shared.get(kind_of(wildcards), (None, None))
    common = {key: f"results/mask/{wildcards.dataset}/{file}"} if key else {}
    return {"shard_in": f"results/mask/{name}/shard-{number}", **common}


def align_settings(wildcards):
    """Params function: what aligning needs to know; of stage mask, only which mask it will ask for."""
    settings = of_dataset("voxel_um", "kind", "source", "channels", "align")(wildcards)
    return {**settings, "mask": {"role": CONFIG["datasets"][wildcards.dataset]["mask"].get("role")}}


def split_column(wildcards):
    """Params function: the manifest column with the split, or None for a seeded one."""
    settings = CONFIG["datasets"][wildcards.dataset]
    if settings["start_from"] == "raw":
        return settings.get("split")
    return "split" if settings["published"].get("split") else None


def side_um(wildcards):
    """Params function: the side of the dataset's cubes, where it has cubes."""
    return CONFIG["datasets"][wildcards.dataset]["sample"].get("cube", {}).get("side_um")


def of_cells(wildcards):
    """Params function: what the contact sheet needs to know of the dataset."""
    return {**align_settings(wildcards), "side_um": side_um(wildcards)}


def scale_factor_settings(wildcards):
    """Params function: how large shapes are on their grid."""
    settings = CONFIG["datasets"][wildcards.dataset]
    return {**settings["scale_factor"], "resolution": settings["sample"]["resolution"]}


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
    """The baselines without training that are scored on a dataset; they are made from its cells."""
    if CONFIG["datasets"][dataset]["start_from"] == "embeddings":
        return []
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


def reconstruction_errors(wildcards):
    """Input function: the table of reconstruction errors; a baseline has none, for it has no decoder."""
    table = "results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet"
    return {} if wildcards.model in CONFIG["baselines"] else {"reconstruction": table.format(**wildcards)}


def score_inputs(wildcards):
    """Input function: what there is to score.

    A baseline has neither a decoder nor a cost; published embeddings come in one pose, alone.
    """
    of_model = f"{wildcards.dataset}/{wildcards.model}/seed-{wildcards.seed}"
    alone = CONFIG["datasets"][wildcards.dataset]["start_from"] == "embeddings"
    poses = ("identity",) if alone else ("identity", "lattice", "uniform")
    inputs = {pose: f"results/embed/{of_model}/{pose}.parquet" for pose in poses}
    inputs |= reconstruction_errors(wildcards)
    if not alone and wildcards.model not in CONFIG["baselines"]:
        inputs["evolution"] = f"results/score/{of_model}/evolution.parquet"
        inputs["cost"] = f"results/score/{of_model}/cost.json"
    return inputs


def score_config(wildcards):
    """Params function: numbers of the score stage, and the width of the narrowest model of the dataset."""
    models = CONFIG["datasets"][wildcards.dataset]["models"]
    widths = [CONFIG["models"][name]["architecture"]["latent_dim"] for name in models]
    keys = ("n_bootstrap", "k_neighbours", "n_fractions")
    return {**{key: CONFIG["score"][key] for key in keys}, "legacy_width": min(widths)}


def check_partitions():
    """Before the first job: every partition that a job is planned for takes jobs."""
    if workflow.executor_plugin.name == "slurm":
        named = {
            job.resources.get("slurm_partition") for job in workflow.dag.needrun_jobs() if not job.is_local
        }
        or_stop(partitions.check, named - {None})


def of_sweep(wildcards):
    return or_stop(sweeps.read, wildcards.sweep, CONFIG)


def of_point(wildcards):
    return or_stop(sweeps.point_config, wildcards.sweep, wildcards.point, CONFIG)


def sampled(wildcards):
    """Input function: the shards of the data set that a sweep trains on."""
    dataset = of_sweep(wildcards)["dataset"]
    return expand(
        f"results/sample/{dataset}/shard-{{number}}", number=range(CONFIG["datasets"][dataset]["n_shards"])
    )


def chosen_modules(rule_name, wildcards):
    """The modules that a job picks by name: of the dataset's kind, the model's family, the figure's panels."""
    figure = CONFIG["figures"].get(rule_name.removeprefix("plot_"), {"rows": []})
    names = {panel["kind"] for row in figure["rows"] for panel in row["panels"]}
    if "sweep" in wildcards.keys() and "point" in wildcards.keys():
        names.add(of_point(wildcards)["family"])
    if wildcards.get("model") in CONFIG["models"]:
        names.add(CONFIG["models"][wildcards.model]["family"])
    if "dataset" in wildcards.keys():
        names.add(kind_of(wildcards))
    return frozenset(names)


def add_source_digest(added):
    """Let a rule run again when the meaning of what its script imports from the package changes."""
    if added.script:
        script = Path(workflow.basedir, "workflow/scripts", Path(added.script).name)
        added.set_params(
            source_digest=lambda wildcards: digest.digest(script, chosen_modules(added.name, wildcards))
        )


def targets():
    """What `snakemake all` makes; called after every include, for plot_fig... names a figure that is drawn."""
    drawn = [rule.name.removeprefix("plot_") for rule in workflow.rules if rule.name.startswith("plot_fig")]
    return or_stop(outputs.paths, CONFIG, drawn)
