"""The exported image decoder gives the cubes of the model itself, whatever the sizes and strides."""

from __future__ import annotations

import pytest
import torch

from morphobench import models
from morphobench.models.image.plain_decoder import DoublingUnit, plain_decoder
from morphobench.models.image.residual_decoder import ResidualUnit


def trained(module):
    """Give normalisations statistics and weights of their own, then switch to eval mode."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if "adn.N" in name and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.eval()


@pytest.mark.parametrize(("n_in", "n_out"), [(3, 2), (2, 2)])
def test_a_doubling_unit_is_the_unit_on_the_doubled_grid(n_in, n_out):
    torch.manual_seed(1)
    unit = trained(ResidualUnit(n_in, n_out)).double()
    x = torch.randn(2, n_in, 4, 5, 6, dtype=torch.float64)
    with torch.no_grad():
        doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
        torch.testing.assert_close(DoublingUnit(unit)(x), unit(doubled))


@pytest.mark.parametrize("family", ["classical_image", "rotation_invariant_image"])
@pytest.mark.parametrize(
    ("size", "channels", "strides"),
    [
        (33, (2, 3, 4, 5), (1, 2, 2, 2)),
        (17, (2, 3, 4), (1, 1, 2)),
        (20, (2, 3, 4), (2, 1, 2)),
        (9, (2, 3), (1, 2)),
    ],
)
def test_exported_models_decode_the_same_cubes(family, size, channels, strides):
    torch.manual_seed(2)
    model = models.create(family, size=size, latent_dim=6, channels=channels, strides=strides)
    trained(model)
    codes = torch.randn(3, 6)
    with torch.no_grad():
        expected = model.decode(codes)
        torch.testing.assert_close(model.export().decode(codes), expected, rtol=1e-4, atol=1e-5)
        assert len(plain_decoder(model.decoder["image"])) == len(model.decoder["image"])


def test_published_widths_use_the_faster_form():
    model = models.create("classical_image", size=33, latent_dim=8).eval()
    fast = [isinstance(block, DoublingUnit) for block in model.export().decoder["image"]]
    # Grids of 2 to 4, 4 to 8, 8 to 16, 16 to 32, 32 to 32 and 32 to 33.
    assert fast == [False, False, True, True, True, False, False]
