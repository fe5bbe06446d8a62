"""What the `model:` section of a published run means in this project's families and keywords."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from morphobench.errors import InputError
from morphobench.models.cloud.folding import EXTENT


class Described(NamedTuple):
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
    missing = [name for name in names if section.get(name) is None]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}.")


def _need_counts(section: Mapping[str, Any], where: str, names: Iterable[str]) -> None:
    _need(section, where, names)
    for name in names:
        if type(section[name]) is not int or section[name] < 1:
            raise InputError(f"{where}.{name} is {section[name]!r}; it must be a whole number above 0.")


def _only(section: Mapping[str, Any], where: str, rebuilt: Mapping[str, Any]) -> None:
    """Refuse options whose value, where given, is not the one that this project rebuilds."""
    for name, value in rebuilt.items():
        given = section.get(name, value)
        if given != value:
            raise InputError(f"{where}.{name} is {given!r}; only {value!r} can be rebuilt.")


def _image(config: Mapping[str, Any], _: str | Path | None) -> Described:
    _need_counts(config, "model", ("latent_dim",))
    _need(config, "model", ("in_shape", "channels", "strides"))
    channels, strides = list(config["channels"]), list(config["strides"])
    plain = {"spatial_dims": 3, "kernel_size": 3, "last_act": None, "act": "relu", "norm": "batch"}
    _only(config, "model", plain | {"bias": True, "dropout": None, "mask_input": False})
    _only(config, "model", {"decoder_strides": strides[-2::-1]})
    mirrored = channels[:0:-1]
    # The published class appends the last channel to the list it is given, and may log it after that.
    if config.get("decoder_channels") not in (None, mirrored, [*mirrored, 1]):
        raise InputError(f"model.decoder_channels is not {mirrored}, the encoder's mirrored, as it must be.")
    if config.get("group") not in (None, "so3"):
        raise InputError(f"model.group is {config['group']!r}; only so3 and null can be rebuilt.")
    architecture = {
        "size": config["in_shape"][-1],
        "latent_dim": config["latent_dim"],
        "channels": channels,
        "strides": strides,
        "num_res_units": max(1, config.get("num_res_units") or 1),
    }
    family = "classical_image"
    if config.get("group"):
        family = "rotation_invariant_image"
        architecture["background"] = config.get("background_value") or 0.0
        architecture["mask_output"] = bool(config.get("mask_output"))
    return Described(family, architecture, "embedding", config.get("x_label") or "image")


def _folding(decoder: Mapping[str, Any], n_columns: int, grid_file: str | Path | None) -> dict[str, Any]:
    _need_counts(decoder, "model.decoder", ("hidden_dim", "num_output_points"))
    _need(decoder, "model.decoder", ("shape",))
    _only(decoder, "model.decoder", {"num_coords": n_columns})
    architecture = {
        "folding_hidden": decoder["hidden_dim"],
        "n_output_points": decoder["num_output_points"],
    }
    if decoder["shape"] == "plane":
        _only(decoder, "model.decoder", {"std": EXTENT})
        return architecture | {"grid": "plane"}
    if grid_file is None:
        raise InputError(
            f"its decoder folds the points of a file ({decoder['shape']}) that no checkpoint contains. "
            "Give the published .npy file as grid_file."
        )
    return architecture | {"grid_file": str(grid_file)}


def _pointcloud(config: Mapping[str, Any], grid_file: str | Path | None) -> Described:
    label = config.get("x_label") or "pcloud"
    encoder, decoder = _section(config, "encoder", label), _section(config, "decoder", label)
    where = f"model.encoder.{label}"
    _need_counts(encoder, where, ("num_features", "hidden_dim", "k"))
    _need(encoder, where, ("mode",))
    options = {"include_coords": True, "symmetry_breaking_axis": None, "generate_grid_feats": False}
    _only(encoder, where, options)
    architecture = {"latent_dim": encoder["num_features"]} | {
        key: encoder[key] for key in ("hidden_dim", "k")
    }
    kind = (_target(encoder), encoder["mode"], _target(decoder), bool(encoder.get("neural_implicit")))
    if kind == ("DGCNN", "scalar", "FoldingNet", False):
        _only(encoder, where, {"scalar_inds": None})
        return Described("classical_pointcloud", architecture | _folding(decoder, 3, grid_file), label, label)
    if kind == ("DGCNN", "vector", "DecoderInner", True):
        _only(encoder, where, {"scalar_inds": None, "include_cross": True})
        _need_counts(decoder, "model.decoder", ("hidden_size",))
        _only(decoder, "model.decoder", {"dim": 3, "leaky": False, "c_dim": encoder["num_features"]})
        architecture["decoder_hidden"] = decoder["hidden_size"]
        return Described("rotation_invariant_pointcloud_sdf", architecture, label, label)
    if kind == ("DGCNN", "vector", "FoldingNet", False):
        return _vector_neurons(config, architecture, label, grid_file)
    raise InputError(f"encoder, mode, decoder and neural_implicit {kind} are no published combination.")


def _vector_neurons(
    config: Mapping[str, Any], architecture: dict[str, Any], label: str, grid_file: str | Path | None
) -> Described:
    encoder, decoder = config["encoder"][label], config["decoder"][label]
    where = f"model.encoder.{label}"
    _only(encoder, where, {"include_cross": True})
    _only(config, "model", {"get_rotation": True})
    intensity = encoder.get("scalar_inds") is not None
    if intensity:
        # The published option counts columns from 1: intensity is the fourth.
        _only(encoder, where, {"scalar_inds": 4})
    folded = _folding(decoder, 4 if intensity else 3, grid_file)
    family = "rotation_invariant_pointcloud"
    more = {"intensity": intensity, "variant": "published"}
    return Described(family, architecture | folded | more, label, label)


_CLASSES = {"ImageVAE": _image, "PointCloudVAE": _pointcloud}


def describe(config: Mapping[str, Any], grid_file: str | Path | None) -> Described:
    """Translate the `model:` section of a published run.

    Parameters
    ----------
    config
        The section, plain data. Its `_target_` names are looked up in a table; nothing is imported.
    grid_file
        The .npy file with the points that a decoder folds, when they are no plane.

    Raises
    ------
    InputError
        When the section describes no model that the paper published, naming the key at fault.
    """
    name = _target(config)
    if name not in _CLASSES:
        raise InputError(f"its model section has _target_ {name!r}; known: {', '.join(_CLASSES)}.")
    return _CLASSES[name](config, grid_file)
