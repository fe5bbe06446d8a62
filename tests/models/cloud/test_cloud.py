"""Point-cloud models: symmetry, awkward input, shortcuts against the literal formulas, published numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from paths import SHARED
from torch import nn
from torch.nn import functional

from morphobench import models
from morphobench.errors import InputError
from morphobench.geometry import rotation
from morphobench.models.classical_pointcloud import ClassicalPointcloud, EdgeConv
from morphobench.models.cloud import graph
from morphobench.models.cloud import vector_neurons as vn
from morphobench.models.cloud.vector_encoder import intensity_vectors
from morphobench.models.rotation_invariant_pointcloud import RotationInvariantPointcloud, VectorEncoder
from morphobench.models.rotation_invariant_pointcloud_sdf import RotationInvariantPointcloudSDF, query_grid

SMALL = {"latent_dim": 32, "hidden_dim": 16, "k": 16, "n_output_points": 100, "folding_hidden": 64}
MODELS = [ClassicalPointcloud, RotationInvariantPointcloud]
BATCHES = [1, 3, 7]
PARITY = SHARED / "parity"


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    torch.manual_seed(11)


def make(family, dtype=torch.float32, **changes):
    torch.manual_seed(11)
    model = family(**{**SMALL, **changes}).to(dtype)
    for norm in (part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return model.eval()


def clouds(batch, n_points=128, dtype=torch.float32):
    rng = np.random.default_rng(batch)
    # Stretched and off the origin, so that no symmetry of the cloud hides one of the model.
    points = rng.normal(size=(batch, n_points, 3)) * [1.0, 1.7, 0.6] + [0.5, 0.0, -0.3]
    return torch.tensor(points, dtype=dtype)


def bright_clouds(batch, n_points=128, dtype=torch.float32):
    """Clouds with an intensity that varies in space."""
    x = clouds(batch, n_points, dtype)
    return torch.cat((x, x[..., :1].sin().square() + 0.2 * x[..., 2:]), dim=-1)


def implicit(dtype=torch.float32, **changes):
    torch.manual_seed(11)
    small = {"latent_dim": 32, "hidden_dim": 16, "k": 16, "decoder_hidden": 24, "grid_size": 5}
    model = RotationInvariantPointcloudSDF(**{**small, **changes}).to(dtype)
    # These start at zero and would hide their layers.
    for name, weight in model.named_parameters():
        if "fc_1" in name:
            nn.init.normal_(weight, std=0.2)
    return model.eval()


def random_rotations(batch, dtype):
    return torch.tensor(rotation.uniform(batch, np.random.default_rng(batch + 100)), dtype=dtype)


def rotate(points, matrices):
    return torch.cat((points[..., :3] @ matrices.transpose(1, 2), points[..., 3:]), dim=-1)


def error(got, wanted):
    return (torch.linalg.vector_norm(got - wanted) / torch.linalg.vector_norm(wanted)).item()


# Symmetry


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("batch", BATCHES)
def test_embedding_ignores_and_pose_and_reconstruction_follow_rotations(batch, dtype, tolerance):
    model, r = make(RotationInvariantPointcloud, dtype), random_rotations(batch, dtype)
    x = clouds(batch, dtype=dtype)
    with torch.no_grad():
        before, after = model.encode_with_pose(x), model.encode_with_pose(rotate(x, r))
        decoded, decoded_rotated = model.reconstruct(x), model.reconstruct(rotate(x, r))
    assert error(after.z, before.z) < tolerance
    # A frame divides by lengths that can be small: a digit more than the embedding.
    assert error(after.pose, r @ before.pose) < 10 * tolerance
    assert error(decoded_rotated, rotate(decoded, r)) < 10 * tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("batch", BATCHES)
def test_uniform_rotations_with_intensity(batch, dtype, tolerance):
    model, r = make(RotationInvariantPointcloud, dtype, intensity=True), random_rotations(batch, dtype)
    x = bright_clouds(batch, dtype=dtype)
    with torch.no_grad():
        before, after = model.encode_with_pose(x), model.encode_with_pose(rotate(x, r))
        decoded, decoded_rotated = model.reconstruct(x), model.reconstruct(rotate(x, r))
    print(f"embedding {error(after.z, before.z):.1e}, pose {error(after.pose, r @ before.pose):.1e}")
    assert error(after.z, before.z) < tolerance
    assert error(after.pose, r @ before.pose) < 10 * tolerance
    assert decoded.shape == (batch, 100, 4)
    assert error(decoded_rotated, rotate(decoded, r)) < 10 * tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("batch", BATCHES)
def test_uniform_rotations_of_the_implicit_model(batch, dtype, tolerance):
    model, r = implicit(dtype), random_rotations(batch, dtype)
    x, queries = clouds(batch, dtype=dtype), clouds(batch, n_points=50, dtype=dtype)
    with torch.no_grad():
        before, after = model.encode_with_pose(x), model.encode_with_pose(rotate(x, r))
        vectors, vectors_rotated = model.vectors(x), model.vectors(rotate(x, r))
        decoded, decoded_rotated = model(x, queries), model(rotate(x, r), rotate(queries, r))
        posed = model.decode_at(rotate(vectors, r), rotate(queries, r))
    print(f"embedding {error(after.z, before.z):.1e}, pose {error(after.pose, r @ before.pose):.1e}")
    assert error(after.z, before.z) < tolerance
    assert error(vectors_rotated, rotate(vectors, r)) < tolerance
    assert error(after.pose, r @ before.pose) < 10 * tolerance
    assert error(decoded_rotated, decoded) < tolerance
    assert error(posed, decoded) < tolerance


@pytest.mark.parametrize("model", ["plain", "intensity", "implicit"])
def test_cube_rotations(model):
    x = bright_clouds(2) if model == "intensity" else clouds(2)
    built = (
        implicit()
        if model == "implicit"
        else make(RotationInvariantPointcloud, intensity=model == "intensity")
    )
    with torch.no_grad():
        before = built.encode_with_pose(x)
        for matrix in torch.tensor(rotation.cube_rotations(), dtype=x.dtype):
            after = built.encode_with_pose(rotate(x, matrix.expand(2, 3, 3)))
            assert error(after.z, before.z) < 1e-5
            assert error(after.pose, matrix @ before.pose) < 1e-4


@pytest.mark.parametrize("batch", BATCHES)
def test_published_intensity_embedding_survives_quarter_turns_alone(batch):
    model = make(RotationInvariantPointcloud, torch.float64, intensity=True, variant="published")
    x, quarter = (
        bright_clouds(batch, dtype=torch.float64),
        torch.tensor(rotation.about_z(90)).expand(batch, 3, 3),
    )
    with torch.no_grad():
        z = model.encode(x)
        assert error(model.encode(rotate(x, quarter)), z) < 1e-10
        assert error(model.encode(rotate(x, random_rotations(batch, x.dtype))), z) > 1e-3


def test_intensity_is_seen_and_scales_unit_vectors():
    x = bright_clouds(2, dtype=torch.float64)
    edges = graph.edge_vectors(x[..., :3], graph.nearest_points(x[..., :3], 16))
    found = intensity_vectors(edges, x[..., 3], "corrected")
    lengths = x[..., 3].abs()[..., None, None] * (edges.norm(dim=-1) > 0)
    torch.testing.assert_close(found.norm(dim=-1), lengths)
    dimmed = torch.cat((x[..., :3], 0.5 * x[..., 3:]), dim=-1)
    model = make(RotationInvariantPointcloud, torch.float64, intensity=True)
    with torch.no_grad():
        assert error(model.encode(dimmed), model.encode(x)) > 1e-3


def test_canonical_vectors_of_the_implicit_model_decode_to_the_shape_in_its_pose():
    model, x = implicit(torch.float64), clouds(3, dtype=torch.float64)
    with torch.no_grad():
        vectors, pose = model.vectors(x), model.pose(x)
        canonical = rotate(vectors, pose.transpose(1, 2))
        found = model.decode(canonical, pose)
        assert found.shape == (3, 1, 5, 5, 5)
        assert error(found, model.reconstruct(x)) < 1e-10
        rotated = rotate(x, random_rotations(3, x.dtype))
        again = rotate(model.vectors(rotated), model.pose(rotated).transpose(1, 2))
        assert error(model.decode(again), model.decode(canonical)) < 1e-8
        corner = model.decode_at(vectors, torch.tensor([[[0.55, -0.55, -0.55]]]).double().expand(3, 1, 3))
        assert error(found[:, 0, 0, 0, -1], corner[:, 0]) < 1e-6


def test_query_grid_is_zyx_with_x_fastest():
    grid = query_grid(3, 0.5)
    assert grid[:4].tolist() == [[-0.5, -0.5, -0.5], [0.0, -0.5, -0.5], [0.5, -0.5, -0.5], [-0.5, 0.0, -0.5]]


@pytest.mark.parametrize("batch", BATCHES)
def test_classical_embedding_depends_on_rotation(batch):
    model, x = make(ClassicalPointcloud), clouds(batch)
    with torch.no_grad():
        assert error(model.encode(rotate(x, random_rotations(batch, x.dtype))), model.encode(x)) > 1e-2


@pytest.mark.parametrize("batch", BATCHES)
def test_pose_is_a_rotation_from_canonical_to_observed(batch):
    model, x = make(RotationInvariantPointcloud, torch.float64), clouds(batch, dtype=torch.float64)
    with torch.no_grad():
        z, pose = model.encode_with_pose(x)
        assert torch.allclose(rotate(model.decode(z), pose), model.decode(z, pose))
        canonical = rotate(x, pose.transpose(1, 2))
        assert torch.allclose(model.pose(canonical), torch.eye(3, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(pose @ pose.transpose(1, 2), torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(torch.linalg.det(pose), torch.ones(batch, dtype=torch.float64))


def test_mirror_image_has_another_embedding():
    model, x = make(RotationInvariantPointcloud, torch.float64), clouds(3, dtype=torch.float64)
    with torch.no_grad():
        assert error(model.encode(x * torch.tensor([1.0, 1.0, -1.0])), model.encode(x)) > 1e-4


def test_classical_model_has_no_pose():
    model, x = make(ClassicalPointcloud), clouds(3)
    with torch.no_grad():
        assert model.encode_with_pose(x).pose is None
        assert torch.equal(model.pose(x), torch.eye(3).expand(3, 3, 3))


@pytest.mark.parametrize("family", MODELS)
def test_order_of_points_does_not_matter(family):
    model, x = make(family, torch.float64), clouds(3, dtype=torch.float64)
    order = torch.from_numpy(np.random.default_rng(0).permutation(x.shape[1]))
    with torch.no_grad():
        assert error(model.encode(x[:, order]), model.encode(x)) < 1e-10


@pytest.mark.parametrize("family", MODELS)
def test_a_sample_does_not_depend_on_its_batch(family):
    model, x = make(family, torch.float64), clouds(3, dtype=torch.float64)
    with torch.no_grad():
        alone = torch.cat([model.reconstruct(sample.unsqueeze(0)) for sample in x])
        assert error(model.reconstruct(x), alone) < 1e-10


# Awkward clouds


def awkward(kind):
    x = clouds(2)
    if kind == "origin":
        x[:, 0] = 0
    elif kind == "duplicates":
        x[:, 40:] = x[:, :1]
    elif kind == "one place":
        x[:] = 0.7
    elif kind == "nothing but the origin":
        x[:] = 0
    elif kind == "line":
        x[:] = x[..., :1]
    return x


@pytest.mark.parametrize("kind", ["origin", "duplicates", "one place", "nothing but the origin", "line"])
@pytest.mark.parametrize("family", MODELS)
def test_awkward_clouds_give_finite_results_and_gradients(family, kind):
    model, x = make(family).train(), awkward(kind).requires_grad_()
    out = model(x)
    out.square().mean().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def _plane(x):
    return x * torch.tensor([1.0, 1.0, 0.0])


@pytest.mark.parametrize(
    "kind", ["origin", "duplicates", "one place", "nothing but the origin", "line", "plane"]
)
@pytest.mark.parametrize("variant", ["corrected", "published", "implicit"])
def test_awkward_clouds_with_intensity_or_implicit(variant, kind):
    x = _plane(clouds(2)) if kind == "plane" else awkward(kind)
    if variant == "implicit":
        model = implicit().train()
    else:
        x = torch.cat((x, torch.ones_like(x[..., :1])), dim=-1)
        model = make(RotationInvariantPointcloud, intensity=True, variant=variant).train()
    x.requires_grad_()
    out, pose = model(x), model.pose(x)
    out.square().mean().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    torch.testing.assert_close(pose @ pose.mT, torch.eye(3).expand(2, 3, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["duplicates", "line", "plane"])
def test_corrected_intensity_embedding_of_awkward_clouds_still_ignores_rotations(kind):
    x = (_plane(clouds(2)) if kind == "plane" else awkward(kind)).double()
    x = torch.cat((x, x[..., :1].cos()), dim=-1)
    model = make(RotationInvariantPointcloud, torch.float64, intensity=True)
    with torch.no_grad():
        assert error(model.encode(rotate(x, random_rotations(2, x.dtype))), model.encode(x)) < 1e-10


@pytest.mark.parametrize("kind", ["one place", "nothing but the origin", "line"])
def test_pose_is_a_rotation_even_where_none_is_defined(kind):
    with torch.no_grad():
        pose = make(RotationInvariantPointcloud).pose(awkward(kind))
    assert torch.allclose(pose @ pose.transpose(1, 2), torch.eye(3).expand(2, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(pose), torch.ones(2), atol=1e-5)


def test_every_parameter_of_the_explicit_models_learns():
    for family in MODELS:
        model = make(family).train()
        model(clouds(3)).sin().sum().backward()
        assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


BAD = {
    "fewer": (clouds(2, n_points=10), "10 points"),
    "columns": (torch.zeros(2, 128, 4), r"\(2, 128, 4\)"),
    "cloud alone": (torch.zeros(128, 3), r"\(128, 3\)"),
    "empty": (torch.zeros(0, 128, 3), "empty"),
    "nan": (torch.cat((clouds(1), clouds(1) * torch.nan)), "the first at row 1"),
    "infinite": (clouds(1) / 0, "infinite"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("family", MODELS)
def test_bad_batches_are_refused_with_a_reason(family, name):
    x, reason = BAD[name]
    with pytest.raises(InputError, match=reason):
        make(family).encode(x)


@pytest.mark.parametrize("name", BAD)
def test_bad_batches_of_the_implicit_model(name):
    x, reason = BAD[name]
    with pytest.raises(InputError, match=reason):
        implicit().encode(x)


BAD_BRIGHT = {
    "fewer": (bright_clouds(2, n_points=10), "10 points"),
    "columns": (clouds(2), r"\(2, 128, 3\).* 4\), columns x, y, z, intensity"),
    "empty": (torch.zeros(0, 128, 4), "empty"),
    "nan intensity": (bright_clouds(2) * torch.tensor([1.0, 1.0, 1.0, torch.nan]), "2 of 2 clouds hold NaN"),
}


@pytest.mark.parametrize("name", BAD_BRIGHT)
def test_bad_batches_with_intensity(name):
    x, reason = BAD_BRIGHT[name]
    with pytest.raises(InputError, match=reason):
        make(RotationInvariantPointcloud, intensity=True).encode(x)


@pytest.mark.parametrize(
    ("vectors", "queries", "reason"),
    [
        (torch.zeros(2, 32), torch.zeros(2, 9, 3), "do not hold a shape"),
        (torch.zeros(2, 31, 3), torch.zeros(2, 9, 3), r"\(batch, 32, 3\)"),
        (torch.zeros(2, 32, 3), torch.zeros(3, 9, 3), r"need \(2, n_queries, 3\)"),
        (torch.zeros(2, 32, 3), torch.full((2, 9, 3), torch.nan), "query points hold NaN"),
    ],
)
def test_embeddings_and_queries_that_do_not_fit_are_refused(vectors, queries, reason):
    with pytest.raises(InputError, match=reason):
        implicit().decode_at(vectors, queries)


def test_lengths_are_no_shape():
    with pytest.raises(InputError, match="do not hold a shape"):
        implicit().decode(torch.zeros(2, 32))


def test_every_parameter_of_the_implicit_model_learns():
    model = implicit().train()
    model(clouds(3), clouds(3, n_points=20)).sin().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: make(RotationInvariantPointcloud, variant="corect"), "variant = 'corect'"),
        (lambda: implicit(latent_dim=1), "latent_dim = 1"),
        (lambda: implicit(grid_size=1), "grid_size = 1"),
    ],
)
def test_bad_arguments_are_refused(build, reason):
    with pytest.raises(InputError, match=reason):
        build()


def test_too_short_an_embedding_is_refused():
    with pytest.raises(InputError, match="latent_dim = 3"):
        RotationInvariantPointcloud(latent_dim=3)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_graph_is_the_brute_force_one_wherever_the_cloud_lies(offset):
    x = clouds(3) + offset
    distances = (x.double().unsqueeze(2) - x.double().unsqueeze(1)).square().sum(-1)
    wanted = distances.argsort(-1)[..., :16].sort(-1).values
    assert torch.equal(graph.nearest_points(x, 16).sort(-1).values, wanted)
    assert torch.equal(graph.nearest_features(x, 16).sort(-1).values, wanted)


def test_edge_vectors_are_offset_cross_product_and_centre():
    x = clouds(2, dtype=torch.float64)
    neighbours = graph.nearest_points(x, 16)
    offset, normal, centre = graph.edge_vectors(x, neighbours)[1, 7, 4]
    other = x[1, neighbours[1, 7, 4]]
    assert torch.equal(centre, x[1, 7])
    assert torch.allclose(offset, other - x[1, 7])
    assert torch.allclose(normal, torch.tensor(np.cross(other, x[1, 7])))


def literal_bend(x, d, slope):
    """Published rule, for tensors (..., 3 xyz, channels) one channel vector at a time."""
    p = (x * d).sum(-2, keepdim=True)
    reflected = x - p / ((d * d).sum(-2, keepdim=True) + 1e-12) * d
    return slope * x + (1 - slope) * torch.where(p >= 0, x, reflected)


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_edge_mean_is_the_mean_of_the_layer_over_edges(slope):
    layer = vn.VectorLinearLeakyReLU(3, 8, slope)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        layer, x = layer.to(dtype), clouds(3, dtype=dtype)
        edges = graph.edge_vectors(x, graph.nearest_points(x, 16)).transpose(-1, -2)
        feature = edges @ layer.map_to_feat.linear.weight.T
        direction = edges @ layer.map_to_dir.linear.weight.T
        wanted = literal_bend(feature, direction, slope).mean(2).transpose(1, 2)
        assert error(layer.edge_mean(edges.transpose(-1, -2)), wanted) < tolerance
        assert error(layer(edges.permute(0, 3, 1, 2, 4)).mean(3), wanted) < tolerance


def test_edge_mean_never_lengthens_a_vector_even_where_directions_cancel():
    layer, offsets = vn.VectorLinearLeakyReLU(3, 64, 0.0), clouds(1)
    with torch.no_grad():
        weight = layer.map_to_dir.linear.weight
        weight[:, 2] = weight[:, 0] * (1 + torch.linspace(-1e-4, 1e-4, 64))
    edge = torch.stack((offsets, torch.zeros_like(offsets), -offsets), dim=-2)
    got = layer.edge_mean(edge.unsqueeze(2).expand(-1, -1, 16, -1, -1))
    straight = torch.einsum("cm,bnma->banc", layer.map_to_feat.linear.weight, edge)
    assert (got.norm(dim=1) <= straight.norm(dim=1) * (1 + 1e-3)).all()


def literal_edge_conv(layer, features, neighbours):
    centre = features.unsqueeze(2).expand(-1, -1, neighbours.shape[2], -1)
    edges = torch.cat((graph.gather_neighbours(features, neighbours) - centre, centre), -1)
    convolution, norm = layer
    return functional.leaky_relu(norm(convolution(edges.permute(0, 3, 1, 2))), 0.2).amax(-1).transpose(1, 2)


@pytest.mark.parametrize("training", [False, True])
def test_edge_convolution_is_the_published_one(training):
    def layer():
        torch.manual_seed(3)
        made = EdgeConv(3, 8).double()
        nn.init.normal_(made[1].weight)
        return made.train(training)

    x = clouds(3, dtype=torch.float64)
    neighbours = graph.nearest_points(x, 16)
    fast, literal = layer(), layer()
    assert (fast[1].weight < 0).any()
    assert (fast[1].weight > 0).any()
    got, wanted = fast(x, neighbours), literal_edge_conv(literal, x, neighbours)
    assert error(got, wanted) < 1e-12
    got.sin().sum().backward()
    wanted.sin().sum().backward()
    for (name, one), other in zip(fast.named_parameters(), literal.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-10), name
    for name, buffer in fast.named_buffers():
        assert torch.allclose(buffer, literal.get_buffer(name)), name


# Layout


@pytest.mark.parametrize(
    ("family", "grid", "n_parameters", "n_points"),
    [
        (ClassicalPointcloud, "plane", 1_673_350, 2025),
        (ClassicalPointcloud, "sphere", 1_673_862, 2048),
        (RotationInvariantPointcloud, "sphere", 1_835_526, 2048),
    ],
)
def test_published_widths_are_the_defaults(family, grid, n_parameters, n_points):
    model = family(grid=grid)
    assert sum(p.numel() for p in model.parameters()) == n_parameters
    assert not any("grid" in key for key in model.state_dict())
    with torch.no_grad():
        assert model.decode(torch.zeros(1, 256)).shape == (1, n_points, 3)


# Published numbers


def bundle(name):
    path = PARITY / f"{name}.pt"
    if not path.exists():
        pytest.skip(f"published outputs are not here: {name}.pt")
    return torch.load(path, weights_only=True)


def part(state, prefix):
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def test_classical_model_reproduces_published_outputs():
    published = bundle("pcna_pc_classical")
    settings = published["config"]["encoder"]["pcloud"]
    model = ClassicalPointcloud(
        latent_dim=settings["num_features"], hidden_dim=settings["hidden_dim"], k=settings["k"], grid="plane"
    )
    model.load_state_dict(published["state_dict"], strict=True)
    model.eval()
    with torch.no_grad():
        z = model.encode(published["input"]["pcloud"])
        assert error(z, published["embedding"]) < 1e-5
        assert error(model.decode(z), published["reconstruction"]) < 1e-5


def test_vector_encoder_reproduces_published_vectors():
    published = bundle("implicit_narrow")
    encoder, x = VectorEncoder(64, 24, 20, intensity=False, variant="corrected"), published["input"]["pcloud"]
    encoder.load_state_dict(part(published["state_dict"], "encoder.pcloud."), strict=True)
    with torch.no_grad():
        vectors = encoder.vectors(graph.edge_vectors(x, graph.nearest_points(x, 20)))
    assert error(vectors.transpose(1, 2), published["embedding"]) < 1e-5


def test_recomputing_large_batches_changes_no_gradient(monkeypatch):
    torch.manual_seed(0)
    model = models.create("rotation_invariant_pointcloud", latent_dim=8, hidden_dim=4, k=6, folding_hidden=16)
    x = torch.randn(2, 64, 3)
    gradients = []
    for limit in (1, 2**30):
        monkeypatch.setattr("morphobench.models.cloud.vector_encoder._MANY_POINTS", limit)
        model.zero_grad()
        model(x).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for recomputed, kept in zip(*gradients, strict=True):
        assert torch.equal(recomputed, kept)
