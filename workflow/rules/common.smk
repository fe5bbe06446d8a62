# What the rules share: the checked configuration, shard lists, resource classes. No rule, no science.
import re

from morphobench.config import figures
from morphobench.jobs import digest
from morphobench.train import sweep

# Snakemake takes the last of keys that stand twice.
for path in workflow.configfiles:
    or_stop(configuration.read_yaml, Path(path))
# A deployed workflow has files of its own.
CONFIG_ROOT = Path() if Path("config/datasets").is_dir() else CLONE
if SCALE != "paper" and workflow.modifier.skip_configfile:
    # A module takes no configfile.
    config.update(configuration.merge(config, configuration.read_yaml(CONFIG_ROOT / f"config/{SCALE}.yaml")))
CONFIG = or_stop(configuration.resolve, config, CONFIG_ROOT, workflow.config_settings.config)
# Scripts read it here: what came through --config was text.
config["download"] = CONFIG["download"]
# For the report.
config["version"] = log.version()
config["figure_names"] = list(CONFIG["figures"])
SEEDS = CONFIG["train"]["seeds"]
# By dataset, the embeddings that come as tables of the user's own.
OWN_EMBEDDINGS = {name: dataset.get("embeddings") or {} for name, dataset in CONFIG["datasets"].items()}
# By dataset, the baselines without training that are scored on it, made from its cells; then its own embeddings.
BASELINES = {
    name: [
        *(figures.baselines_of(CONFIG, name) if dataset["start_from"] != "embeddings" else []),
        *OWN_EMBEDDINGS[name],
    ]
    for name, dataset in CONFIG["datasets"].items()
}
# Those with a decoder: models without weights, by the family that their features name.
DECODED_BASELINES = [
    name for name, baseline in CONFIG["baselines"].items() if baseline["features"] == "harmonic_surface"
]


# Resources by class (MB, minutes); a retry (profiles set how many) asks for more memory and time.
def resources(mem_mb, runtime, disk_mb=20000, gpu=0, grows=True):
    return dict(
        mem_mb=lambda wildcards, attempt: mem_mb * (attempt + 1) // 2,
        runtime=lambda wildcards, attempt: runtime * (attempt if grows else 1),
        disk_mb=disk_mb,
        gpu=gpu,
    )


# Of a rule that names none.
LIGHT = resources(mem_mb=2000, runtime=30)
HEAVY = resources(mem_mb=8000, runtime=240)
GPU = resources(mem_mb=32000, runtime=240, gpu=CONFIG["train"]["gpus"])


def dataset_config(wildcards):
    return CONFIG["datasets"][wildcards.dataset]


def dataset_params(*keys):
    """Params function: these keys of the dataset's configuration, so that only they make a rule run again."""
    return lambda wildcards: {key: dataset_config(wildcards).get(key) for key in keys}


def datasets(start_from=(), analyse=None, **has):
    """Wildcard constraint: the datasets with one of these entries, or that ask for an analysis.

    With `weights_from` or `freeze`, only those that have this key (True), or that do not (False).
    """
    names = [
        name
        for name, dataset in CONFIG["datasets"].items()
        if (dataset["start_from"] in start_from or dataset.get("analyse", {}).get(analyse))
        and all(bool(dataset.get(key)) == value for key, value in has.items())
    ]
    return "|".join(names) or "(?!)"


def shards(stage, dataset=lambda wildcards: wildcards.dataset):
    """Input function: the shard folders of a stage: the dataset's own, then those of the datasets it shares."""

    def folders(wildcards):
        own = dataset(wildcards)
        names = [own, *CONFIG["datasets"][own].get("cells_from", [])]
        parts = [(name, number) for name in names for number in range(CONFIG["datasets"][name]["n_shards"])]
        if stage == "sample":
            parts = [(own, number) for number in range(len(parts))]
        return [f"results/{stage}/{name}/shard-{number}" for name, number in parts]

    return folders


def per_model(pattern, baselines=False, seeds=SEEDS, own=False):
    """Input function: `pattern` for each model of the dataset and seed, and once for each baseline.

    `own`: of these, for the user's own embeddings alone.
    """

    def paths(wildcards):
        name, models = wildcards.dataset, dataset_config(wildcards)["models"]
        others = BASELINES[name] if baselines else OWN_EMBEDDINGS[name] if own else []
        named = expand(pattern, dataset=name, model=others, seed=seeds[0])
        return expand(pattern, dataset=name, model=models, seed=seeds) + named

    return paths


def chosen_modules(wildcards):
    """The modules that a job picks by name: of the dataset's kind and form, the model's family, the figure's panels."""
    names = set()
    if "figure" in wildcards.keys():
        names = {panel["kind"] for panel in figures.list_panels(figures.figure_of(CONFIG, wildcards.figure))}
    if "dataset" in wildcards.keys():
        names |= {dataset_config(wildcards)[key] for key in ("kind", "form")}
    if "point" in wildcards.keys():
        names.add(or_stop(sweep.point_config, wildcards.sweep, wildcards.point, CONFIG)["family"])
    if wildcards.get("model") in CONFIG["models"]:
        names.add(CONFIG["models"][wildcards.model]["family"])
    if wildcards.get("model") in DECODED_BASELINES:
        names.add(CONFIG["baselines"][wildcards.model]["features"])
    return frozenset(names)


def is_own(declared):
    """Whether a rule is of this workflow, and not of one that takes it as a module."""
    return CLONE in Path(str(declared.snakefile)).resolve().parents


def complete(declared):
    """Set log, benchmark, resources and source digest, which follow from name, outputs and script of a rule."""
    if not declared.ruleinfo.resources:
        declared.resources.update(LIGHT)
        # The profile and the command line come last.
        declared.resources.update(workflow.resource_settings.overwrite_resources.get(declared.name, {}))
    output = declared.ruleinfo.output
    pattern = (*output.paths, *output.kwpaths.values())[0]
    name = Path(declared.name, *re.findall(r"[\w-]*{\w+}", pattern))
    declared.log_modifier = declared.benchmark_modifier = output.modifier
    declared.set_log(f"logs/{name}.log")
    declared.benchmark = f"benchmarks/{name}.tsv"
    script = CLONE / "workflow/scripts" / Path(declared.script).name
    declared.set_params(source_digest=lambda wildcards: digest.digest(script, chosen_modules(wildcards)))
