"""The table of steerable kernels: what escnn samples, and read without it."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from morphobench.models.image.escnn_basis import sampled_bases, write
from morphobench.models.image.steerable_basis import EDGES, TABLE, kernel_bases

# Not imported here: that has to wait for `provide_py3nj`.
needs_escnn = pytest.mark.skipif(
    importlib.util.find_spec("escnn") is None, reason="escnn needs Python 3.11: make test"
)


@needs_escnn
@pytest.mark.parametrize("group", ["so3", "trivial"])
@pytest.mark.parametrize("edge", EDGES)
def test_the_table_holds_what_escnn_samples(edge, group):
    sampled, read = dict(sampled_bases(edge, group)), kernel_bases(edge, group)
    assert list(sampled) == list(read)
    for pair, basis in sampled.items():
        # escnn keeps its samples in float32, whose last bit depends on the processor.
        np.testing.assert_allclose(read[pair], basis, rtol=0, atol=1e-7)


@needs_escnn
def test_the_command_writes_the_same_bytes_each_time(tmp_path):
    for name in ("a.npz", "b.npz"):
        write(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as written, np.load(TABLE) as table:
        assert set(written) == set(table)


def test_other_edges_are_refused():
    with pytest.raises(ValueError, match="edge 5"):
        kernel_bases(5, "so3")


def test_models_are_made_without_escnn_and_lie_learn():
    code = (
        "import sys; sys.modules |= {'escnn': None, 'lie_learn': None}\n"
        "from morphobench.models.rotation_invariant_image import RotationInvariantImage as Model\n"
        "Model(size=9, latent_dim=2, channels=[1, 1], strides=[1, 2], num_res_units=1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
