"""Published checkpoints: the published numbers from the published weights, and clear refusals."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
import yaml
from fabricate.malice import Malice
from paths import SHARED

from morphobench import models
from morphobench.errors import InputError
from morphobench.models.rotation_invariant_image import pose_from_vectors
from morphobench.models.rotation_invariant_pointcloud_sdf import RotationInvariantPointcloudSDF
from morphobench.published import weights
from morphobench.published.model_config import parse_section

CLOUDS = ["pcna_pc_classical", "pcna_pc_equiv", "implicit_narrow"]
IMAGES = ["image_classical_sdf_35_narrow", "image_so3_sdf_35_narrow"]


def bundle(name):
    path = SHARED / "parity" / f"{name}.pt"
    if not path.exists():
        pytest.skip("the parity bundles are not beside this checkout")
    return torch.load(path, weights_only=True)


def write(folder, state, config, **more):
    """A Lightning checkpoint with its sibling yaml, as published."""
    checkpoint, config_yaml = folder / "epoch_1.ckpt", folder / "epoch_1.yaml"
    content = {"epoch": 1, "global_step": 7, "pytorch-lightning_version": "2.0.9", "state_dict": state}
    torch.save({**content, "optimizer_states": [], "hyper_parameters": config, **more}, checkpoint)
    config_yaml.write_text(yaml.safe_dump({"model": config, "task_name": "train", "seed": 42}))
    return checkpoint, config_yaml


def loaded(folder, name):
    stored = bundle(name)
    return weights.load_published(*write(folder, stored["state_dict"], stored["config"])), stored


def error(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


# Published numbers


@pytest.mark.parametrize("name", ["pcna_pc_classical", "pcna_pc_equiv"])
def test_explicit_clouds(name, tmp_path):
    model, stored = loaded(tmp_path, name)
    x = stored["input"]["pcloud"]
    with torch.no_grad():
        z, pose = model.encode_with_pose(x)
        canonical, reconstruction = model.decode(z), model.reconstruct(x)
    assert not model.training
    assert error(z, stored["embedding"]) < 1e-4
    assert error(canonical, stored["canonical"]) < 1e-4
    assert error(reconstruction, stored["reconstruction"]) < 1e-4
    if pose is not None:
        assert error(pose.mT, stored["z_params"]["rotation"]) < 1e-4


def test_implicit_cloud(tmp_path):
    model, stored = loaded(tmp_path, "implicit_narrow")
    x, queries = stored["input"]["pcloud"], stored["input"]["points"]
    with torch.no_grad():
        vectors, z = model.vectors(x), model.encode(x)
        distances = model.reconstruct(x, queries)
        assert error(model.decode_at(stored["embedding"], queries), stored["reconstruction"]) < 1e-4
    assert error(vectors, stored["embedding"]) < 1e-4
    assert error(z, stored["embedding"].norm(dim=-1)) < 1e-4
    assert error(distances, stored["reconstruction"]) < 1e-4


@pytest.mark.parametrize("name", IMAGES)
def test_images(name, tmp_path):
    model, stored = loaded(tmp_path, name)
    x = stored["input"]["image"]
    with torch.no_grad():
        z, pose = model.encode_with_pose(x)
        assert error(z, stored["embedding"]) < 1e-4
        assert error(model.decode(z), stored["canonical"]) < 1e-4
        if pose is None:
            assert error(model.reconstruct(x), stored["reconstruction"]) < 1e-4
            return
        # From the published frame, whose y and z axes run against ours.
        vectors = stored["z_params"]["pose"] * torch.tensor([1.0, -1.0, -1.0])
        assert error(model.decode(z, pose_from_vectors(vectors)), stored["reconstruction"]) < 1e-4
        # The bundle's two vectors are nearly parallel (cosine 0.9999), so its pose magnifies the rounding of
        # float32: the published run itself is 8e-4 away from the same model in float64.
        assert error(model.reconstruct(x), stored["reconstruction"]) < 5e-3


def test_published_intensity_layers_are_not_the_corrected_ones(tmp_path):
    model, stored = loaded(tmp_path, "pcna_pc_equiv")
    x = stored["input"]["pcloud"][:1]
    architecture = parse_section(stored["config"], None).architecture | {"variant": "corrected"}
    corrected = models.create("rotation_invariant_pointcloud", **architecture).eval()
    corrected.load_state_dict(model.state_dict())
    turn = torch.tensor([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = {
        key: torch.cat((x[..., :3] @ r.T, x[..., 3:]), -1) for key, r in [("any", turn), ("quarter", quarter)]
    }
    with torch.no_grad():
        assert error(model.encode(turned["any"]), model.encode(x)) > 1e-2
        assert error(model.encode(turned["quarter"]), model.encode(x)) < 1e-5
        assert error(corrected.encode(turned["any"]), corrected.encode(x)) < 2e-5
        assert error(corrected.encode(x), model.encode(x)) > 1e-2


def test_checkpoints_written_in_eval_mode_hold_filters_that_are_ignored(tmp_path):
    stored = bundle(IMAGES[1])
    state = stored["state_dict"]
    stems = [key.removesuffix("bias_expansion") for key in state if key.endswith("bias_expansion")]
    more = {stem + name: torch.zeros(1) for stem in stems for name in ("filter", "expanded_bias")}
    model = weights.load_published(*write(tmp_path, state | more, stored["config"]))
    assert sum(p.numel() for p in model.parameters()) == stored["n_trainable"]


# Keys at the published widths


def encoder_section(mode, k=20, **more):
    section = {"_target_": "cyto_dl.nn.point_cloud.DGCNN", "num_features": 256, "hidden_dim": 64, "k": k}
    return section | {"mode": mode, "include_cross": mode == "vector", "include_coords": True} | more


def cloud_config(mode, shape, intensity=False):
    folding = {"_target_": "cyto_dl.nn.point_cloud.FoldingNet", "input_dim": 256, "hidden_dim": 512}
    folding |= {"num_output_points": 2048, "std": 0.3, "shape": shape, "num_coords": 4 if intensity else 3}
    return {
        "_target_": "cyto_dl.models.vae.PointCloudVAE",
        "x_label": "pcloud",
        "encoder": {"pcloud": encoder_section(mode, scalar_inds=4 if intensity else None)},
        "decoder": {"pcloud": folding},
        "get_rotation": mode == "vector",
    }


def implicit_config():
    inner = {"_target_": "pointcloudutils.networks.DecoderInner", "dim": 3, "c_dim": 512, "hidden_size": 342}
    encoder = encoder_section("vector", num_features=512, hidden_dim=342, neural_implicit=True)
    config = cloud_config("vector", "plane") | {"get_rotation": False}
    return config | {"encoder": {"pcloud": encoder}, "decoder": {"pcloud": inner | {"leaky": False}}}


def image_config(size, latent_dim, n_units, group=None, x_label="image"):
    return {
        "_target_": "cyto_dl.models.vae.ImageVAE",
        "latent_dim": latent_dim,
        "in_shape": [1, size, size, size],
        "channels": [8, 16, 32, 64, 128, 256, 512],
        "strides": [1, 1, 2, 2, 2, 2, 2],
        "num_res_units": n_units,
        "decoder_channels": [512, 256, 128, 64, 32, 16, 1],
        "decoder_strides": [2, 2, 2, 2, 1, 1],
        "x_label": x_label,
        "group": group,
    }


LISTED = {
    "cellpack_pc_classical": cloud_config("scalar", "sphere"),
    "cellpack_pc_so3": cloud_config("vector", "sphere"),
    "pcna_pc_classical": cloud_config("scalar", "plane"),
    "pcna_pc_equiv": cloud_config("vector", "plane", intensity=True),
    "other_punctate_pc_so3": cloud_config("vector", "plane", intensity=True),
    "npm1_pc_implicit": implicit_config(),
    "image_classical_118": image_config(118, 256, 1, x_label="pcloud"),
    "image_so3_118": image_config(118, 256, 1, "so3", x_label="pcloud") | {"mask_output": True},
    "image_classical_seg_35": image_config(35, 512, 2),
    "image_classical_sdf_35": image_config(35, 512, 2) | {"background_value": 2},
    "image_so3_seg_35": image_config(35, 512, 2, "so3"),
    "image_so3_sdf_35": image_config(35, 512, 2, "so3") | {"background_value": 2},
}


def listed_state(name):
    path = SHARED / "spec" / "state_dict" / f"state_dict_{name}.txt"
    if not path.exists():
        pytest.skip("the published key listings are not beside this checkout")
    rows = [
        line.split("\t") for line in path.read_text().split("# section 2")[0].splitlines() if "\t" in line
    ]
    return {
        key: torch.empty([int(n) for n in shape.strip("()").split(",") if n.strip()], device="meta")
        for key, shape, _ in rows
    }


@pytest.mark.parametrize("name", LISTED)
def test_published_widths_have_exactly_the_listed_tensors(name, tmp_path):
    grid_file = tmp_path / "sphere.npy"
    np.save(grid_file, np.full((2025, 3), 0.1))
    described = parse_section(LISTED[name], grid_file)
    state = weights.translate_keys(listed_state(name), described)
    with torch.device("meta"):
        wanted = models.create(described.family, **described.architecture).state_dict()
    report = weights.compare_keys(state, wanted)
    assert report[1:] == ([], [], [])
    assert set(report.matched) == set(wanted)


def test_all_listings_are_tried():
    listings = SHARED / "spec" / "state_dict"
    if not listings.exists():
        pytest.skip("the published key listings are not beside this checkout")
    assert {path.stem.removeprefix("state_dict_") for path in listings.glob("*.txt")} == set(LISTED)


# Bad input, on small models of our own under published names


def small_config():
    config = cloud_config("vector", "plane")
    config["encoder"]["pcloud"] |= {"num_features": 8, "hidden_dim": 4, "k": 4}
    config["decoder"]["pcloud"] |= {"hidden_dim": 16, "num_output_points": 9}
    return config


@pytest.fixture
def small(tmp_path):
    config = small_config()
    described = parse_section(config, None)
    state = models.create(described.family, **described.architecture).state_dict()
    return state, config, tmp_path


def test_weights_arrive(small):
    state, config, folder = small
    model = weights.load_published(*write(folder, state, config))
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert model.encoder["pcloud"].variant == "published"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda s: s.pop("encoder.pcloud.convs.1.0.linear.weight"),
            r"1 missing: encoder\.pcloud\.convs\.1\.0",
        ),
        (lambda s: s.update({"backbone.w": torch.zeros(1)}), r"1 unexpected: backbone\.w"),
        (
            lambda s: s.update({"decoder.pcloud.project.weight": torch.zeros(16, 9)}),
            r"1 of another shape: decoder\.pcloud\.project\.weight \(\(16, 9\), not \(16, 8\)\)",
        ),
        (lambda s: s.update({"decoder.pcloud.project.weight": 3.0}), r"project\.weight is no tensor"),
    ],
)
def test_tensors_that_do_not_fit_are_named(small, change, named):
    state, config, folder = small
    state = dict(state)
    change(state)
    with pytest.raises(InputError, match=named):
        weights.load_published(*write(folder, state, config))


def test_checkpoint_of_another_family_is_refused(small):
    state, _, folder = small
    config = image_config(9, 8, 1) | {"channels": [2, 3], "strides": [1, 2]}
    config |= {"decoder_channels": [3], "decoder_strides": [1]}
    with pytest.raises(
        InputError, match=r"weights of classical_image .* 0 tensors match, .* missing: encoder"
    ):
        weights.load_published(*write(folder, state, config))


def test_a_file_cut_short_is_refused(small):
    checkpoint, config_yaml = write(small[2], *small[:2])
    whole = checkpoint.read_bytes()
    for n_bytes in np.linspace(0, len(whole) - 1, 15).astype(int):
        checkpoint.write_bytes(whole[:n_bytes])
        with pytest.raises(InputError, match=r"epoch_1\.ckpt"):
            weights.load_published(checkpoint, config_yaml)


@pytest.mark.parametrize("place", ["state_dict", "hyper_parameters", "raw pickle"])
def test_nothing_in_a_checkpoint_is_executed(small, place):
    state, config, folder = small
    mark = folder / "executed"
    more = {} if place == "raw pickle" else {place: {"a": Malice(mark)}}
    checkpoint, config_yaml = write(folder, state, config, **more)
    if place == "raw pickle":
        checkpoint.write_bytes(pickle.dumps({"state_dict": Malice(mark)}))
    with pytest.raises(InputError, match=r"epoch_1\.ckpt was not loaded: it is damaged, or holds more"):
        weights.load_published(checkpoint, config_yaml)
    assert not mark.exists()


def test_nothing_in_a_yaml_is_executed(small):
    checkpoint, config_yaml = write(small[2], *small[:2])
    config_yaml.write_text(f"model: !!python/object/apply:pathlib.Path.touch [{small[2] / 'executed'}]")
    with pytest.raises(InputError, match=r"epoch_1\.yaml could not be read"):
        weights.load_published(checkpoint, config_yaml)


@pytest.mark.parametrize("content", [[], {"epoch": 3}, {"state_dict": 3}])
def test_a_file_without_weights_is_refused(small, content):
    checkpoint, config_yaml = write(small[2], *small[:2])
    stream = io.BytesIO()
    torch.save(content, stream)
    checkpoint.write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="no Lightning checkpoint"):
        weights.load_published(checkpoint, config_yaml)


def test_missing_files_are_named(small):
    checkpoint, config_yaml = write(small[2], *small[:2])
    with pytest.raises(InputError, match=r"gone\.ckpt"):
        weights.load_published(small[2] / "gone.ckpt", config_yaml)
    with pytest.raises(InputError, match=r"gone\.yaml"):
        weights.load_published(checkpoint, small[2] / "gone.yaml")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (["_target_"], "os.system", "_target_ 'system'"),
        (["encoder"], None, r"lacks encoder\.pcloud"),
        (["encoder", "pcloud", "k"], None, r"encoder\.pcloud lacks k"),
        (["encoder", "pcloud", "k"], "many", "k is 'many'; it must be a whole number"),
        (["encoder", "pcloud", "mode"], "tensor", "no published combination"),
        (["encoder", "pcloud", "include_cross"], False, r"include_cross is False; only True"),
        (["encoder", "pcloud", "scalar_inds"], 5, "scalar_inds is 5; only 4"),
        (["decoder", "pcloud", "num_coords"], 4, "num_coords is 4; only 3"),
        (["decoder", "pcloud", "shape"], "sphere", "grid_file"),
        (["decoder", "pcloud", "hidden_dim"], -3, "hidden_dim is -3"),
        (["get_rotation"], False, "get_rotation is False; only True"),
    ],
)
def test_configurations_that_cannot_be_rebuilt_are_named(small, path, value, named):
    state, config, folder = small
    config = copy.deepcopy(config)
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(InputError, match=rf"epoch_1\.yaml.*{named}"):
        weights.load_published(*write(folder, state, config))


def test_yaml_without_a_model_is_refused(small):
    checkpoint, config_yaml = write(small[2], *small[:2])
    for text in ("seed: 3", "[1, 2]", "model: 3", "a: [", ""):
        config_yaml.write_text(text)
        with pytest.raises(InputError, match=r"epoch_1\.yaml"):
            weights.load_published(checkpoint, config_yaml)


def test_sphere_models_fold_the_points_of_the_given_file(small):
    _, config, folder = small
    config["decoder"]["pcloud"]["shape"] = "sphere"
    grid = np.random.default_rng(0).normal(size=(11, 3))
    np.save(folder / "grid.npy", grid)
    described = parse_section(config, folder / "grid.npy")
    state = models.create(described.family, **described.architecture).state_dict()
    model = weights.load_published(*write(folder, state, config), grid_file=folder / "grid.npy")
    torch.testing.assert_close(model.decoder["pcloud"].grid, torch.tensor(grid, dtype=torch.float32))
    with pytest.raises(InputError, match=r"gone\.npy"):
        weights.load_published(*write(folder, state, config), grid_file=folder / "gone.npy")


def test_unused_parameters_of_the_implicit_model_are_not_kept(tmp_path):
    model, stored = loaded(tmp_path, "implicit_narrow")
    unused = sum(
        value.numel()
        for key, value in stored["state_dict"].items()
        if ".rotation." in key or ".embedding_head." in key
    )
    assert isinstance(model, RotationInvariantPointcloudSDF)
    assert sum(p.numel() for p in model.parameters()) == stored["n_params"] - unused
