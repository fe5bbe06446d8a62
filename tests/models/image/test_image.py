"""The image models: symmetry of the layers, agreement with the published system, refusal of bad input."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from paths import SHARED
from torch.nn import functional as F  # noqa: N812

from morphobench.errors import InputError
from morphobench.geometry.rotation import cube_rotations, rotate_cube_lattice, uniform
from morphobench.models.classical_image import ClassicalImage
from morphobench.models.image import plain_encoder
from morphobench.models.image.clebsch_gordan import clebsch_gordan, provide_py3nj
from morphobench.models.image.steerable import NormReLU, ScalarNorm, SteerableConvolution, VectorNorm, pool
from morphobench.models.image.steerable_basis import kernel_bases
from morphobench.models.image.steerable_encoder import without_derived
from morphobench.models.inputs import rotate_volumes
from morphobench.models.rotation_invariant_image import (
    RotationInvariantImage,
    ball_mask,
    pose_from_vectors,
)

ROTATIONS = cube_rotations()
SMALL = {"size": 17, "latent_dim": 8, "channels": [3, 4, 5, 6], "strides": [1, 2, 2, 2], "num_res_units": 2}
MODELS = {"classical": ClassicalImage, "rotation_invariant": RotationInvariantImage}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def blobs(n, size, seed=0):
    """Smooth random volumes without any symmetry, shape (n, 1, size, size, size)."""
    noise = torch.randn(n, 1, size, size, size, generator=torch.Generator().manual_seed(seed))
    smooth = F.avg_pool3d(F.avg_pool3d(noise, 5, 1, 2), 3, 1, 1)
    return smooth / smooth.std()


def settled(kind, **changes):
    """A model in eval mode whose running statistics have met some data."""
    torch.manual_seed(1)
    model = MODELS[kind](**{**SMALL, **changes})
    for seed in range(3):
        model(blobs(4, model.size, seed))
    return model.eval()


def rotated(volumes, rotation):
    return torch.from_numpy(rotate_cube_lattice(volumes.detach().numpy(), rotation).copy())


def relative_error(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def bundle(name):
    path = SHARED / "parity" / f"{name}.pt"
    if not path.exists():
        pytest.skip("the parity bundles are not beside this checkout")
    return torch.load(path, weights_only=True)


class TestClebschGordan:
    @pytest.mark.parametrize(
        ("doubled", "value"),
        [
            ((1, 1, 2, 1, 1, 2), 1.0),
            ((1, 1, 0, 1, -1, 0), 0.5**0.5),
            ((1, 1, 0, -1, 1, 0), -(0.5**0.5)),
            ((2, 2, 0, 0, 0, 0), -((1 / 3) ** 0.5)),
            ((2, 2, 4, 0, 0, 0), (2 / 3) ** 0.5),
            ((2, 1, 1, 2, -1, 1), (2 / 3) ** 0.5),
            ((2, 2, 2, 0, 0, 0), 0.0),
            ((2, 2, 4, 2, 0, 0), 0.0),
            ((2, 2, 6, 0, 0, 0), 0.0),
            ((1, 1, 1, 1, 0, 1), 0.0),
        ],
    )
    def test_known_values(self, doubled, value):
        assert clebsch_gordan(*doubled) == pytest.approx(value, abs=1e-15)

    @pytest.mark.parametrize(("two_j1", "two_j2"), [(2, 2), (4, 6), (3, 4), (8, 8)])
    def test_orthogonal(self, two_j1, two_j2):
        m1, m2 = np.meshgrid(
            np.arange(-two_j1, two_j1 + 1, 2), np.arange(-two_j2, two_j2 + 1, 2), indexing="ij"
        )
        coupled = [
            (j, m) for j in range(abs(two_j1 - two_j2), two_j1 + two_j2 + 1, 2) for m in range(-j, j + 1, 2)
        ]
        matrix = np.array([clebsch_gordan(two_j1, two_j2, j, m1, m2, m).ravel() for j, m in coupled])
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(coupled)), atol=1e-12)

    def test_stands_in_only_where_py3nj_is_missing(self, monkeypatch):
        present = object()
        monkeypatch.setitem(sys.modules, "py3nj", present)
        provide_py3nj()
        assert sys.modules["py3nj"] is present


class TestKernels:
    @pytest.mark.parametrize("kernel_size", [1, 3])
    def test_commute_with_the_cube_rotations(self, kernel_size):
        for (i, o), basis in kernel_bases(kernel_size, "so3").items():
            for rotation in ROTATIONS:
                rho_in, rho_out = (rotation if degree else np.eye(1) for degree in (i, o))
                expected = np.einsum(
                    "Aa,bac...,Cc->bAC...", rho_out, rotate_cube_lattice(basis, rotation), rho_in
                )
                np.testing.assert_allclose(basis, expected, atol=1e-15)

    @pytest.mark.parametrize("group", ["so3", "trivial"])
    def test_unit_gain(self, group):
        for basis in kernel_bases(3, group).values():
            energy = (basis**2).sum((1, 2, 3, 4, 5)) / basis.shape[1]
            np.testing.assert_allclose(energy, 1, atol=1e-6)

    def test_counts_of_the_published_tables(self):
        counts = {pair: len(basis) for pair, basis in kernel_bases(3, "so3").items()}
        assert counts == {(0, 0): 2, (0, 1): 1, (1, 0): 1, (1, 1): 4}
        assert {pair: len(basis) for pair, basis in kernel_bases(1, "so3").items()} == {(0, 0): 1, (1, 1): 1}
        assert {pair: len(basis) for pair, basis in kernel_bases(3, "trivial").items()} == {(0, 0): 10}

    def test_trivial_kernels_lack_the_symmetry(self):
        basis = kernel_bases(3, "trivial")[0, 0]
        assert not np.allclose(basis, rotate_cube_lattice(basis, ROTATIONS[1]), atol=0.01)


class TestLayers:
    @pytest.mark.parametrize("size", [2, 5, 8, 9])
    def test_pool_is_the_strided_gaussian(self, size):
        line = torch.exp(-0.5 * (torch.tensor([-1.0, 0.0, 1.0]).double() / 0.33) ** 2)
        cube = line[:, None, None] * line[:, None] * line
        x = torch.randn(2, 1, size, size, size, dtype=torch.float64)
        expected = F.conv3d(x, (cube / cube.sum())[None, None], stride=2, padding=1)
        torch.testing.assert_close(pool(x.movedim(1, -1)).movedim(-1, 1), expected)

    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("padding", ["constant", "replicate"])
    def test_convolution_is_the_expanded_filter(self, stride, padding):
        """Filter = sum of weight times kernel, in the published order of the weights."""
        n_in, n_out = {0: 2, 1: 3}, {0: 4, 1: 5}
        layer = SteerableConvolution(n_in, n_out, 3, "so3", padding, stride).double()
        torch.nn.init.normal_(layer.bias)
        filters = torch.zeros(4 + 15, 2 + 9, 3, 3, 3, dtype=torch.float64)
        begin = 0
        for (i, o), basis in sorted(kernel_bases(3, "so3").items()):
            block = (n_out[o], n_in[i], len(basis))
            weights = layer.weights[begin : begin + np.prod(block)].view(block)
            begin += np.prod(block)
            expanded = torch.einsum("oib,bac...->oaic...", weights, torch.tensor(basis))
            expanded = expanded.flatten(0, 1).flatten(1, 2)
            rows = slice(4, None) if o else slice(0, 4)
            columns = slice(2, None) if i else slice(0, 2)
            filters[rows, columns] = expanded
        x = torch.randn(2, 11, 6, 7, 8, dtype=torch.float64)
        bias = torch.cat([layer.bias, torch.zeros(15)])
        expected = F.conv3d(F.pad(x, [1] * 6, mode=padding), filters, bias)
        if stride == 2:
            expected = pool(expected.movedim(1, -1)).movedim(-1, 1)
        found = layer({0: x[:, :2, None], 1: x[:, 2:].unflatten(1, (3, 3))})
        found = torch.cat([found[0].flatten(1, 2), found[1].flatten(1, 2)], 1)
        torch.testing.assert_close(found, expected)

    def test_initial_weights_keep_the_scale_of_noise(self):
        layer = SteerableConvolution({0: 16, 1: 16}, {0: 32, 1: 32}, 3, "so3")
        found = layer({0: torch.randn(2, 16, 1, 9, 9, 9), 1: torch.randn(2, 16, 3, 9, 9, 9)})
        for field in found.values():
            assert 0.8 < field[..., 1:-1, 1:-1, 1:-1].var() < 1.2

    def test_scalar_norm(self):
        norm = ScalarNorm(2)
        x = 5 + 3 * torch.randn(4, 2, 1, 3, 3, 3)
        found = norm({0: x})[0]
        variance, mean = torch.var_mean(found, dim=(0, 2, 3, 4, 5))
        torch.testing.assert_close(mean, torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(variance, torch.ones(2), atol=1e-4, rtol=0)
        expected = 0.9 + 0.1 * x.transpose(0, 1).flatten(1).var(dim=1, keepdim=True)
        torch.testing.assert_close(norm.irrep_0_running_var, expected)
        norm.eval()
        expected = (x[:1] - norm.irrep_0_running_mean[..., None, None, None]) / expected.view(
            2, 1, 1, 1, 1
        ).sqrt()
        torch.testing.assert_close(norm({0: x[:1]})[0], expected, atol=1e-4, rtol=1e-4)

    def test_vector_norm_divides_by_the_running_value(self):
        norm = VectorNorm(1)
        x = torch.full((1, 1, 3, 2, 1, 1), 2.0)
        # Two vectors of mean square component 4, Bessel corrected to 8: 0.9 * 1 + 0.1 * 8.
        torch.testing.assert_close(norm({1: x})[1], x / (1.7 + 1e-5) ** 0.5)
        torch.testing.assert_close(norm.eval()({1: x})[1], x / (1.7 + 1e-5) ** 0.5)

    def test_norm_relu_shortens_by_one_at_first(self):
        x = torch.tensor([[3.0, 4.0, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]).view(3, 1, 3, 1, 1, 1)
        x.requires_grad_()
        found = NormReLU(1)({1: x})[1]
        expected = torch.tensor([[2.4, 3.2, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        torch.testing.assert_close(found.view(3, 3), expected)
        found.sum().backward()
        assert torch.isfinite(x.grad).all()


class TestPose:
    def test_follows_the_vectors_and_is_a_rotation(self):
        vectors = torch.randn(5, 2, 3, dtype=torch.float64)
        rotation = torch.from_numpy(uniform(1, np.random.default_rng(0))[0])
        pose = pose_from_vectors(vectors)
        torch.testing.assert_close(pose_from_vectors(vectors @ rotation.T), rotation @ pose)
        torch.testing.assert_close(pose @ pose.mT, torch.eye(3).double().expand(5, 3, 3))
        torch.testing.assert_close(torch.linalg.det(pose), torch.ones(5).double())

    @pytest.mark.parametrize(
        "vectors",
        [[[0, 0, 0], [0, 0, 0]], [[0, 0, 2], [0, 0, 3]], [[0, 0, 0], [1, 0, 0]], [[1, 2, 3], [0, 0, 0]]],
    )
    def test_degenerate_vectors_still_give_a_rotation(self, vectors):
        vectors = torch.tensor([vectors]).float().requires_grad_()
        pose = pose_from_vectors(vectors)
        torch.testing.assert_close(pose @ pose.mT, torch.eye(3)[None], atol=1e-6, rtol=0)
        assert torch.linalg.det(pose).item() == pytest.approx(1)
        pose.sum().backward()
        assert torch.isfinite(vectors.grad).all()

    @pytest.mark.parametrize("size", [5, 6])
    def test_rotate_volumes_is_exact_on_the_lattice(self, size):
        x = torch.randn(1, 1, size, size, size, dtype=torch.float64)
        for rotation in ROTATIONS:
            found = rotate_volumes(x, torch.from_numpy(rotation)[None], background=7.0)
            torch.testing.assert_close(found, rotated(x, rotation))

    def test_corners_rotated_in_from_outside_are_background(self):
        rotation = torch.from_numpy(uniform(1, np.random.default_rng(1)))
        found = rotate_volumes(torch.zeros(1, 1, 9, 9, 9).double(), rotation, background=2.0)
        assert found.max() == 2
        assert found[0, 0, 4, 4, 4] == 0

    def test_ball_mask(self):
        mask = ball_mask(6)
        assert mask[0, 2, 2].item() == pytest.approx(np.exp(-(2.5**2 + 2 * 0.25 - 2.5**2) / 4))
        assert mask[0, 0, 0].item() == pytest.approx(np.exp(-(3 * 2.5**2 - 2.5**2) / 4))
        assert mask[1, 2, 2] == 1
        assert ball_mask(5)[0, 2, 2] == 1


class TestSymmetry:
    @pytest.mark.parametrize("mask_output", [False, True])
    def test_all_cube_rotations(self, mask_output):
        model = settled("rotation_invariant", background=2.0, mask_output=mask_output)
        x = blobs(1, 17, seed=9)
        with torch.no_grad():
            z, pose, reconstruction = model.encode(x), model.pose(x), model.reconstruct(x)
            for rotation in ROTATIONS:
                x_rotated, r = rotated(x, rotation), torch.from_numpy(rotation).float()
                assert relative_error(model.encode(x_rotated), z) < 1e-5
                assert relative_error(model.pose(x_rotated), r @ pose) < 1e-5
                assert relative_error(model.reconstruct(x_rotated), rotated(reconstruction, rotation)) < 1e-4

    def test_float64_shows_it_is_exact(self):
        model = settled("rotation_invariant").double()
        x = blobs(1, 17, seed=9).double()
        with torch.no_grad():
            for rotation in ROTATIONS[[1, 9, 23]]:
                x_rotated, r = rotated(x, rotation), torch.from_numpy(rotation)
                torch.testing.assert_close(model.encode(x_rotated), model.encode(x), rtol=1e-10, atol=1e-10)
                torch.testing.assert_close(model.pose(x_rotated), r @ model.pose(x), rtol=0, atol=1e-10)
                torch.testing.assert_close(
                    model.reconstruct(x_rotated), rotated(model.reconstruct(x), rotation), rtol=0, atol=1e-8
                )

    @pytest.mark.parametrize(("size", "rotations"), [(33, ROTATIONS), (65, ROTATIONS[[1, 9]])])
    def test_published_strides_keep_every_level_odd(self, size, rotations):
        """Embedding and pose on cube rotations; what interpolation costs at other angles is printed.

        At the published 129 voxels, which take half a minute, the 24 gave 3e-7 and 5e-7.
        """
        changes = {"size": size, "channels": [1, 1, 2, 2, 3, 3, 4], "strides": [1, 1, 2, 2, 2, 2, 2]}
        torch.manual_seed(1)
        model = RotationInvariantImage(**{**SMALL, **changes, "num_res_units": 1}).eval()
        if size > 33:
            # The same function, in less time (TestExport).
            model = model.export()
        x = blobs(1, size, seed=9) * ball_mask(size)
        free = torch.from_numpy(uniform(1, np.random.default_rng(4))).float()
        with torch.no_grad():
            z, pose = model.encode_with_pose(x)
            found = [model.encode_with_pose(rotated(x, rotation)) for rotation in rotations]
            embeddings = max(relative_error(one.z, z) for one in found)
            poses = max(
                relative_error(one.pose, torch.from_numpy(r).float() @ pose)
                for one, r in zip(found, rotations, strict=True)
            )
            resampled = relative_error(model.encode(rotate_volumes(x, free, 0.0)), z)
        print(f"{size}: embedding {embeddings:.1e}, pose {poses:.1e}; free angle: {resampled:.1e}")
        assert embeddings < 1e-5
        assert poses < 1e-5

    def test_published_size_35_has_an_even_level_and_no_exact_symmetry(self):
        changes = {"size": 35, "channels": [3, 3, 4, 4, 5, 5, 6], "strides": [1, 1, 2, 2, 2, 2, 2]}
        model, x = settled("rotation_invariant", **changes), blobs(1, 35, seed=9)
        with torch.no_grad():
            z = model.encode(x)
            errors = [relative_error(model.encode(rotated(x, r)), z) for r in ROTATIONS[1:4]]
        print(f"35: embedding {min(errors):.1e} to {max(errors):.1e} at quarter and half turns")
        assert max(errors) > 1e-3

    def test_classical_model_has_no_symmetry(self):
        model = settled("classical")
        x = blobs(1, 17, seed=9)
        with torch.no_grad():
            z = model.encode(x)
            errors = [relative_error(model.encode(rotated(x, r)), z) for r in ROTATIONS[1:]]
        assert min(errors) > 0.01

    @pytest.mark.parametrize("kind", MODELS)
    @pytest.mark.parametrize("n", [1, 3])
    def test_a_sample_does_not_depend_on_its_batch(self, kind, n):
        model, x = settled(kind), blobs(n, 17, seed=9)
        with torch.no_grad():
            together = model.encode(x), model.pose(x), model.reconstruct(x)
            for i in range(n):
                one = x[i : i + 1]
                alone = model.encode(one), model.pose(one), model.reconstruct(one)
                for found, expected in zip(together, alone, strict=True):
                    assert relative_error(found[i], expected[0]) < 1e-4


class TestExport:
    PUBLISHED = {"channels": [2, 2, 2, 3, 3, 4, 5], "strides": [1, 1, 2, 2, 2, 2, 2]}

    @staticmethod
    def shaken(kind, **changes):
        """Zeros and ones at the start would hide a bias or a weight that is lost."""
        model = settled(kind, **changes)
        with torch.no_grad():
            for parameter in model.encoder.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    @pytest.mark.parametrize("kind", MODELS)
    @pytest.mark.parametrize("size", [16, 17])
    def test_same_numbers(self, kind, size):
        model, x = self.shaken(kind, size=size), blobs(3, size, seed=9)
        with torch.no_grad():
            exported = model.export()
            assert relative_error(exported.encode(x), model.encode(x)) < 1e-5
            assert relative_error(exported.pose(x), model.pose(x)) < 1e-5
            assert relative_error(exported.decode(model.encode(x)), model.decode(model.encode(x))) < 1e-5
        assert not exported.training
        assert not any(p.requires_grad for p in exported.parameters())
        assert all(p.requires_grad for p in model.parameters())

    @pytest.mark.parametrize("kind", MODELS)
    @pytest.mark.parametrize(
        ("size", "changes"),
        [
            (13, {}),
            (14, {"num_res_units": 1}),
            (13, {"channels": [4, 4, 4], "strides": [2, 1, 1]}),
            pytest.param(35, PUBLISHED, marks=pytest.mark.long),
        ],
    )
    @pytest.mark.parametrize("worthwhile", [0, np.inf])
    def test_both_forms_at_all_shapes(self, monkeypatch, kind, size, changes, worthwhile):
        monkeypatch.setattr(plain_encoder, "_WORTHWHILE", worthwhile)
        model = self.shaken(kind, size=size, **changes).double()
        x = blobs(3, size, seed=9).double()
        with torch.no_grad():
            expected = model.encoder["embedding"](x)
            exported = model.export().encoder["embedding"]
            for n in (1, 3):
                for ours, theirs in zip(exported(x[:n]), expected, strict=True):
                    assert (ours is None) == (theirs is None)
                    if ours is not None:
                        assert relative_error(ours, theirs[:n]) < 1e-12

    @pytest.mark.parametrize("slab_bytes", [1, 2**16])
    @pytest.mark.parametrize("worthwhile", [0, np.inf])
    def test_every_border_voxel_in_thin_slabs(self, monkeypatch, slab_bytes, worthwhile):
        monkeypatch.setattr(plain_encoder, "_SLAB_BYTES", slab_bytes)
        monkeypatch.setattr(plain_encoder, "_WORTHWHILE", worthwhile)
        model, x = self.shaken("rotation_invariant", size=14).double(), blobs(2, 14, seed=9).double()
        maps, fields = {0: x.movedim(1, -1)}, {0: x[:, :, None]}
        forms = model.export().encoder["embedding"].blocks, model.encoder["embedding"].net
        with torch.no_grad():
            for exported, block in zip(*forms, strict=False):
                maps, fields = exported(maps), block(fields)
                for degree, values in fields.items():
                    expected = values.flatten(1, 2).movedim(1, -1)
                    assert relative_error(maps[degree], expected) < 1e-12

    def test_the_cheaper_form_is_taken(self):
        changes = {"channels": [8, 16], "strides": [1, 1], "size": 5}
        forms = {}
        for kind in MODELS:
            *_, block = self.shaken(kind, **changes).export().encoder["embedding"].blocks
            forms[kind] = block.first.convolution.mixes, block.beside.convolution.mixes
        assert forms == {"classical": (False, False), "rotation_invariant": (True, False)}

    @pytest.mark.parametrize("kind", MODELS)
    def test_a_model_in_training_is_refused(self, kind):
        with pytest.raises(InputError, match=r"Call model\.eval"):
            MODELS[kind](**SMALL).export()


class TestPublished:
    @pytest.mark.parametrize(
        ("name", "kind", "extra"),
        [
            ("image_so3_sdf_35_narrow", "rotation_invariant", {"background": 2.0}),
            ("image_classical_sdf_35_narrow", "classical", {}),
        ],
    )
    def test_parity(self, name, kind, extra):
        published = bundle(name)
        config = published["config"]
        keys = ("latent_dim", "channels", "strides", "num_res_units")
        model = MODELS[kind](size=35, **{key: config[key] for key in keys}, **extra)
        model.load_state_dict(without_derived(published["state_dict"]))
        model.eval()
        x = published["input"]["image"]
        with torch.no_grad():
            z, pose = model.encode_with_pose(x)
            canonical = model.decode(z)
        assert relative_error(z, published["embedding"]) < 1e-5
        assert sum(p.numel() for p in model.parameters()) == published["n_trainable"]
        if pose is None:
            assert relative_error(canonical, published["reconstruction"]) < 1e-5
            return
        assert relative_error(canonical, published["canonical"]) < 1e-5
        # From the published frame, whose y and z axes run against ours.
        vectors = published["z_params"]["pose"] * torch.tensor([1.0, -1.0, -1.0])
        with torch.no_grad():
            found = model.decode(z, pose_from_vectors(vectors))
            assert relative_error(model.encoder["embedding"](x)[1], vectors) < 1e-5
        assert relative_error(found, published["reconstruction"]) < 1e-5
        # The bundle's two vectors are nearly parallel (cosine 0.9999), so the pose magnifies float32
        # rounding: the published run itself is 8e-4 from the same model in float64.
        with torch.no_grad():
            assert relative_error(model.decode(z, pose), published["reconstruction"]) < 5e-3

    @pytest.mark.parametrize("name", ["image_so3_sdf_35_narrow", "image_classical_sdf_35_narrow"])
    def test_training_loss(self, name):
        published = bundle(name)
        config = published["config"]
        keys = ("latent_dim", "channels", "strides", "num_res_units")
        extra = {"background": 2.0} if "so3" in name else {}
        kind = "rotation_invariant" if "so3" in name else "classical"
        model = MODELS[kind](size=35, **{key: config[key] for key in keys}, **extra)
        model.load_state_dict(without_derived(published["state_dict"]))
        x = published["input"]["image"]
        loss = F.mse_loss(model(x), x)
        loss.backward()
        assert loss.item() == pytest.approx(float(published["train_loss"]), rel=1e-5)
        norms = {key: float(norm) for key, norm in published["grad_norms"].items()}
        found = {key: p.grad.norm().item() for key, p in model.named_parameters()}
        # Near-parallel pose vectors again: float64 differs from the published float32 by up to 1 %. Biases
        # before a normalisation have gradients of rounding errors.
        assert found == pytest.approx({key: norms[key] for key in found}, rel=0.03, abs=2e-5)

    @pytest.mark.parametrize(
        ("name", "kind", "size", "latent_dim", "num_res_units"),
        [
            ("image_so3_sdf_35", "rotation_invariant", 35, 512, 2),
            ("image_classical_seg_35", "classical", 35, 512, 2),
            ("image_so3_118", "rotation_invariant", 118, 256, 1),
            ("image_classical_118", "classical", 118, 256, 1),
        ],
    )
    def test_keys_and_shapes_at_full_width(self, name, kind, size, latent_dim, num_res_units):
        path = SHARED / "spec" / "state_dict" / f"state_dict_{name}.txt"
        if not path.exists():
            pytest.skip("the published key listings are not beside this checkout")
        listed = path.read_text().split("# section 2")[0].splitlines()
        rows = [line.split("\t") for line in listed if "\t" in line]
        published = {row[0].replace("decoder.pcloud", "decoder.image"): row[1] for row in rows}
        model = MODELS[kind](size=size, latent_dim=latent_dim, num_res_units=num_res_units)
        found = {key: str(tuple(value.shape)) for key, value in model.state_dict().items()}
        assert found == without_derived(published)


class TestTraining:
    @pytest.mark.parametrize("kind", MODELS)
    def test_gradients_are_finite_and_reach_all_parameters(self, kind):
        model = MODELS[kind](**SMALL)
        x = blobs(3, 17)
        F.mse_loss(model(x), x).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name

    @pytest.mark.parametrize("kind", MODELS)
    def test_loss_falls(self, kind):
        model, x = MODELS[kind](**SMALL), blobs(4, 17)
        optimiser = torch.optim.Adam(model.parameters(), 1e-2)
        losses = []
        for _ in range(15):
            loss = F.mse_loss(model(x), x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert np.isfinite(losses).all()
        assert losses[-1] < 0.9 * losses[0]

    @pytest.mark.parametrize("kind", MODELS)
    def test_activations_keep_their_scale_through_eight_levels(self, kind):
        changes = {"size": 33, "channels": [4, 4, 8, 8, 16, 16, 16], "strides": [1, 1, 2, 2, 2, 2, 2]}
        model = MODELS[kind](**{**SMALL, **changes})
        assert 0.1 < model.encode(blobs(4, 33)).std() < 30

    @pytest.mark.parametrize("kind", MODELS)
    def test_copies_and_saved_states_are_the_same_model(self, kind):
        model, x = settled(kind), blobs(2, 17, seed=9)
        twin = copy.deepcopy(model)
        fresh = MODELS[kind](**SMALL)
        fresh.load_state_dict(model.state_dict())
        with torch.no_grad():
            expected = model(x)
            torch.testing.assert_close(twin(x), expected, rtol=0, atol=0)
            torch.testing.assert_close(fresh.eval()(x), expected, rtol=0, atol=0)
            next(twin.parameters()).add_(1.0)
            torch.testing.assert_close(model(x), expected, rtol=0, atol=0)

    def test_a_single_value_cannot_be_normalised(self):
        model = RotationInvariantImage(
            **{**SMALL, "size": 2, "channels": [2, 2], "strides": [1, 2], "num_res_units": 1}
        )
        with pytest.raises(InputError, match="batch size of at least 2"):
            model(torch.randn(1, 1, 2, 2, 2))


class TestBadInput:
    @pytest.mark.parametrize("kind", MODELS)
    @pytest.mark.parametrize(
        ("shape", "match"),
        [
            ((2, 17, 17, 17), "has shape"),
            ((2, 2, 17, 17, 17), "has shape"),
            ((2, 1, 17, 17, 16), "has shape"),
            ((2, 1, 33, 33, 33), r"reads \(batch, 1, 17, 17, 17\)"),
            ((0, 1, 17, 17, 17), "is empty"),
        ],
    )
    def test_shapes(self, kind, shape, match):
        with pytest.raises(InputError, match=match):
            MODELS[kind](**SMALL).encode(torch.zeros(shape))

    @pytest.mark.parametrize("kind", MODELS)
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_not_finite(self, kind, value):
        x = blobs(3, 17)
        x[1, 0, 3, 3, 3] = value
        with pytest.raises(InputError, match="1 of 3 cubes hold NaN or infinite values, the first at row 1"):
            MODELS[kind](**SMALL).encode(x)

    @pytest.mark.parametrize("kind", MODELS)
    def test_embeddings_of_another_length(self, kind):
        with pytest.raises(InputError, match=r"decodes \(batch, 8\)"):
            MODELS[kind](**SMALL).decode(torch.zeros(2, 9))

    def test_classical_model_refuses_a_pose(self):
        with pytest.raises(InputError, match="no pose"):
            ClassicalImage(**SMALL).decode(torch.zeros(1, 8), torch.eye(3)[None])

    @pytest.mark.parametrize("kind", MODELS)
    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"strides": [1, 2, 2]}, "channels has 4 entries and strides 3"),
            ({"channels": [4], "strides": [1]}, "two blocks at least"),
            ({"strides": [1, 2, 2, 3]}, "must be 1 or 2"),
            ({"latent_dim": 0}, "latent_dim = 0"),
            ({"channels": [4, 0, 4, 4]}, r"channels\[1\] = 0"),
        ],
    )
    def test_architecture(self, kind, changes, match):
        with pytest.raises(InputError, match=match):
            MODELS[kind](**{**SMALL, **changes})
