"""Several processes train as one: the same cells in the same steps, the same weights, one writer."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from fabricate.sampled import N_POINTS, write_sampled
from fabricate.trained import TRAIN_CONFIG, run_training, small_config
from torch import nn
from torch.utils.data import SequentialSampler

from morphobench.errors import InputError
from morphobench.models.base import Autoencoder, Embedding
from morphobench.models.cells import EpochOrder
from morphobench.train import run as train
from morphobench.train.batches import Batches, DistributedOrder, batch_size_per_device
from morphobench.train.checkpoints import checkpoint_to_resume, epoch_rows
from morphobench.train.module import model_weights

TWO = {**TRAIN_CONFIG, "devices": 2}


class Linear(Autoencoder):
    """No batch statistics, so that a step depends on the cells alone and not on how they are shared."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Linear(3 * N_POINTS, 8), nn.Linear(8, 3 * N_POINTS)

    def infer(self, x):
        return Embedding(self.down(x.flatten(1)), None)

    def decode(self, z, pose=None):
        return self.up(z).unflatten(1, (N_POINTS, 3))


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return write_sampled(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(("n", "n_processes", "batch"), [(8, 2, 4), (12, 3, 6), (10, 2, 4)])
def test_processes_together_see_the_batches_of_one(n, n_processes, batch):
    whole = EpochOrder(n, seed=3)
    shares = [DistributedOrder(EpochOrder(n, seed=3), rank, n_processes) for rank in range(n_processes)]
    each = batch_size_per_device(batch, n_processes)
    for epoch in range(3):
        for order in (whole, *shares):
            order.set_epoch(epoch)
        expected, rows = list(whole), [list(share) for share in shares]
        for step in range(n // batch):
            seen = [row for mine in rows for row in mine[step * each : (step + 1) * each]]
            assert sorted(seen) == sorted(expected[step * batch : (step + 1) * batch])


@pytest.mark.parametrize("n", [1, 3, 7])
def test_processes_have_as_many_cells_each_and_leave_none_out(n):
    shares = [list(DistributedOrder(SequentialSampler(range(n)), rank, 4)) for rank in range(4)]
    assert {len(share) for share in shares} == {-(-n // 4)}
    assert set().union(*shares) == set(range(n))


def fitted(case, folder, trainer, max_epochs):
    chosen = small_config("classical_pointcloud", loss="mse", jitter=0.0, max_epochs=max_epochs, lr=1e-2)
    folder.mkdir(exist_ok=True)
    torch.manual_seed(4)
    batches = Batches(case.manifest, case.shards, chosen, 7)
    train.fit(Linear(), batches, trainer, folder=folder, threads=1)
    return model_weights(folder / "last.ckpt"), epoch_rows(checkpoint_to_resume(folder))


@pytest.mark.long
def test_two_processes_give_the_weights_of_one_and_go_on_when_interrupted(case, tmp_path):
    alone, expected = fitted(case, tmp_path / "one", TRAIN_CONFIG, 4)
    # Where it was cut does not matter: what two processes go on from, one may have left.
    fitted(case, tmp_path / "two", TRAIN_CONFIG, 2)
    together, rows = fitted(case, tmp_path / "two", TWO, 4)
    start = Linear().state_dict()
    assert alone.keys() == together.keys() == start.keys()
    for key in alone:
        torch.testing.assert_close(together[key], alone[key], rtol=1e-4, atol=1e-6)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    np.testing.assert_allclose(
        [row["train_loss"] for row in rows], [row["train_loss"] for row in expected], rtol=1e-4
    )
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["best.ckpt", "last.ckpt"]


@pytest.mark.long
def test_what_one_process_cannot_do_ends_all_with_its_message(case, tmp_path):
    chosen = copy.deepcopy(small_config("classical_pointcloud", lr=1e30, max_epochs=9))
    with pytest.raises(InputError, match=r"^the (train|val) loss is .*training\.lr") as caught:
        run_training(case, tmp_path, chosen, devices=2)
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "model.pt").exists()
