"""Checkpoints out and in: every family keeps its codes, and nothing in a file is executed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fabricate.malice import Malice
from fabricate.published_folders import DOWNLOAD
from fabricate.trained import FAMILIES, intensity_config, small_config

from morphobench import models
from morphobench.errors import InputError
from morphobench.published import checkpoint, weights
from morphobench.published.model_config import parse_section, to_section

CASES = {family: small_config(family) for family in FAMILIES} | {
    "plane": small_config("classical_pointcloud"),
    "published_intensity": intensity_config(),
}
CASES["plane"]["architecture"] = {**CASES["plane"]["architecture"], "grid": "plane"}
CASES["published_intensity"]["architecture"]["variant"] = "published"
# No published class can be configured to be these.
OWN = {"corrected_intensity": intensity_config(), "gaussian": small_config("classical_pointcloud")}
OWN["gaussian"]["architecture"]["prior"] = "gaussian"


def trained(folder: Path, chosen: dict) -> Path:
    torch.manual_seed(3)
    model = models.create(chosen["family"], **chosen["architecture"])
    models.save(model, chosen, folder / "model.pt")
    return folder / "model.pt"


def published(folder: Path, chosen: dict, name: str = "model") -> dict:
    """Publish one untrained model; return the dataset that names it."""
    used = checkpoint.write(folder / "bucket", {name: trained(folder, chosen)}, {"name": "tiny"}, 5)
    return {"name": "tiny", "published": {"location": str(folder / "bucket"), **used}}


def fetched(folder: Path, described: dict, chosen: dict, name: str = "model"):
    outs = folder / "out/model.pt", folder / "out/record.json"
    checkpoint.run(
        *outs,
        dataset=described,
        model=name,
        model_config=chosen,
        seed=5,
        source_digest="c",
        download_config=DOWNLOAD,
    )
    return *models.load(outs[0]), json.loads(outs[1].read_text())


def batch(chosen: dict) -> torch.Tensor:
    torch.manual_seed(4)
    if chosen["representation"] == "cube":
        return torch.randn(3, 1, 9, 9, 9)
    return torch.randn(3, 40, 4 if chosen.get("intensity") else 3)


@pytest.mark.parametrize("name", [*CASES, *OWN])
def test_a_model_keeps_its_weights_and_codes(name, tmp_path):
    chosen = (CASES | OWN)[name]
    described = published(tmp_path, chosen)
    file = described["published"]["checkpoints"]["model"]
    assert file.endswith(".pt" if name in OWN else ".ckpt")
    before, _ = models.load(tmp_path / "model.pt")
    after, used, record = fetched(tmp_path, described, chosen)
    with torch.no_grad():
        torch.testing.assert_close(after.encode(batch(chosen)), before.encode(batch(chosen)))
        if chosen["representation"] != "surface":
            code = before.encode(batch(chosen))
            torch.testing.assert_close(after.decode(code), before.decode(code))
    for key in ("representation", "input_scale", "intensity"):
        assert used.get(key) == chosen.get(key)
    assert record["parameters"] == sum(p.numel() for p in before.parameters())
    assert record["train_s"] is None
    assert len(record["published"]["sha256"]) == 64
    keys = record["published"]["keys"]
    if name in CASES:
        assert len(keys["matched"]) == len(before.state_dict())
        assert keys["missing"] == keys["unexpected"] == keys["misshapen"] == []


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_has_weights_alone_and_a_plain_yaml(name, tmp_path):
    described = published(tmp_path, CASES[name])
    path = tmp_path / "bucket" / described["published"]["checkpoints"]["model"]
    content = torch.load(path, weights_only=True)
    assert set(content) == {"state_dict"}
    told = yaml.safe_load(path.with_suffix(".yaml").read_text())
    assert parse_section(told["model"], "grid.npy").family == CASES[name]["family"]


def test_published_names_are_those_of_the_listings():
    chosen = CASES["classical_image"]
    model = models.create(chosen["family"], **chosen["architecture"])
    section = to_section(chosen["family"], chosen["architecture"])
    names = weights.published_state(model, parse_section(section | {"x_label": "pcloud"}, None))
    assert {name.split(".")[0] for name in names} == {"encoder", "decoder"}
    assert any(name.startswith("decoder.pcloud.") for name in names)
    assert not any(name.startswith("decoder.image.") for name in names)


def test_the_grid_of_another_is_copied_beside_the_model(tmp_path):
    chosen = small_config("classical_pointcloud")
    described = published(tmp_path, chosen)
    grid = tmp_path / "bucket" / described["published"]["grid_file"]
    np.save(grid, np.random.default_rng(0).normal(size=(11, 3)))
    _, used, _ = fetched(tmp_path, described, chosen)
    grid.unlink()
    model, _ = models.load(tmp_path / "out/model.pt")
    assert Path(used["architecture"]["grid_file"]) == tmp_path / "out/grid.npy"
    assert model.decoder["pcloud"].grid.shape == (11, 3)


def test_models_that_fold_other_points_keep_their_own_format(tmp_path):
    chosen = small_config("classical_pointcloud")
    wider = small_config("classical_pointcloud")
    wider["architecture"]["n_output_points"] = 50
    for name, one in {"a": chosen, "b": wider}.items():
        (tmp_path / name).mkdir()
        trained(tmp_path / name, one)
    files = {name: tmp_path / name / "model.pt" for name in "ab"}
    used = checkpoint.write(tmp_path / "bucket", files, {"name": "tiny"}, 5)
    assert [Path(name).suffix for name in used["checkpoints"].values()] == [".ckpt", ".pt"]


def test_another_family_is_refused(tmp_path):
    described = published(tmp_path, small_config("classical_pointcloud"))
    with pytest.raises(InputError, match=r"holds a classical_pointcloud, but config/models/model\.yaml"):
        fetched(tmp_path, described, small_config("rotation_invariant_pointcloud"))


# Bad input


@pytest.mark.parametrize("suffix", [".ckpt", ".pt"])
@pytest.mark.parametrize("raw", [True, False])
def test_a_pickle_bomb_is_refused_and_not_run(tmp_path, suffix, raw):
    chosen = (OWN["gaussian"] if suffix == ".pt" else CASES["plane"]) | {}
    described = published(tmp_path, chosen)
    path = tmp_path / "bucket" / described["published"]["checkpoints"]["model"]
    assert path.suffix == suffix
    mark = tmp_path / "executed"
    if raw:
        path.write_bytes(pickle.dumps({"state_dict": Malice(mark)}))
    else:
        torch.save({"state_dict": {"a": Malice(mark)}, "model_config": "{}"}, path)
    with pytest.raises(InputError, match=path.name.replace(".", r"\.")):
        fetched(tmp_path, described, chosen)
    assert not mark.exists()
    assert not (tmp_path / "out/model.pt").exists()


def change_state(path, change):
    content = torch.load(path, weights_only=True)
    change(content["state_dict"])
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("decoder.pcloud.folding1.0.bias"), "1 missing: decoder"),
        (lambda s: s.update({"decoder.pcloud.folding1.0.bias": torch.zeros(3)}), "1 of another shape"),
        (lambda s: s.update({"backbone.weight": torch.zeros(3)}), "1 unexpected: backbone"),
    ],
)
def test_any_tensor_that_does_not_fit_is_an_error(tmp_path, change, words):
    chosen = CASES["plane"]
    described = published(tmp_path, chosen)
    change_state(tmp_path / "bucket" / described["published"]["checkpoints"]["model"], change)
    with pytest.raises(InputError, match=words):
        fetched(tmp_path, described, chosen)


@pytest.mark.parametrize(
    ("gone", "purpose"), [(".ckpt", "a checkpoint of"), (".yaml", r"the yaml beside .*model\.ckpt")]
)
def test_a_missing_file_is_named_with_its_purpose(tmp_path, gone, purpose):
    described = published(tmp_path, CASES["plane"])
    path = tmp_path / "bucket" / described["published"]["checkpoints"]["model"]
    path.with_suffix(gone).unlink()
    with pytest.raises(InputError, match=rf"tiny: .*model\{gone}.*{purpose}"):
        fetched(tmp_path, described, CASES["plane"])


@pytest.mark.parametrize("name", ["../model.ckpt", "/etc/model.ckpt"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    described = published(tmp_path, CASES["plane"])
    described["published"]["checkpoints"]["model"] = name
    with pytest.raises(InputError, match="leaves .*Mend it"):
        fetched(tmp_path, described, CASES["plane"])


def test_sphere_models_without_their_points_say_what_is_missing(tmp_path):
    described = published(tmp_path, small_config("classical_pointcloud"))
    described["published"]["grid_file"] = None
    with pytest.raises(InputError, match="grid_file"):
        fetched(tmp_path, described, small_config("classical_pointcloud"))
