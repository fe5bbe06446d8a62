# Input and params functions of single rules, in the order of the stages: `snakemake --lint` wants none beside rules.
from functools import cache

from morphobench.config import folds
from morphobench.download import named_files
from morphobench.files import frozen as frozen_datasets
from morphobench.files import weights
from morphobench.jobs import check_names
from morphobench.remote import is_remote

BUCKETS = ("results", "bucket")
# What the shards of a dataset share, by kind: the box of point clouds, the scale factors of shapes.
SHARED = {
    "packing": {},
    "punctate": {"box": "box.json"},
    "polymorphic": {"scale_factor": "scale_factor.parquet"},
}


def fabricated_bucket(wildcards):
    """The fabricated bucket that a dataset's source lies in, if any."""
    parts = Path(dataset_config(wildcards)["source"].get("location") or "").parts
    return "/".join(parts[:3]) if parts[:2] == BUCKETS else None


@cache
def checked_names(name):
    """What the configuration names of a local table must be there: said before a job runs."""
    or_stop(check_names.check, CONFIG["datasets"][name])


def local_source(wildcards):
    """Input function: the tables of a local source, when they are there; the job says what is missing if not.

    A fabricated bucket is made first, and counts as one.
    """
    source = dataset_config(wildcards)["source"]
    if bucket := fabricated_bucket(wildcards):
        return bucket
    if is_remote(source.get("location")):
        return []
    if workflow.is_main_process:
        checked_names(wildcards.dataset)
    tables = named_files.tables(source)
    # Part of the clone, or a folder that every node has: not what a storage provider keeps.
    return [local(str(path)) for path in tables if path.is_file()]


@cache
def named_state(name):
    source = CONFIG["datasets"][name]["source"]
    return None if is_remote(source.get("location")) else named_files.state(CONFIG["datasets"][name])


def local_files(wildcards):
    """Params function: the state of the files that the tables of a local source name.

    As inputs, the crops of 70,000 cells would make every plan slow.
    """
    return None if fabricated_bucket(wildcards) else named_state(wildcards.dataset)


def remote_index(wildcards):
    """Input function: the index of a remote source."""
    remote = is_remote(dataset_config(wildcards)["source"].get("location"))
    return f"results/download/{wildcards.dataset}/manifest.parquet" if remote else []


def published_files(*keys):
    """Input function: published files under these keys, where they lie in a local folder and are there."""

    def files(wildcards):
        published = dataset_config(wildcards)["published"]
        named = [published.get(key) for key in keys]
        names = [name.get(wildcards.model) if isinstance(name, dict) else name for name in named]
        paths = [Path(published["location"].removeprefix("file://")) / name for name in names if name]
        return [str(path) for path in paths if path.is_file()]

    return files


def download_params(wildcards):
    """Params function: what fetching needs; of stage align, only by what labels of fields and channels are checked."""
    keys = (
        "name",
        "kind",
        "form",
        "source",
        "rules",
        "packing",
        "voxel_um",
        "n_shards",
        "needs",
        "used_channels",
    )
    params, align = dataset_params(*keys)(wildcards), dataset_config(wildcards).get("align")
    if not params["source"].get("fovs"):
        return params
    return {**params, "align": {key: align[key] for key in ("stray_share", "saturated_share")}}


def align_params(wildcards):
    """Params function: what aligning needs; of stage mask, only which mask and how it is read."""
    params = dataset_params("voxel_um", "kind", "form", "source", "channels", "align")(wildcards)
    dataset = dataset_config(wildcards)
    is_reference = dataset["sample"].get("mode") == "reference"
    return {**params, "mask": {"role": dataset["mask"].get("role"), "reference": is_reference}}


def intensity_models(wildcards):
    """Params function: what scales the intensities of the data set's models that read them, by model."""
    models = {
        name: configuration.model_for(CONFIG, wildcards.dataset, name)
        for name in dataset_config(wildcards)["models"]
    }
    return {
        name: {key: model[key] for key in ("input_scale", "intensity")}
        for name, model in models.items()
        if model.get("intensity")
    }


def start_weights(wildcards):
    """Params function: the file of weights that a training starts from, if any."""
    file = (dataset_config(wildcards).get("start_weights") or {}).get(wildcards.model)
    return file and file.replace("{seed}", wildcards.seed)


def start_file(wildcards):
    """Input function: that file, when it is there; the job says if it is not."""
    file = start_weights(wildcards)
    return [local(file)] if file and Path(file).is_file() else []


def shared_of(name):
    """The file of stage mask that the cells of a dataset have in common, if any."""
    dataset = CONFIG["datasets"][name]
    files = SHARED[dataset["kind"]].values() if dataset["start_from"] == "raw" else ()
    return [f"results/mask/{name}/{file}" for file in files]


def cells_config(wildcards):
    """Params function: what made the cells that a model reads: preprocessing and the seed of what is drawn."""
    return preprocessing_of(wildcards.dataset, wildcards.model)


def preprocessing_of(name, model):
    """What made the cells of a dataset that a model reads."""
    dataset, representation = CONFIG["datasets"][name], CONFIG["models"][model]["representation"]
    known = {"preprocessing": weights.preprocessing(dataset, representation)}
    return {**known, "sections": weights.sections(dataset), "draw_seed": CONFIG["seed"]}


def training_folder(dataset, model):
    """Where the trainings of a model lie, or the published checkpoints that stand for them.

    Those have a folder of their own: Snakemake would take converted weights for a training's when data sets start
    from raw data again.
    """
    converted = CONFIG["datasets"][dataset]["start_from"] == "checkpoints" and model not in DECODED_BASELINES
    return f"results/{'published' if converted else 'train'}/{dataset}/{model}"


def trained(file):
    """Input function: this file of a training."""
    return (
        lambda wildcards: f"{training_folder(wildcards.dataset, wildcards.model)}/seed-{wildcards.seed}/{file}"
    )


def reused_weights(wildcards):
    """Input function: the weights that a dataset takes from another one or from a folder, and their record.

    Of a dataset with folds those of the first.
    """
    origin, model, seed = dataset_config(wildcards)["weights_from"], wildcards.model, wildcards.seed
    if origin in CONFIG["datasets"]:
        folder = f"{training_folder(origin, model)}/seed-{folds.trainings(CONFIG, origin, seed)[0]}"
        return {"weights": f"{folder}/model.pt", "record": f"{folder}/record.json"}
    path = weights.find(origin, model, seed)
    return {"weights": local(str(path)), "record": local(str(weights.record_of(path)))}


def frozen(wildcards):
    """Input function: the box or the scale factor that a dataset takes over with weights, as a file of them."""
    origin = dataset_config(wildcards).get("weights_from")
    if not origin or origin in CONFIG["datasets"]:
        return shared_of(origin) if origin else []
    path = weights.find(origin, dataset_config(wildcards)["models"][0], SEEDS[0])
    return [local(str(weights.record_of(path)))]


def frozen_manifest(wildcards):
    """Input function: the manifest of a frozen dataset, whose groups keep their split."""
    file = frozen_datasets.folder(wildcards.dataset) / frozen_datasets.MANIFEST
    return [local(str(file))] if dataset_config(wildcards).get("freeze") else []


def frozen_rows(*rotations):
    """Input function: the embeddings under these rotations that the cells of a frozen dataset keep."""

    def files(wildcards):
        folder = frozen_datasets.folder(wildcards.dataset) / wildcards.model / f"seed-{wildcards.seed}"
        named = [local(str(folder / f"{name}.parquet")) for name in rotations]
        return named if dataset_config(wildcards).get("freeze") else []

    return files


def frozen_files(wildcards):
    """Input function: what is kept of every training of a dataset: weights, records and embeddings."""
    stored = [
        f"results/train/{{dataset}}/{{model}}/seed-{{seed}}/{name}" for name in ("model.pt", "record.json")
    ]
    sets = ("identity", "lattice", "uniform")
    embedded = [f"results/embed/{{dataset}}/{{model}}/seed-{{seed}}/{name}.parquet" for name in sets]
    return [path for pattern in stored + embedded for path in per_model(pattern)(wildcards)]


def scale_factor(wildcards):
    """Params function: how large shapes are on their grids, and the grids."""
    dataset = dataset_config(wildcards)
    return {**dataset["scale_factor"], "resolution": dataset["sample"]["resolution"]}


def published_factors(wildcards):
    """Input function: the file of scale factors that the dataset names, when it is there."""
    file = dataset_config(wildcards)["scale_factor"].get("file")
    return [local(file)] if file and Path(file).is_file() else []


def read_sweep(wildcards):
    return or_stop(sweep.read, wildcards.sweep, CONFIG)


def reconstruction_errors(wildcards):
    """Input function: the table of reconstruction errors, of what has a decoder."""
    table = "results/embed/{dataset}/{model}/seed-{seed}/reconstruction.parquet"
    return {"reconstruction": table.format(**wildcards)} if has_decoder(wildcards) else {}


def has_decoder(wildcards):
    name = wildcards.model
    return name in DECODED_BASELINES or not (name in CONFIG["baselines"] or own_keys(wildcards))


def own_keys(wildcards):
    """What is known of a user's own embedding; nothing of models and baselines."""
    return OWN_EMBEDDINGS[wildcards.dataset].get(wildcards.model) or {}


def own_embedding(key):
    """Input function: a table of a user's own embedding, when it is there; the job says if it is not."""

    def file(wildcards):
        path = own_keys(wildcards).get(key)
        return [local(path)] if path and Path(path).is_file() else []

    return file


def own_table(wildcards):
    """Input function: the table of numbers that a baseline names, when it is there; the job says if it is not."""
    file = CONFIG["baselines"][wildcards.model]["options"].get("file")
    return [local(file)] if file and Path(file).is_file() else []


def answers(wildcards):
    """Params function: what a control may know: the columns to classify and to regress on."""
    if CONFIG["baselines"][wildcards.model]["features"] != "known":
        return {}
    dataset = dataset_config(wildcards)
    outlier = [dataset["outlier"]["column"]] if dataset.get("outlier") else []
    return {
        "labels": list(dict.fromkeys([*dataset["labels"], *outlier])),
        "targets": dataset.get("targets") or [],
    }


def anchors(wildcards):
    """Params function: the controls of a dataset between which scores are scaled, by the end that they are."""
    ends = {"random": "chance", "known": "known"}
    known = (name for name in BASELINES[wildcards.dataset] if name in CONFIG["baselines"])
    scored = {name: CONFIG["baselines"][name]["features"] for name in known}
    return {ends[features]: name for name, features in scored.items() if features in ends}


def weightless(wildcards):
    """Params function: the configuration of a baseline with a decoder, as of a model."""
    baseline, resolution = (
        CONFIG["baselines"][wildcards.model],
        dataset_config(wildcards)["sample"]["resolution"],
    )
    # An odd grid has its origin in the middle.
    architecture = {"size": resolution // 2 * 2 + 1, **baseline["options"]}
    named = {"family": baseline["features"], "representation": "sdf", "input_scale": 1.0}
    return {**named, "architecture": architecture}


def of_fold(folder, name):
    """Input function: a file of the training's fold; of the data set where it has no folds."""
    return lambda wildcards: or_stop(folds.of_fold, CONFIG, folder, wildcards.dataset, wildcards.seed, name)


manifest, pairs = of_fold("results/sample", "manifest.parquet"), of_fold("results/score", "pairs.csv")


def fold_tables(wildcards):
    """Input function: what there is to score, by name a file of each fold; one where there are none.

    Most baselines have no decoder; published embeddings come unrotated.
    """
    name, published = wildcards.dataset, dataset_config(wildcards)["start_from"] == "embeddings"
    parts, decoded = folds.trainings(CONFIG, name, wildcards.seed), has_decoder(wildcards)
    rotated = [] if published else ["lattice", "uniform", "invariances"]
    if own := own_keys(wildcards):
        rotated = ["lattice"] * ("rotated" in own)
    places = {
        table: f"results/embed/{name}/{wildcards.model}/seed-{{}}/{table}.parquet"
        for table in ["identity", *rotated] + ["reconstruction"] * decoded
    }
    if decoded and not published:
        places["evolution"] = f"results/score/{name}/{wildcards.model}/seed-{{}}/evolution.parquet"
    tables = {table: [place.format(part) for part in parts] for table, place in places.items()}
    for table, folder, file in (("manifest", "sample", "manifest.parquet"), ("pairs", "score", "pairs.csv")):
        tables[table] = [folds.of_fold(CONFIG, f"results/{folder}", name, part, file) for part in parts]
    return tables


def cost(wildcards):
    """Input function: the cost of a model, timed with its first training alone; of what is not trained, none."""
    untrained = wildcards.model in CONFIG["baselines"] or own_keys(wildcards)
    published = dataset_config(wildcards)["start_from"] == "embeddings"
    if published or untrained or int(wildcards.seed) != SEEDS[0]:
        return []
    first = folds.trainings(CONFIG, wildcards.dataset, wildcards.seed)[0]
    return [f"results/score/{wildcards.dataset}/{wildcards.model}/seed-{first}/cost.json"]


def trainings(wildcards):
    """Params function: model and training (its seed, and fold) of every training of a data set."""
    name = wildcards.dataset
    parts = [part for seed in SEEDS for part in folds.trainings(CONFIG, name, seed)]
    return [[model, part] for model in dataset_config(wildcards)["models"] for part in parts]


def training_records(wildcards):
    """Input function: the records of every training of a data set."""
    pattern = "results/train/{}/{}/seed-{}/record.json"
    return [pattern.format(wildcards.dataset, *training) for training in trainings(wildcards)]


def results_tables():
    """What the page of results is made of: by table, the files of those of its data sets that have scores."""
    present = [
        name
        for name in CONFIG["outputs"]["results"]
        if Path(f"results/score/{name}/scores.parquet").is_file()
        and CONFIG["datasets"][name]["start_from"] in ("raw", "preprocessed")
    ]
    folders = {"scores": "score", "differences": "score", "trainings": "analyse"}
    tables = {
        table: [f"results/{folder}/{name}/{table}.parquet" for name in present]
        for table, folder in folders.items()
    }
    return present, tables


def analysis(*keys, **renamed):
    """Params function: options of an analysis: from the dataset's block `analyse`, the dataset, or all analyses."""

    def options(wildcards):
        dataset = dataset_config(wildcards)
        known = {**CONFIG["analyse"], "seed": CONFIG["seed"], **dataset, **dataset.get("analyse", {})}
        return {name: known.get(key) for name, key in [*zip(keys, keys), *renamed.items()]}

    return options


def cellprofiler_features(wildcards):
    """Input function: a local table of CellProfiler features that is there, else the published one.

    A run that fetches nothing else does not look for it.
    """
    dataset = dataset_config(wildcards)
    published, path = dataset.get("published") or {}, dataset["analyse"]["drugs"].get("cellprofiler")
    if path:
        return path if Path(path).is_file() else []
    fetches = dataset["start_from"] != "raw" or is_remote(dataset["source"].get("location"))
    named = published.get("cellprofiler") and fetches
    return f"results/published/{wildcards.dataset}/cellprofiler.csv" if named else []


def displayed_cells(wildcards):
    """Input function: the tables of the cells whose surfaces figures display, by role."""
    asked = dataset_config(wildcards).get("analyse", {})
    tables = {"walk": "walk_cells", "archetype": "archetype_cells"}
    tables |= {"volume_bin": "volume_bin_cells"} if asked.get("volume_bins") else {}
    tables |= {"lda": "lda_walk"} if asked.get("drugs") else {}
    folder = "results/analyse/{dataset}/{model}/seed-{seed}".format(**wildcards)
    return {role: f"{folder}/{table}.parquet" for role, table in tables.items()}


def exported_models(wildcards):
    """Params function: the models and embeddings of one's own that are exported, that of analyses among them."""
    dataset = dataset_config(wildcards)
    named = [dataset["analysis_model"], *dataset["benchmark"], *OWN_EMBEDDINGS[wildcards.dataset]]
    return list(dict.fromkeys(named))


def exported_embeddings(wildcards):
    """Input function: their embeddings, of the training that figures are drawn from."""
    name = wildcards.dataset
    first = folds.trainings(CONFIG, name, SEEDS[0])[0]
    pattern = f"results/embed/{name}/{{model}}/seed-{first}/identity.parquet"
    return expand(pattern, model=exported_models(wildcards))
