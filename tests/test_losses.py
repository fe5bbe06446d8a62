"""Reconstruction losses: known answers, symmetry, independence of the batch, no trace left behind."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from morphobench.errors import InputError
from morphobench.models.losses import LOSSES, chamfer, mse, sinkhorn

earth_mover = partial(sinkhorn, blur=0.01, scaling=0.5)
CLOUD_LOSSES = [chamfer, earth_mover]
PARITY = Path(__file__).resolve().parents[1].parent / "shared" / "parity"


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


def test_grad_mode_survives_a_failure(monkeypatch):
    import geomloss

    def fail(self, *clouds):
        torch.autograd.set_grad_enabled(True)
        raise RuntimeError("interrupted")

    monkeypatch.setattr(geomloss.SamplesLoss, "forward", fail)
    with torch.no_grad():
        with pytest.raises(RuntimeError, match="interrupted"):
            earth_mover(clouds(1), clouds(2))
        assert not torch.is_grad_enabled()


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


def test_losses_are_found_by_name():
    assert set(LOSSES) == {"chamfer", "sinkhorn", "mse"}
    assert LOSSES["chamfer"] is chamfer


def test_sinkhorn_is_the_published_loss_up_to_its_common_diameter():
    path = PARITY / "pcna_pc_classical.pt"
    if not path.exists():
        pytest.skip(f"published outputs are not here: {path.name}")
    published = torch.load(path, weights_only=True)
    got = earth_mover(published["input"]["pcloud"], published["reconstruction"]).mean()
    assert got.item() == pytest.approx(published["loss"].item(), rel=1e-3)
