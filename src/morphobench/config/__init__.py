"""Configuration of a run: read, validated, checked and resolved."""

import copy
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from morphobench.config import checks, panels, paths, published_values, reuse, sizes
from morphobench.config.entry import entry_of, overlays
from morphobench.config.needs import source_needs
from morphobench.config.schema import (
    FIGURE_NAME,
    OVERLAYS,
    cut,
    file_of,
    list_files,
    merge,
    read_all,
    read_yaml,
    typed_config,
    validate,
)
from morphobench.errors import InputError
from morphobench.files.values import text_of

FIGURES, RECIPES = Path("config/figures"), Path("config/recipes")
# All but the last have a file that lies on top of config/config.yaml.
SCALES = ("demo", "workstation", "paper")
# Keys of a model that change figures alone, no training.
LOOKS = ("label", "color")

# What `sample.mode: reference` sets of the stages before sampling, by kind of dataset.
REFERENCE = {
    "punctate": {
        "align": {"interpolation": "nearest"},
        "mask": {"reference": True},
        "box": {"quantile": 0.95, "policy": "crop"},
    },
    "polymorphic": {"mask": {"fill_holes": "slice2d"}, "scale_factor": {"reference": True}},
}


def resolve(
    config: Mapping[str, Any], root: Path = Path(), given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Check config/config.yaml, with every overlay merged, and add data sets, models and figures.

    Each data set also has its `name`, the `start_from` that applies to it, what its entry and `sample.mode`
    change, and what it needs of its source (`needs.source_needs`). `root` is the folder of `config`. What
    came through --config, `given`, is text that becomes a number where one is meant; text in files stays.

    Raises
    ------
    InputError
        With one line per problem: file, key, reason, remedy.
    """
    config = paths.expanded(
        merge(config, typed_config(given or {}, root)), paths.OF_CONFIG, "config/config.yaml"
    )
    validate(config, "config", "config/config.yaml", root)
    shares, seeds = config["sample"]["split"], config["train"]["seeds"]
    checks.check_split(shares, file_of(OVERLAYS[0], ["sample", "split"], shares, root))
    recipe = _recipe(config["train"]["recipe"], root)
    models = read_all(
        Path("config/models"), config["models"], "model", root, below=partial(_with_recipe, recipe)
    )
    for name, model in models.items():
        models[name] = paths.expanded(model, paths.OF_MODEL, f"config/models/{name}.yaml")
    limits = config["limits"]
    datasets = read_all(
        Path("config/datasets"),
        config["datasets"],
        "dataset",
        root,
        below=lambda dataset: cut(dataset, limits.get(str(dataset.get("kind")))),
        complete=partial(reuse.inherit, everywhere=config["start_from"], seed=seeds[0]),
    )
    for name in datasets:
        dataset = datasets[name] = _resolve_dataset(name, datasets[name], config["start_from"], root)
        checks.check_dataset(name, dataset, models)
        dataset |= source_needs(dataset)
        checks.check_columns(name, dataset)
        if dataset["source"].get("max_cells") is None:
            dataset["source"]["max_cells"] = config["max_cells"]
    for name in datasets:
        checks.check_parts(name, datasets)
        reuse.check(name, datasets, models, seeds)
    checks.check_seeds(seeds, datasets, file_of(OVERLAYS[0], ["train", "seeds"], seeds, root))
    checks.check_scored(config, datasets, models)
    printed = published_values.read(root, datasets)
    figures = _figures(root, datasets)
    found = {"datasets": datasets, "models": models, "figures": figures, "published_values": printed}
    return {**config, **found, "training_note": _training_note(recipe, config["train"]["precision"])}


def _with_recipe(recipe: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file of a model under what a recipe says of its family, and of family.representation."""
    family, changed = model.get("family"), dict(model)
    for key in (family, f"{family}.{model.get('representation')}"):
        changed = merge(changed, recipe.get(key, {}))
    return changed


def _recipe(name: str, root: Path) -> dict[str, Any]:
    """Read config/recipes/<name>.yaml: by family, what lies over the files of models."""
    files = list_files(RECIPES, root)
    checks.check_known("config/config.yaml: train.recipe", "recipe", [name], files)
    recipe = read_yaml(root / files[name])
    validate(recipe, "recipe", str(files[name]), root)
    return recipe


def _training_note(recipe: Mapping[str, Any], precision: str) -> str:
    """Return what figures say of how models are trained; "" for what needs no word."""
    rounded = "" if precision == "32-true" else f"Trained in {precision.split('-')[0]} precision."
    return " ".join(filter(None, [recipe.get("note", ""), rounded]))


def _resolve_dataset(name: str, dataset: Mapping[str, Any], everywhere: str, root: Path) -> dict[str, Any]:
    source, dataset = f"config/datasets/{name}.yaml", dict(dataset)
    dataset["start_from"] = entry_of(name, dataset, everywhere)
    dataset.setdefault("length_unit", "µm")
    for overlay in overlays(dataset, dataset["start_from"]):
        dataset = merge(dataset, overlay)
        validate(dataset, "dataset", f"{source} with published.overrides", root)
    if dataset["sample"].get("mode") == "reference":
        dataset = merge(dataset, REFERENCE.get(dataset["kind"], {}))
        validate(dataset, "dataset", f"{source} with sample.mode reference", root)
    if dataset["start_from"] != "raw":
        # A published manifest has its split in a column of that name.
        dataset["split"] = "split" if dataset["published"].get("split") else None
    files = [f"start_weights.{model}" for model in dataset.get("start_weights") or {}]
    own = dataset.get("embeddings") or {}
    files += [f"embeddings.{one}.{key}" for one in own for key in ("file", "rotated")]
    dataset = paths.expanded(dataset, (*paths.OF_DATASET, *files), source)
    dataset = sizes.resolved(dataset, source)
    return {**_with_text_names(dataset), "name": name}


def _with_text_names(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return a dataset whose names of conditions are text, as values of a column are: a control may be 0."""
    drugs = (dataset.get("analyse") or {}).get("drugs")
    if not drugs:
        return dataset
    named = {
        "control": text_of(drugs["control"]),
        "names": {text_of(key): name for key, name in (drugs.get("names") or {}).items()},
        "families": {key: list(map(text_of, own)) for key, own in (drugs.get("families") or {}).items()},
    }
    given = {key: value for key, value in named.items() if key in drugs and drugs[key] is not None}
    return {**dataset, "analyse": {**dataset["analyse"], "drugs": {**drugs, **given}}}


def _figures(root: Path, datasets: Mapping[str, Any]) -> dict[str, Any]:
    figures = {}
    for name, path in list_files(FIGURES, root, FIGURE_NAME).items():
        source, figure = str(path), read_yaml(root / path)
        validate(figure, "figure", source, root)
        figure.setdefault("dataset", name)
        listed = [panel for row in figure.get("rows", []) for panel in row["panels"]]
        used = [figure["dataset"], *(panel["dataset"] for panel in listed if "dataset" in panel)]
        checks.check_known(source, "dataset", used, datasets)
        figure = panels.expanded(figure, datasets)
        panels.check_letters(source, figure)
        strata = {text_of(key): value for key, value in (figure.get("strata") or {}).items()}
        figures[name] = {**figure, "strata": strata} if strata else figure
    return figures


def model_for(config: Mapping[str, Any], dataset: str, model: str) -> dict[str, Any]:
    """Return the configuration of a model on a dataset: its sizes and lengths there, without looks."""
    described = config["datasets"][dataset]
    described_model = config["models"][model].items()
    model_config = copy.deepcopy({key: value for key, value in described_model if key not in LOOKS})
    representation, architecture = model_config["representation"], model_config["architecture"]
    if representation == "cube":
        architecture["size"] = described["sample"]["cube"]["size"]
        # Published cubes are what their models read; how they were normalised is not published.
        units = (described.get("published") or {}).get("image_units", "model")
        if described["kind"] == "punctate" and described["start_from"] != "raw" and units == "model":
            model_config |= {"input_scale": 1.0, "z_score": False}
    if representation in ("sdf", "seg"):
        # Odd, so that quarter turns are exact; never smaller than the dataset's grid.
        architecture["size"] = max(architecture["size"], described["sample"]["resolution"] // 2 * 2 + 1)
    _choose_intensity_scale(model_config.get("intensity", {}), described)
    if model_config.get("intensity", {}).pop("structure_norm", False):
        model_config["intensity"]["structure_norms"] = described["structure_norms"]
    if representation in checks.CLOUDS and "subsample" in described:
        model_config["subsample"] = copy.deepcopy(described["subsample"])
    for key in checks.OF_TRAINING:
        if own := (described.get(key) or {}).get(model):
            model_config["training"][key] = own
    return model_config


def check_places(python: str, clone: str) -> None:
    """Raise an InputError for a path that Snakemake cannot start jobs under.

    It gives the path of its Python to a shell as it is; braces in the path of the clone are fields to it, and
    a colon ends a folder of PYTHONPATH.
    """
    for place, what, special in (
        (python, "Python", r"[^\w/.+,=@%^~-]"),
        (clone, "this clone", r"[{}:]"),
    ):
        if found := re.search(special, place):
            name = "a space" if found[0].isspace() else f"the character {found[0]}"
            reason = f"the path of {what}, {place}, has {name}, which jobs cannot be started under"
            raise InputError(f"{reason}. Move the clone to a path of letters, digits and . _ - alone.")


def _choose_intensity_scale(intensity: dict[str, Any], dataset: Mapping[str, Any]) -> None:
    """Take the published factor for cells in their published form; without any, training measures one."""
    published = intensity.pop("reference_scale", None)
    is_published = dataset["start_from"] != "raw" or dataset["sample"].get("mode") == "reference"
    if intensity and intensity.get("input_scale") is None and is_published:
        intensity["input_scale"] = published
    if intensity.get("input_scale") is not None:
        # Nothing is measured.
        intensity.pop("quantile", None)


def check_folder(path: Path) -> None:
    """Raise an InputError unless `path` is a writable folder, or can be made."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path.resolve()} must be a folder. Move what is there.")
    place = path if path.exists() else path.resolve().parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{place.resolve()} is not writable. Make it writable (chmod u+w {place}).")


def scale_of(config: Mapping[str, Any], marker: Path) -> str:
    """Return the scale of a run: of `--config scale=...`, a job's run, the results so far, or paper.

    After `make demo`, remaking one figure must not start days of training at paper scale.
    """
    marked = marker.read_text(encoding="utf-8").strip() if marker.exists() else "paper"
    scale = config.get("scale") or os.environ.get("MORPHOBENCH_SCALE") or marked
    if scale not in SCALES:
        known = ", ".join(SCALES)
        raise InputError(f"scale must be one of {known}, not {scale!r} (--config scale=..., or {marker}).")
    return scale


def remember_scale(scale: str, marker: Path) -> None:
    """Write the scale of a run where `scale_of` finds it.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    try:
        marker.parent.mkdir(exist_ok=True)
        marker.write_text(scale + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{marker} cannot be written ({error.strerror}); make room (df -h).") from error
