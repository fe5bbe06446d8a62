"""Section `model` of a published yaml, translated into families of this project and back."""

import importlib
import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from morphobench.errors import InputError
from morphobench.files import FilePath
from morphobench.models import FAMILIES
from morphobench.models.cloud import folding

_IMAGE = "cyto_dl.models.vae.ImageVAE"
_CLOUD = "cyto_dl.models.vae.PointCloudVAE"
_ENCODER = "cyto_dl.nn.point_cloud.DGCNN"
_FOLDING = "cyto_dl.nn.point_cloud.FoldingNet"
_IMPLICIT = "pointcloudutils.networks.DecoderInner"
# Sizes by their published names, and this project's keywords for them.
_ENCODER_KEYS = {"num_features": "latent_dim", "hidden_dim": "hidden_dim", "k": "k"}
_FOLDING_KEYS = {"hidden_dim": "folding_hidden", "num_output_points": "n_output_points"}
_IMPLICIT_KEYS = {"hidden_size": "decoder_hidden"}
# Families by encoder, its mode, decoder, and whether that is implicit.
_CLOUD_FAMILIES = {
    ("DGCNN", "scalar", "FoldingNet", False): "classical_pointcloud",
    ("DGCNN", "vector", "FoldingNet", False): "rotation_invariant_pointcloud",
    ("DGCNN", "vector", "DecoderInner", True): "rotation_invariant_pointcloud_sdf",
}
# Larger sizes are no published model's, and would fill the memory before they are compared with the weights.
_MOST, _MOST_OF = 4096, {"n_output_points": 2**16, "size": 512}
_MOST_LEVELS, _MOST_FLAT_WEIGHTS = 10, 2**28
# Where decoders are evaluated: no part of a published model, or published as a file of its own.
_EVALUATED_ON = ("grid", "grid_file", "n_output_points", "grid_size", "half_extent")


class ModelSection(NamedTuple):
    """A published model in this project's words.

    Attributes
    ----------
    family, architecture
        Arguments of `morphobench.models.create`.
    encoder_key, decoder_key
        Names under which the published model keeps its encoder and decoder.
    """

    family: str
    architecture: dict[str, Any]
    encoder_key: str
    decoder_key: str


def _target(section: Mapping[str, Any]) -> str:
    return str(section.get("_target_", "")).rsplit(".", 1)[-1]


def _section(config: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        config = config.get(key)
        if not isinstance(config, Mapping):
            raise InputError(f"its model section lacks {'.'.join(keys)}.")
    return config


def _need(section: Mapping[str, Any], where: str, names: Iterable[str]) -> None:
    if missing := [name for name in names if section.get(name) is None]:
        raise InputError(f"{where} lacks {', '.join(missing)}.")


def _counts(section: Mapping[str, Any], where: str, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return whole numbers under this project's keywords."""
    _need(section, where, keys)
    for name in keys:
        _check_count(f"{where}.{name}", section[name], _MOST_OF.get(keys[name], _MOST))
    return {ours: section[published] for published, ours in keys.items()}


def _check_count(where: str, value: object, most: int) -> None:
    if type(value) is not int or not 1 <= value <= most:
        raise InputError(f"{where} is {value!r}; it must be a whole number from 1 to {most}.")


def _only(section: Mapping[str, Any], where: str, rebuilt: Mapping[str, Any]) -> None:
    """Refuse options whose value, where given, is not the one that this project rebuilds."""
    for name, value in rebuilt.items():
        given = section.get(name, value)
        if given != value:
            raise InputError(f"{where}.{name} is {given!r}; only {value!r} can be rebuilt.")


def _parse_image(config: Mapping[str, Any], _: FilePath | None) -> ModelSection:
    _need(config, "model", ("in_shape", "channels", "strides"))
    channels, strides, size = list(config["channels"]), list(config["strides"]), config["in_shape"][-1]
    if max(len(channels), len(strides)) > _MOST_LEVELS:
        raise InputError(f"model.channels and model.strides have more than {_MOST_LEVELS} levels.")
    for where, value in [("channels", one) for one in channels] + [("strides", one) for one in strides]:
        _check_count(f"model.{where}", value, _MOST // 4)
    _check_count("model.in_shape", size, _MOST_OF["size"])
    plain = {"spatial_dims": 3, "kernel_size": 3, "last_act": None, "act": "relu", "norm": "batch"}
    plain |= {"bias": True, "dropout": None, "mask_input": False, "decoder_strides": strides[-2::-1]}
    _only(config, "model", plain)
    mirrored = channels[:0:-1]
    # The published class appends the last channel to the list it is given, and may log it after that.
    if config.get("decoder_channels") not in (None, mirrored, [*mirrored, 1]):
        raise InputError(f"model.decoder_channels is not {mirrored}, the encoder's mirrored, as it must be.")
    if config.get("group") not in (None, "so3"):
        raise InputError(f"model.group is {config['group']!r}; only so3 and null can be rebuilt.")
    architecture = _counts(config, "model", {"latent_dim": "latent_dim"})
    n_flat = channels[-1] * (1 + size // math.prod(strides)) ** 3
    if n_flat * architecture["latent_dim"] > _MOST_FLAT_WEIGHTS:
        raise InputError("model.strides leave more voxels than a published model has.")
    architecture |= {"size": size, "channels": channels, "strides": strides}
    architecture["num_res_units"] = max(1, config.get("num_res_units") or 1)
    _check_count("model.num_res_units", architecture["num_res_units"], _MOST_LEVELS)
    family = "classical_image"
    if config.get("group"):
        family = "rotation_invariant_image"
        architecture["background"] = config.get("background_value") or 0.0
        architecture["mask_output"] = bool(config.get("mask_output"))
    return ModelSection(family, architecture, "embedding", config.get("x_label") or "image")


def _parse_folding(decoder: Mapping[str, Any], n_columns: int, grid_file: FilePath | None) -> dict[str, Any]:
    architecture = _counts(decoder, "model.decoder", _FOLDING_KEYS)
    _need(decoder, "model.decoder", ("shape",))
    _only(decoder, "model.decoder", {"num_coords": n_columns})
    if decoder["shape"] == "plane":
        _only(decoder, "model.decoder", {"std": folding.EXTENT})
        return architecture | {"grid": "plane"}
    if grid_file is None:
        fault = f"its decoder folds the points of a file ({decoder['shape']}) that no checkpoint contains"
        raise InputError(f"{fault}. Give the published .npy file as grid_file.")
    return architecture | {"grid_file": str(grid_file)}


def _parse_pointcloud(config: Mapping[str, Any], grid_file: FilePath | None) -> ModelSection:
    label = config.get("x_label") or "pcloud"
    encoder, decoder = _section(config, "encoder", label), _section(config, "decoder", label)
    where = f"model.encoder.{label}"
    architecture = _counts(encoder, where, _ENCODER_KEYS)
    _need(encoder, where, ("mode",))
    kind = (_target(encoder), encoder["mode"], _target(decoder), bool(encoder.get("neural_implicit")))
    if (family := _CLOUD_FAMILIES.get(kind)) is None:
        raise InputError(f"encoder, mode, decoder and neural_implicit {kind} are no published combination.")
    intensity = family == "rotation_invariant_pointcloud" and encoder.get("scalar_inds") is not None
    options = {"include_coords": True, "symmetry_breaking_axis": None, "generate_grid_feats": False}
    options |= {"include_cross": True} if encoder["mode"] == "vector" else {}
    # The published option counts columns from 1: intensity is the fourth.
    _only(encoder, where, options | {"scalar_inds": 4 if intensity else None})
    if family == "rotation_invariant_pointcloud":
        _only(config, "model", {"get_rotation": True})
        architecture |= {"intensity": intensity, "variant": "published"}
    if family == "rotation_invariant_pointcloud_sdf":
        architecture |= _counts(decoder, "model.decoder", _IMPLICIT_KEYS)
        _only(decoder, "model.decoder", {"dim": 3, "leaky": False, "c_dim": encoder["num_features"]})
    else:
        architecture |= _parse_folding(decoder, 4 if intensity else 3, grid_file)
    return ModelSection(family, architecture, label, label)


_CLASSES = {"ImageVAE": _parse_image, "PointCloudVAE": _parse_pointcloud}


def parse_section(config: Mapping[str, Any], grid_file: FilePath | None) -> ModelSection:
    """Translate the section `model` of a published yaml; its `_target_` names are looked up, not imported.

    `grid_file` is the .npy file with the points that a decoder folds, where they are no plane.

    Raises
    ------
    InputError
        When the section describes no model that the paper published, naming the key at fault.
    """
    if (name := _target(config)) not in _CLASSES:
        raise InputError(f"its model section has _target_ {name!r}; known: {', '.join(_CLASSES)}.")
    return _CLASSES[name](config, grid_file)


def to_section(family: str, architecture: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the section `model` of a published yaml that stands for a model, plain data.

    None for a model without a published equivalent, such as one with a gaussian prior or with corrected
    intensity layers. For the arguments see `morphobench.models.create`.
    """
    full = _complete(family, architecture)
    if full.get("prior", "identity") != "identity":
        return None
    section = _image_section(family, full) if family.endswith("_image") else _cloud_section(family, full)
    back = parse_section(section, "grid.npy")
    theirs = _complete(back.family, back.architecture)
    # The variant matters with intensity alone.
    free = _EVALUATED_ON if full.get("intensity") else (*_EVALUATED_ON, "variant")
    same = all(theirs[key] == value for key, value in full.items() if key not in free)
    return section if same and back.family == family else None


def _complete(family: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """Return every argument of a family's class, lists as lists."""
    module = importlib.import_module(f"morphobench.models.{family}")
    parameters = inspect.signature(getattr(module, FAMILIES[family])).parameters
    full = {name: parameter.default for name, parameter in parameters.items()} | dict(architecture)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in full.items()}


def _sizes(full: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    return {published: full[ours] for published, ours in keys.items()}


def _image_section(family: str, full: Mapping[str, Any]) -> dict[str, Any]:
    section = {key: full[key] for key in ("latent_dim", "channels", "strides", "num_res_units")}
    section |= {"_target_": _IMAGE, "x_label": "image", "in_shape": [1] + 3 * [full["size"]]}
    section |= {"spatial_dims": 3, "kernel_size": 3, "mask_output": full.get("mask_output", False)}
    section |= {"decoder_channels": full["channels"][:0:-1], "decoder_strides": full["strides"][-2::-1]}
    section["group"] = "so3" if family.startswith("rotation") else None
    return section | {"background_value": full.get("background", 0.0)}


def _cloud_section(family: str, full: Mapping[str, Any]) -> dict[str, Any]:
    vector, intensity = family != "classical_pointcloud", full.get("intensity")
    encoder = {"_target_": _ENCODER, **_sizes(full, _ENCODER_KEYS), "mode": "vector" if vector else "scalar"}
    encoder |= {"include_cross": vector, "include_coords": True, "scalar_inds": 4 if intensity else None}
    if "decoder_hidden" in full:
        encoder["neural_implicit"] = True
        decoder = {"_target_": _IMPLICIT, "dim": 3, "c_dim": full["latent_dim"], "leaky": False}
        decoder |= _sizes(full, _IMPLICIT_KEYS)
    else:
        decoder = {"_target_": _FOLDING, "input_dim": full["latent_dim"], **_sizes(full, _FOLDING_KEYS)}
        decoder |= {"num_coords": 4 if intensity else 3, "std": folding.EXTENT}
        # Whatever is no plane is a file in the published layout.
        decoder["shape"] = "sphere" if _folds_file(full) else "plane"
    posed = family == "rotation_invariant_pointcloud"
    section = {"_target_": _CLOUD, "x_label": "pcloud", "get_rotation": posed}
    return section | {"encoder": {"pcloud": encoder}, "decoder": {"pcloud": decoder}}


def _folds_file(full: Mapping[str, Any]) -> bool:
    return "grid" in full and (full["grid"] != "plane" or full["grid_file"] is not None)


def folded_points(family: str, architecture: Mapping[str, Any]) -> np.ndarray | None:
    """Return the points that a model's decoder folds where they are no plane, shape (n, 3); else None."""
    full = _complete(family, architecture)
    grid = [full.get(key) for key in ("grid", "n_output_points", "grid_file")]
    return folding.make_grid(*grid) if _folds_file(full) else None
