"""A file that asks for more than it is costs its cell a reason, no memory, no time and no traceback."""

from __future__ import annotations

import ast
import functools
import io
import json
import os
import pickle
import resource
import select
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from fabricate.malice import Malice
from paths import ROOT

# Memory that an attack may take beyond what the process has after its imports, MiB; and seconds.
MEMORY_MIB, TIME_S = 300, 20

RUN = """
import resource, sys
from pathlib import Path
import numpy, pandas, torch, tifffile, trimesh, plyfile, scipy.ndimage
from morphobench.errors import InputError
from morphobench.files import factors, file_rows, image_library, images, limits, npz, packings
from morphobench.download import stack
from morphobench.geometry import meshes
from morphobench.models.cloud import folding
from morphobench import models
from morphobench.published import packing, polymorphic, punctate, weights

image_library.library()
ATTACKS = dict(
    tiff_row=lambda p: file_rows.read_row(p, "tiff"),
    tiff_channels=lambda p: images.read_channels(p, None, spacing_um_zyx=[1, 1, 1]),
    tiff_published=lambda p: packing.read_image(p, 16),
    npy_row=lambda p: file_rows.read_row(p, "npy"),
    grid=folding.read_grid,
    distances=lambda p: polymorphic._clouds(
        dict(points=numpy.ones((4, 3)), normals=numpy.ones((4, 3))), p, p.parent / "points.npz", p),
    arrays=polymorphic.read_arrays,
    stack=stack.read_volumes,
    factors=factors.read_factors,
    packing=packings.read_positions,
    checkpoint=lambda p: weights.read(p, p.parent / "good.yaml"),
    model=models.load,
    yaml=lambda p: weights.read(p.parent / "none.ckpt", p),
    cloud=lambda p: punctate.read_cloud(p, 1.0),
    mesh=meshes.read_closed_mesh,
)
print("ready", flush=True)
for line in sys.stdin:
    kind, path = line.strip().split("\\t")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        ATTACKS[kind](Path(path))
        said = "read"
    except InputError as error:
        said = "InputError " + str(error)
    except BaseException as error:
        said = "crash " + repr(error)[:300]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(repr((said[:2000], grown // 1024)), flush=True)
"""


class Victim:
    """A process that reads what it is given, and says what came of it; another one when it has died."""

    def __init__(self, script: Path) -> None:
        script.write_text(RUN)
        self.script, self.process = script, None

    def start(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        # A limit far above what is allowed: the machine that runs the tests should live.
        limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (6 * 2**30,) * 2)  # noqa: E731
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, self.script]
        self.process = subprocess.Popen(command, env=environment, preexec_fn=limit, **pipes)
        assert self.process.stdout.readline() == "ready\n"

    def read(self, kind: str, path: Path) -> tuple[str, int]:
        if self.process is None:
            self.start()
        self.process.stdin.write(f"{kind}\t{path}\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], TIME_S)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.close()
        assert line, "it took too long, or too much memory"
        return ast.literal_eval(line)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    victim = Victim(tmp_path_factory.mktemp("victim") / "run.py")
    yield victim
    victim.close()


def tiff(shape, compression="zlib"):
    """A TIFF of zeros, every plane of which is the same few bytes."""
    n_planes, height, width = shape
    strip = zlib.compress(bytes(height * width), 9)
    entries = 9
    size = 2 + 12 * entries + 4
    data = 8 + n_planes * size
    out = io.BytesIO()
    out.write(struct.pack("<2sHI", b"II", 42, 8))
    for plane in range(n_planes):
        tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1)]
        tags += [(273, 4, data), (277, 3, 1), (278, 4, height), (279, 4, len(strip))]
        out.write(struct.pack("<H", entries))
        for tag, kind, value in tags:
            out.write(
                struct.pack("<HHI", tag, kind, 1)
                + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value))
            )
        out.write(struct.pack("<I", 8 + (plane + 1) * size if plane < n_planes - 1 else 0))
    return out.getvalue() + strip


def npy_header(descr, shape, order=False):
    text = (
        repr({"descr": descr, "fortran_order": order, "shape": shape})
        if not isinstance(shape, str)
        else shape
    )
    text = text.ljust(118) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def npz(entries, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def nested(text, depth):
    return text[0] * depth + text[1] * depth


def packing(inside):
    return f'{{"0": {{"nucleus_interior_pcna": {inside}}}}}'.encode()


GOOD = {"values.npy": npy_header("<f8", (1,)) + bytes(8), "keys.npy": npy_header("<i8", (1,)) + bytes(8)}
HUGE = 10**12
PUT = b"\x80\x02(lr\xff\xff\xff\x7f."  # remembers a list as number 2,147,483,647
LAUGHS = "\n".join(
    ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
)


def pickled_npy(pickled):
    return npy_header("|O", (1,)) + pickled


def doubled():
    both = ["x"]
    for _ in range(40):
        both = [both, both]
    return pickle.dumps([both], protocol=2)


@functools.cache
def compressed_checkpoint():
    """A torch archive of half a gigabyte of zeros, deflated to half a megabyte."""
    out = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(8)}}, out)
    squeezed = io.BytesIO()
    with zipfile.ZipFile(out) as old, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                # 8 numbers become 2**27.
                data = data.replace(b"K\x08", b"J" + struct.pack("<i", 2**27))
            if entry.filename.endswith("/data/0"):
                data = bytes(2**29)
            new.writestr(entry.filename, data)
    return squeezed.getvalue()


def ply(n, body=b"", form="binary_little_endian"):
    lines = ["ply", f"format {form} 1.0", f"element vertex {n}"]
    lines += [f"property double {name}" for name in "xyzs"] + ["end_header", ""]
    return "\n".join(lines).encode() + body


MODEL = """
model:
  _target_: cyto_dl.models.vae.ImageVAE
  latent_dim: {latent}
  in_shape: [1, {size}, {size}, {size}]
  channels: [{channels}]
  strides: [{strides}]
"""

CASES = {
    "a TIFF of 2.4 GB in 0.1 MB": ("tiff_row", "a.tiff", lambda: tiff((600, 2000, 2000))),
    "read by channels": ("tiff_channels", "a.tiff", lambda: tiff((600, 2000, 2000))),
    "a published image": ("tiff_published", "a.tiff", lambda: tiff((600, 2000, 2000))),
    "planes of 4 G voxels": (
        "tiff_row",
        "a.tiff",
        lambda: tiff((2, 2, 2)).replace(
            struct.pack("<HHII", 256, 4, 1, 2), struct.pack("<HHII", 256, 4, 1, 2**32 - 1)
        ),
    ),
    "an npy of a terabyte": ("npy_row", "a.npy", lambda: npy_header("<f8", (HUGE, 1, 1)) + bytes(99)),
    "negative lengths": ("grid", "a.npy", lambda: npy_header("<f8", (-HUGE, -2)) + bytes(99)),
    "a grid of a terabyte": ("grid", "a.npy", lambda: npy_header("<f8", (HUGE, 3)) + bytes(99)),
    "a grid of nothing": ("grid", "a.npy", lambda: npy_header("<U0", (HUGE, 3)) + bytes(99)),
    "lengths without end": (
        "grid",
        "a.npy",
        lambda: npy_header("<f8", "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}"),
    ),
    "a deep header": ("grid", "a.npy", lambda: npy_header("<f8", nested("()", 4000))),
    "distances of a terabyte": ("distances", "a.npy", lambda: npy_header("<f8", (HUGE,)) + bytes(99)),
    "arrays of a terabyte": ("arrays", "a.npz", lambda: npz({"points.npy": npy_header("<f8", (HUGE, 3))})),
    "arrays of nothing": ("arrays", "a.npz", lambda: npz({"points.npy": npy_header("<U0", (HUGE, 3))})),
    "bzip2": (
        "stack",
        "a.npz",
        lambda: npz({"volumes.npy": npy_header("|b1", (2**10,) * 3) + bytes(2**27)}, zipfile.ZIP_BZIP2),
    ),
    "lzma": ("factors", "a.npz", lambda: npz({"keys.npy": bytes(2**20)}, zipfile.ZIP_LZMA)),
    "a trillion empty keys": (
        "factors",
        "a.npz",
        lambda: npz(GOOD | {"keys.npy": npy_header("<U0", (HUGE,))}),
    ),
    "factors of a terabyte": (
        "factors",
        "a.npz",
        lambda: npz(GOOD | {"values.npy": npy_header("<f8", (HUGE,))}),
    ),
    "a remembered object far away": ("factors", "a.npz", lambda: npz(GOOD | {"keys.npy": pickled_npy(PUT)})),
    "lists that double": ("factors", "a.npz", lambda: npz(GOOD | {"keys.npy": pickled_npy(doubled())})),
    "deep brackets": ("packing", "a.json", lambda: packing(nested("[]", 100_000))),
    "a number of 400 digits": ("packing", "a.json", lambda: packing(f"[[{10**400}, 1, 2]]")),
    "a number of 10,000 digits": ("packing", "a.json", lambda: packing(f"[[{'9' * 10_000}, 1, 2]]")),
    "an infinite number": ("packing", "a.json", lambda: packing("[[1e999, 1, 2]]")),
    "no list": ("packing", "a.json", lambda: b'{"0": [1, 2]}'),
    "a list for a dictionary": ("packing", "a.json", lambda: b'["0"]'),
    "24 MB of brackets": ("packing", "a.json", lambda: packing("[" + "[]," * 8_000_000 + "[]]")),
    "a compressed checkpoint": ("checkpoint", "a.ckpt", compressed_checkpoint),
    "a compressed model": ("model", "a.pt", compressed_checkpoint),
    "yaml that laughs": ("yaml", "a.yaml", lambda: f"{LAUGHS}\nmodel: {{group: *a29}}".encode()),
    "yaml in a circle": ("yaml", "a.yaml", lambda: b"model: &a\n  group: *a\n"),
    "deep yaml": ("yaml", "a.yaml", lambda: nested("[]", 20_000).encode()),
    "large yaml": ("yaml", "a.yaml", lambda: b"a: b\n" * 300_000),
    "a huge latent space": (
        "yaml",
        "a.yaml",
        lambda: MODEL.format(latent=10**9, size=16, channels="4, 8", strides="1, 2").encode(),
    ),
    "huge channels": (
        "yaml",
        "a.yaml",
        lambda: MODEL.format(latent=8, size=16, channels="100000, 100000", strides="1, 2").encode(),
    ),
    "huge strides": (
        "yaml",
        "a.yaml",
        lambda: MODEL.format(latent=8, size=16, channels="4, 8", strides="1, 0").encode(),
    ),
    "a huge cube": (
        "yaml",
        "a.yaml",
        lambda: MODEL.format(latent=512, size=512, channels="512, 1024", strides="1, 1").encode(),
    ),
    "many levels": (
        "yaml",
        "a.yaml",
        lambda: MODEL.format(latent=8, size=16, channels=", ".join(["4"] * 999), strides="1, 2").encode(),
    ),
    "a cloud of a terabyte": ("cloud", "a.ply", lambda: ply(HUGE)),
    "a cloud of lines": ("cloud", "a.ply", lambda: ply(10**9, b"0 0 0 0\n", "ascii")),
    "a mesh of a terabyte": ("mesh", "a.ply", lambda: ply(HUGE)),
    "an STL of many faces": ("mesh", "a.stl", lambda: bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(50)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_asks_for_too_much_is_refused(case, victim, tmp_path):
    kind, name, make = CASES[case]
    path = tmp_path / name
    path.write_bytes(make())
    np.savez(tmp_path / "points.npz", points=np.ones((4, 3)))
    (tmp_path / "good.yaml").write_text(MODEL.format(latent=8, size=16, channels="4, 8", strides="1, 2"))
    said, grown_mib = victim.read(kind, path)
    assert said.startswith("InputError "), said
    assert grown_mib < MEMORY_MIB, (grown_mib, said)


@pytest.mark.parametrize("kind", ["checkpoint", "model", "factors"])
def test_hostile_pickles_are_not_executed(kind, victim, tmp_path):
    (tmp_path / "good.yaml").write_text(MODEL.format(latent=8, size=16, channels="4, 8", strides="1, 2"))
    mark, path = tmp_path / "mark", tmp_path / ("a.npz" if kind == "factors" else "a.ckpt")
    if kind == "factors":
        path.write_bytes(npz(GOOD | {"keys.npy": pickled_npy(pickle.dumps(Malice(mark)))}))
    else:
        torch.save({"state_dict": {"a": Malice(mark)}, "model_config": Malice(mark)}, path)
    said, _ = victim.read(kind, path)
    assert said.startswith("InputError "), said
    assert not mark.exists()


def test_what_asks_for_what_it_is_is_read(victim, tmp_path):
    """Large, but honest: the limits are above every published file."""
    volume = np.random.default_rng(1).integers(0, 9, (60, 300, 300), np.uint8)
    tifffile.imwrite(tmp_path / "a.tiff", volume, compression="zlib")
    np.save(tmp_path / "a.npy", volume)
    (tmp_path / "a.json").write_bytes(packing(json.dumps(np.ones((9000, 3)).tolist())))
    (tmp_path / "b.npz").write_bytes(
        npz({"volumes.npy": npy_header("|b1", (2, 64, 64, 64)) + bytes(2 * 64**3)})
    )
    for kind, name in [
        ("tiff_row", "a.tiff"),
        ("npy_row", "a.npy"),
        ("packing", "a.json"),
        ("stack", "b.npz"),
    ]:
        assert victim.read(kind, tmp_path / name)[0] == "read", name
