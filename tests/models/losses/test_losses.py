"""Reconstruction losses: known answers, symmetry, independence of the batch, no trace left behind."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import SHARED

from morphobench.errors import InputError
from morphobench.models import losses
from morphobench.models.losses import LOSSES, chamfer, mse
from morphobench.models.losses import sinkhorn as entropic
from morphobench.models.losses.sinkhorn import sinkhorn

earth_mover = partial(sinkhorn, blur=0.01, scaling=0.5)
CLOUD_LOSSES = [chamfer, earth_mover]
PARITY = SHARED / "parity"


def clouds(seed, batch=3, n_points=40, scale=1.0):
    return scale * torch.randn(batch, n_points, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("loss", "wanted"), [(chamfer, 10.0), (earth_mover, 5.0)])
def test_two_single_points(loss, wanted):
    a, b = torch.zeros(1, 1, 3), torch.tensor([[[3.0, 0.0, 4.0]]])
    assert loss(a, b).item() == pytest.approx(wanted, rel=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(-0.02, 0.02)] * 3))
def test_a_small_shift_costs_its_length_both_ways_in_chamfer(shift):
    # Points of a unit lattice: each one's nearest stays its own image.
    lattice = torch.cartesian_prod(*[torch.arange(3.0)] * 3).double().unsqueeze(0)
    moved = lattice + torch.tensor(shift, dtype=torch.float64)
    length = torch.tensor(shift, dtype=torch.float64).norm().item()
    assert chamfer(lattice, moved).item() == pytest.approx(2 * length, abs=1e-9)


@pytest.mark.parametrize("length", [0.5, 3.0, 20.0])
def test_moving_all_earth_costs_the_way(length):
    a = clouds(0)
    assert torch.allclose(
        earth_mover(a, a + torch.tensor([length, 0.0, 0.0])), torch.tensor(length), rtol=0.02
    )


def test_chamfer_is_one_sided_where_one_cloud_holds_the_other():
    a = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [5, 0, 0]]])
    assert chamfer(a, a[:, :2]).item() == pytest.approx(4 / 3)


@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_losses_of_clouds_are_symmetric_ignore_order_and_vanish_at_equality(loss):
    a, b = clouds(1), clouds(2, n_points=30)
    assert loss(a, b).shape == (3,)
    assert (loss(a, b) > 0.1).all()
    assert torch.allclose(loss(a, b), loss(b, a), rtol=1e-4)
    assert torch.allclose(loss(a, b), loss(a.flip(1), b), rtol=1e-4)
    assert torch.allclose(loss(a, a.flip(1)), torch.zeros(3), atol=1e-5)


@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_a_sample_does_not_depend_on_its_batch(loss):
    a, b = clouds(1), clouds(2)
    wild = clouds(3, batch=1, scale=30.0)
    beside = loss(torch.cat((a, wild)), torch.cat((b, wild + 5)))[:3]
    assert torch.equal(beside, torch.cat([loss(a[i : i + 1], b[i : i + 1]) for i in range(3)]))


@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_gradients_are_finite_for_equal_and_duplicated_points(loss):
    a = clouds(1)
    a[:, 20:] = a[:, :1]
    for b in (a.clone(), clouds(2), torch.zeros(3, 1, 3)):
        x = a.clone().requires_grad_()
        loss(x, b).sum().backward()
        assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_descending_the_gradient_brings_clouds_closer(loss):
    x, b = clouds(1).requires_grad_(), clouds(2) + 1
    before = loss(x, b)
    before.sum().backward()
    assert (loss(x.detach() - 0.1 * x.grad, b) < before).all()


def test_one_place_twice_costs_nothing():
    assert earth_mover(torch.ones(2, 4, 3), torch.ones(2, 4, 3)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_grad_mode_is_left_as_found(loss, enabled):
    x = clouds(1).requires_grad_()
    with torch.set_grad_enabled(enabled):
        value = loss(x, clouds(2))
        assert torch.is_grad_enabled() is enabled
        assert value.requires_grad is enabled


def published(a, b, scaling=0.5):
    """Give the Sinkhorn divergence of geomloss, every pair from its own diameter."""
    from geomloss import SamplesLoss

    grad_mode = torch.is_grad_enabled()
    exact = partial(torch.cdist, compute_mode="donot_use_mm_for_euclid_dist")
    values = []
    for pair in zip(a, b, strict=True):
        both = torch.cat(pair).detach()
        diameter = max(torch.linalg.vector_norm(both.amax(0) - both.amin(0)).item(), 0.01)
        settings = {"blur": 0.01, "scaling": scaling, "diameter": diameter, "cost": exact}
        loss = SamplesLoss("sinkhorn", p=1, backend="tensorized", **settings)
        values.append(loss(*(cloud.unsqueeze(0) for cloud in pair)))
    torch.set_grad_enabled(grad_mode)
    return torch.cat(values)


def value_and_gradients(loss, a, b):
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    value = loss(a, b)
    return value.detach(), *torch.autograd.grad(value.sum(), (a, b))


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.5), (30.0, 5.0), (1.0, 50.0), (0.001, 0.0)])
def test_sinkhorn_equals_geomloss_in_value_and_gradient(monkeypatch, scale, shift, precise):
    if precise:
        # No sum is trusted: every step takes the path for potentials that are far off.
        monkeypatch.setattr(entropic, "_LEAST_SUM", 1.0)
    # More points than a block has rows, on both sides.
    a = clouds(4, batch=2, n_points=420, scale=scale).double()
    b = clouds(5, batch=2, n_points=380, scale=scale).double() + shift
    for ours, theirs in zip(
        value_and_gradients(earth_mover, a, b), value_and_gradients(published, a, b), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_potentials_that_jump_between_scales_take_the_exact_path(monkeypatch):
    taken = []
    exact = entropic._exact_dual_step
    monkeypatch.setattr(entropic, "_exact_dual_step", lambda *step: taken.append(step) or exact(*step))
    a, b = clouds(1, scale=10.0), clouds(2, n_points=30) + 20
    steep = sinkhorn(a, b, blur=0.01, scaling=0.001)
    assert taken
    assert torch.allclose(steep, published(a.double(), b.double(), scaling=0.001).float(), rtol=1e-4)


@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_blocks_do_not_change_values_or_gradients(monkeypatch, loss):
    a, b = clouds(1).double(), clouds(2, n_points=30).double()
    whole = value_and_gradients(loss, a, b)
    for module in (losses, entropic):
        monkeypatch.setattr(module, "rows_per_block", lambda n_columns, device: 7)
    for one, other in zip(whole, value_and_gradients(loss, a, b), strict=True):
        assert torch.allclose(one, other, rtol=1e-10)


def test_chamfer_never_holds_all_distances(monkeypatch):
    sizes = []

    def watched(a, b):
        sizes.append(a.shape[-2] * b.shape[-2] * len(a))
        return torch.cdist(a, b)

    monkeypatch.setattr(losses, "pair_distances", watched)
    chamfer(clouds(1, n_points=700), clouds(2, n_points=900))
    assert sum(sizes) == 3 * 700 * 900
    assert max(sizes) <= 2**17


@pytest.mark.parametrize("loss", CLOUD_LOSSES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_coordinate_gives_a_loss_that_is_not_finite(loss, value):
    a = clouds(1).requires_grad_()
    b = clouds(2)
    b[1, 3, 0] = value
    assert torch.isfinite(loss(a, b)).tolist() == [True, False, True]


@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_half_precision_is_computed_in_single(loss):
    a, b = clouds(1).bfloat16(), clouds(2)
    assert loss(a, b).dtype == torch.float32
    assert torch.equal(loss(a, b), loss(a.float(), b))


def test_mse_is_the_mean_over_voxels_of_each_sample():
    a = torch.zeros(2, 1, 2, 2, 2)
    b = a.clone()
    b[0] = 3.0
    b[1, 0, 0, 0, 0] = 4.0
    assert mse(a, b).tolist() == [9.0, 2.0]
    assert mse(a, a).tolist() == [0.0, 0.0]


BAD_CLOUDS = [
    ((2, 5, 3), (3, 5, 3)),
    ((2, 5, 3), (2, 5, 4)),
    ((5, 3), (5, 3)),
    ((0, 5, 3), (0, 5, 3)),
    ((2, 0, 3), (2, 5, 3)),
]


@pytest.mark.parametrize(("shape_a", "shape_b"), BAD_CLOUDS)
@pytest.mark.parametrize("loss", CLOUD_LOSSES)
def test_clouds_that_do_not_fit_are_refused(loss, shape_a, shape_b):
    with pytest.raises(InputError, match="shapes"):
        loss(torch.zeros(shape_a), torch.zeros(shape_b))


def test_cubes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="shapes"):
        mse(torch.zeros(2, 1, 3, 3, 3), torch.zeros(1, 1, 3, 3, 3))


@pytest.mark.parametrize(
    ("blur", "scaling"), [(0.0, 0.5), (-1.0, 0.5), (0.01, 1.0), (0.01, 0.0), (float("nan"), 0.5)]
)
def test_sinkhorn_settings_out_of_range_are_refused(blur, scaling):
    with pytest.raises(InputError, match="blur"):
        sinkhorn(clouds(1), clouds(2), blur=blur, scaling=scaling)


def test_l1_sums_over_a_sample_and_not_over_the_batch():
    a, b = torch.zeros(2, 3), torch.tensor([[1.0, -2.0, 0.0], [4.0, 0.0, 0.0]])
    assert LOSSES["l1"](a, b).tolist() == [3.0, 4.0]
    with pytest.raises(InputError, match="l1 loss got shapes"):
        LOSSES["l1"](a, b[:, :2])


def test_losses_are_found_by_name():
    assert set(LOSSES) == {"chamfer", "sinkhorn", "earth_mover", "dice", "sdf_dice", "mse", "l1"}
    assert LOSSES["chamfer"] is chamfer


def test_sinkhorn_is_the_published_loss_up_to_its_common_diameter():
    path = PARITY / "pcna_pc_classical.pt"
    if not path.exists():
        pytest.skip(f"published outputs are not here: {path.name}")
    published = torch.load(path, weights_only=True)
    got = earth_mover(published["input"]["pcloud"], published["reconstruction"]).mean()
    assert got.item() == pytest.approx(published["loss"].item(), rel=1e-3)


def test_earth_mover_is_the_least_cost_of_matching_and_ignores_order():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 2, 5, 3, generator=generator, dtype=torch.float64)
    costs = [
        [float((one - two[list(order)]).norm(dim=-1).mean()) for order in itertools.permutations(range(5))]
        for one, two in zip(a, b, strict=True)
    ]
    least = torch.tensor([min(row) for row in costs], dtype=torch.float64)
    torch.testing.assert_close(LOSSES["earth_mover"](a, b), least)
    torch.testing.assert_close(LOSSES["earth_mover"](a, b[:, torch.randperm(5)]), least)


def test_earth_mover_repeats_the_points_of_the_smaller_cloud():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 2, 6, 3, generator=generator)
    twice = b[:, :3].repeat_interleave(2, dim=1)
    torch.testing.assert_close(LOSSES["earth_mover"](a, b[:, :3]), LOSSES["earth_mover"](a, twice))
    assert LOSSES["earth_mover"](a, a[:, :4]).max() < LOSSES["earth_mover"](a, b).min()


def test_sdf_dice_is_zero_for_equal_distances_and_sees_what_is_enclosed_more_than_what_is_far():
    distances = torch.full((1, 1, 8, 8, 8), 2.0)
    distances[..., 2:4, 2:4, 2:4] = -1.0
    vanished, far = distances.clamp_min(1.0), torch.where(distances > 0, 1.8, distances)
    loss = LOSSES["sdf_dice"]
    assert loss(distances, distances).item() == 0
    assert loss(vanished, distances) > 0.6 > 10 * loss(far, distances)
    assert LOSSES["mse"](vanished, distances) < 2 * LOSSES["mse"](far, distances)


def test_dice_is_zero_for_equal_shapes_one_for_disjoint_ones_whatever_their_size():
    inside = torch.zeros(2, 1, 4, 4, 4)
    inside[0, 0, 0, 0, 0] = inside[1, 0, :2] = 1
    other = torch.zeros_like(inside)
    other[:, 0, 3, 3, 3] = 1
    assert LOSSES["dice"](inside, inside).tolist() == [0.0, 0.0]
    assert LOSSES["dice"](inside, other).tolist() == [1.0, 1.0]
