"""Where, when and with which versions jobs were done, from logs that jobs wrote."""

import platform

from morphobench import log
from morphobench.jobs import provenance


def test_the_head_of_a_log_is_read_back(tmp_path):
    with log.job(tmp_path / "train/mine/seed-42.log"):
        pass
    (tmp_path / "train/mine/killed.log").write_text("12:00:00 INFO morphobench v0.1.0")
    (tmp_path / "train/other").mkdir()
    (tmp_path / "train/other/seed-42.log").write_bytes((tmp_path / "train/mine/seed-42.log").read_bytes())
    (row,) = provenance.collect(["mine"], tmp_path)
    assert (row["rule"], row["version"]) == ("train", log.version())
    assert (row["python"], row["host"]) == (platform.python_version(), platform.node())
    assert row["packages"].startswith("numpy ")
    assert row["when"][:2] == "20"
    assert int(row["cores"]) > 0
    assert provenance.collect(["nothing"], tmp_path) == []
