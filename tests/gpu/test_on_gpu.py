"""On a GPU: what a CPU finds, invariant as there; trainings that go on where they were cut off; its costs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from fabricate.sampled import DATASET, SIDE_UM, write_sampled
from fabricate.trained import DECODING, EMBED, FAMILIES, cost_of, run_training, small_config, write_untrained

from morphobench import models
from morphobench.embed import reconstruction
from morphobench.embed import run as embed
from morphobench.files import read_table
from morphobench.files.tables import embedding_matrix
from morphobench.models.cloud import checked
from morphobench.models.device import configure_torch
from morphobench.models.inputs import Batch
from morphobench.models.losses import chamfer
from morphobench.models.losses.sinkhorn import sinkhorn
from morphobench.score import cost
from morphobench.train.module import AutoencoderModule

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")
INVARIANT = [family for family in FAMILIES if family.startswith("rotation_invariant")]


class Interrupted(Exception):
    """What stops a training in these tests."""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _as_told():
    """Each test starts as a process does, with TF32 where torch allows it."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def test_the_kernels_of_vector_neurons_are_right_here():
    assert checked.fit(torch.zeros(1, device="cuda"))


def embedded(case, folder, family, rotations, accelerator, **how):
    stages = case.manifest, case.shards, write_untrained(folder / "model.pt", family)
    table = folder / f"{rotations}-{accelerator}.parquet"
    common = {"dataset": DATASET, "embed_config": EMBED | how, "seed": 1, "threads": 1}
    embed.run(*stages, table, rotations=rotations, accelerator=accelerator, **common)
    return read_table(table)


def reconstructed(case, folder, family, accelerator):
    """Errors of the embeddings that `embedded` wrote."""
    stages = case.manifest, case.shards, write_untrained(folder / "model.pt", family)
    tables = folder / f"identity-{accelerator}.parquet", folder / f"errors-{accelerator}.parquet"
    common = {"dataset": DATASET, "embed_config": EMBED, "side_um": SIDE_UM, "seed": 1, "threads": 1}
    reconstruction.run(*stages, *tables, accelerator=accelerator, **common)
    return read_table(tables[1])


def trained(case, folder, family, **trainer):
    run_training(case, folder, small_config(family, max_epochs=3), accelerator="gpu", **trainer)
    return pd.read_csv(folder / "curves.csv"), json.loads((folder / "record.json").read_text())


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("family", FAMILIES)
def test_codes_and_errors_are_those_of_a_cpu(family, case, tmp_path):
    ours, cpu = (embedded(case, tmp_path, family, "identity", where) for where in ("gpu", "cpu"))
    assert relative(embedding_matrix(ours), embedding_matrix(cpu)) < 1e-4
    if family in DECODING:
        ours, cpu = (reconstructed(case, tmp_path, family, where) for where in ("gpu", "cpu"))
        name = "reconstruction_sinkhorn_um"
        np.testing.assert_allclose(ours[name], cpu[name], rtol=1e-2)


@pytest.mark.parametrize("family", INVARIANT)
def test_codes_ignore_the_rotations_of_the_grid(family, case, tmp_path):
    turned = embedded(case, tmp_path, family, "lattice", "gpu")
    codes = embedding_matrix(turned).reshape(24, -1, small_config(family)["architecture"]["latent_dim"])
    assert relative(codes, codes[:1]) < 1e-4


def test_half_precision_tells_in_the_codes(case, tmp_path):
    family = "rotation_invariant_image"
    full = embedded(case, tmp_path, family, "identity", "gpu")
    half = embedded(case, tmp_path, family, "identity", "gpu", precision="bf16-mixed")
    assert 1e-4 < relative(embedding_matrix(half), embedding_matrix(full)) < 0.1


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "how", [{}, {"tf32": True}, {"precision": "bf16-mixed"}], ids=["full", "tf32", "bf16"]
)
def test_trains_and_says_where(how, family, case, tmp_path):
    curves, record = trained(case, tmp_path, family, **how)
    assert np.isfinite(curves.to_numpy()).all()
    assert record["device"] == torch.cuda.get_device_name()
    assert record["gpu_hours"] == pytest.approx(record["train_s"] / 3600)
    assert record["peak_memory_mib"] > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_that_was_cut_off_ends_as_a_whole_one(family, case, tmp_path, monkeypatch):
    whole, _ = trained(case, tmp_path / "whole", family)
    calls = iter(range(6))
    original = AutoencoderModule.training_step

    def cut(self, batch, batch_idx):
        if next(calls) == 5:
            raise Interrupted
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderModule, "training_step", cut)
        with pytest.raises(Interrupted):
            trained(case, tmp_path / "cut", family)
    again, _ = trained(case, tmp_path / "cut", family)
    losses = ["train_loss", "val_loss"]
    # Gradients of turned volumes are summed in any order there, and running means keep the difference.
    np.testing.assert_allclose(again[losses], whole[losses], rtol=2e-2)


@pytest.mark.parametrize("family", FAMILIES)
def test_costs_are_the_gpus(family, case, tmp_path):
    found = cost_of(case, tmp_path, family, accelerator="gpu")
    assert found["device"] == torch.cuda.get_device_name()
    # Tensors alone, not the process.
    assert 0 < found["peak_bytes"] < 100e6
    assert all(seconds > 0 for seconds in found["encode_s"] + found["decode_s"])


def test_energy_is_read_from_the_gpus_counter():
    x = torch.randn(4096, 4096, device="cuda")

    def busy():
        for _ in range(200):
            x @ x
        torch.cuda.synchronize()

    energy_kwh, emissions_kg = cost.energy_per_call(busy, 10)
    assert energy_kwh > 0
    assert emissions_kg > 0


@pytest.mark.parametrize("loss", [chamfer, lambda a, b: sinkhorn(a, b, blur=0.01, scaling=0.5)])
def test_losses_and_gradients_are_those_of_a_cpu(loss):
    configure_torch(1)
    a, b = torch.randn(3, 300, 3), torch.randn(3, 257, 3) + 0.2
    found = []
    for device in ("cpu", "cuda"):
        moved = a.detach().to(device).requires_grad_()
        value = loss(moved, b.to(device))
        value.sum().backward()
        found.append((value.detach().cpu().numpy(), moved.grad.cpu().numpy()))
    (cpu, cpu_gradient), (gpu, gpu_gradient) = found
    np.testing.assert_allclose(gpu, cpu, rtol=1e-4)
    assert relative(gpu_gradient, cpu_gradient) < 1e-2


@pytest.mark.parametrize("family", [*INVARIANT, "classical_image", "classical_pointcloud"])
def test_a_training_step_waits_for_nothing(family):
    config = small_config(family)
    model = models.create(family, **config["architecture"]).cuda()
    if "image" in family:
        x = torch.randn(2, 1, *3 * [model.size], device="cuda")
    else:
        x = torch.randn(2, 80, 3, device="cuda")
    batch = Batch(x, x, x[..., 0].contiguous()) if family.endswith("_sdf") else Batch(x)
    generator = torch.Generator().manual_seed(1)

    def step():
        terms = model.loss_terms(batch, generator)
        (terms.output.square().mean() + terms.divergence.mean()).backward()

    step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("how", [True, "cuda_graphs"])
def test_compiled_trainings_lose_as_plain_ones(how, family, case, tmp_path):
    plain, _ = trained(case, tmp_path / "plain", family)
    compiled, _ = trained(case, tmp_path / "compiled", family, compile=how)
    losses = ["train_loss", "val_loss"]
    np.testing.assert_allclose(compiled[losses], plain[losses], rtol=2e-2)
