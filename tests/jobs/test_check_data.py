"""What `make check-data` says of places: as published, as before that form, and broken in every way."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from fabricate import packings
from fabricate.buckets import HIPSC, write_bucket
from fabricate.check_places import N_DRUG_CELLS, checked, write_drugs, write_former
from harness import s3_server
from harness.s3_server import BUCKET, Fault, away, server
from paths import ROOT

from morphobench.files.layout import positions_name
from morphobench.jobs import check_data, check_table
from morphobench.jobs.check_report import Report, entries

__all__ = ["away", "server"]

DRUGS = "aics/NPM1_single_cell_drug_perturbations"
PUBLISHED = "aics/morphology_appropriate_representation_learning"
MINUTE_S = 60


@pytest.fixture(scope="module")
def drugs(tmp_path_factory):
    return write_drugs(tmp_path_factory.mktemp("places") / "drugs")


@pytest.fixture
def bucket(away, drugs):
    """The drug set where its configuration looks for it."""
    away.put_folder(drugs, DRUGS)
    return away


@pytest.fixture
def nowhere(monkeypatch):
    """No server: published files cannot be looked for."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def own(drugs, tmp_path, nowhere):
    """A copy of the drug set to break."""
    return shutil.copytree(drugs, tmp_path / "own")


def manifest_of(folder):
    return pd.read_csv(folder / "manifest.csv")


def stop_of(report, *, words):
    """The one reason that would stop a run; it has to name the yaml's line and these words, in order."""
    assert len(report.stops) == 1, report.text()
    (reason,) = report.stops
    assert re.match(r"config/datasets/\w+\.yaml:\d+ \(", reason), reason
    assert re.search(".*".join(map(re.escape, words)), reason), reason
    assert report.text().splitlines()[2:4] == ["## Would stop a run", f"- {reason}"]
    return reason


def reasons_of(report):
    return " ".join([*report.stops, *report.remarks])


def test_every_value_of_a_yaml_has_its_line(tmp_path):
    text = "a: 1\nb:\n  c: [x, y]\n  d:\n    - {e: z}\n"
    (tmp_path / "one.yaml").write_text(text)
    found = {(entry.key, entry.text): entry.line for entry in reversed(entries(tmp_path / "one.yaml"))}
    assert found["a", "1"] == 1
    assert found["b.c", "y"] == found["b.c", ""] == 3
    assert (found["b.d", ""], found["b.d.e", "z"]) == (4, 5)
    for path in sorted((ROOT / "config/datasets").glob("*.yaml")):
        lines = path.read_text().splitlines()
        for entry in entries(path):
            if entry.text and not entry.key.startswith("published") and "&" not in lines[entry.line - 1]:
                assert entry.text.split()[0] in lines[entry.line - 1], (path, entry)


def test_a_reason_points_to_the_line_that_it_is_about():
    path = ROOT / "config/datasets/pcna.yaml"
    report, lines = Report("pcna", path), path.read_text().splitlines()
    report.stop("m.csv: column flag_comment is missing (found cell_stage_fine).", "source.cells")
    report.stop("m.csv: cannot be read.", "source.cells")
    report.stop("m.csv: cannot be read.", "source.cells")
    numbers = [int(re.search(r":(\d+) ", note)[1]) for note in report.stops]
    assert ["flag_comment" in lines[numbers[0] - 1], "cells:" in lines[numbers[1] - 1]] == [True, True]
    assert len(numbers) == 2


def test_a_place_in_the_published_form_passes_by_headers_alone(bucket, tmp_path):
    report = checked("npm1_perturb", cache=tmp_path / "cache")
    text = report.text()
    assert report.stops == []
    assert f"{N_DRUG_CELLS} rows, {N_DRUG_CELLS} cells of them are taken, 1,025 expected" in text
    voxel = "voxel z, y, x 0.29 x 0.108 x 0.108 um (from source.spacing_um_zyx)"
    assert text.count(f"ZYX 4 x 6 x 8, uint8; {voxel}") == 3
    assert text.count("channels NPM1_segmentation (from source.channel_names)") == 3
    assert "crop_seg (their crop_seg)" in text
    assert f"{N_DRUG_CELLS} files of crops" in text
    assert "yaml beside checkpoints: 0 of 5 there" in text
    asked = bucket.proxy.gets(DRUGS)
    assert sum("/crop_seg/" in one.path for one in asked) == 3
    assert not any("/crop_raw/" in one.path or "/crop_seg_nuc/" in one.path for one in asked)
    assert all(one.range for one in asked if "list-type" not in one.path)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_published_files_are_told_one_by_one_and_stop_only_the_entry_that_reads_them(bucket, tmp_path):
    folder = f"{PUBLISHED}/model_checkpoints/npm1_perturb"
    bucket.put({f"{folder}/Classical_image_seg.ckpt": b"x", f"{folder}/Classical_image_SDF.yaml": b"x"})
    report = checked("npm1_perturb", cache=tmp_path / "cache")
    missing = " ".join(report.remarks)
    assert "Classical_image_seg.yaml" in missing
    assert "Classical_image_SDF.ckpt" in missing
    assert "Classical_image_seg.ckpt" not in missing
    assert report.text().count("checkpoints: 1 of 5 there") == 2
    report = checked("npm1_perturb", cache=tmp_path / "cache", start_from="checkpoints")
    stops = " ".join(report.stops)
    assert "preprocessed_data/npm1_perturb/manifest.csv" in stops
    assert "Classical_image_SDF.ckpt" in stops
    assert "model_embeddings" not in stops
    assert "crop" not in report.text()


@pytest.mark.long
def test_data_sets_of_one_bucket_in_the_published_form(away, tmp_path):
    away.put_folder(write_bucket(tmp_path, HIPSC), "aics/hipsc_single_cell_image_dataset")
    for name in ("npm1", "other_polymorphic", "other_punctate"):
        report = checked(name, cache=tmp_path / "cache")
        text = report.text()
        # One cell of few has no file, on purpose.
        assert all("lack a file" in stop for stop in report.stops), text
        assert "nucleus_volume_um3 (their NUC_shape_volume)" in text
        assert "um (from scale_micron)" in text
        assert "(from name_dict)" in text
        assert ("crop_raw/" in text) == (name == "other_punctate")
    assert "the cells of npm1" in checked("npm1_64_res", cache=tmp_path / "cache").text()


def test_packings_in_a_bucket(away, tmp_path):
    shapes = packings.write_shapes(
        tmp_path / "shapes", {name: packings.ellipsoid((1, 1, 2)) for name in "abc"}
    )
    away.put_folder(shapes, "set/shapes")
    rules = ("random", "surface_gradient")
    names = {f"set/packings/{positions_name(rule, name, '0')}": b"{}" for rule in rules for name in "abc"}
    away.put(names)
    source = {"location": f"s3://{BUCKET}/set", "shapes": "shapes", "packings": "packings"}
    report = checked("cellpack", cache=tmp_path / "cache", source=source)
    missing = 4 * 3
    stop_of(
        report, words=[f"{missing} of {3 + 6 * 3} files are missing, first packings/positions_", "Restore"]
    )
    assert "3 shapes, 18 cells by their rules, 192 expected" in report.text()


def test_no_torch_is_loaded_and_the_exit_status_tells(tmp_path):
    command = """
import sys
from morphobench.files.layout import positions_name
from morphobench.jobs import check_data, check_table
status = check_data.main(["adrenal", "hipsc_nuclei"])
assert "torch" not in sys.modules
sys.exit(status)
"""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/resources").symlink_to(ROOT / "workflow/resources")
    yaml = tmp_path / "config/datasets/adrenal.yaml"
    for name, status, verdict in (("shapes", 0, "nothing would stop"), ("none", 1, "1 reason would stop")):
        yaml.write_text(yaml.read_text().replace("/shapes.npz", f"/{name}.npz"))
        arguments = [sys.executable, "-c", command]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        written = (tmp_path / "results/check/adrenal.md").read_text()
        assert written in done.stdout
        assert verdict in written
        assert "channels ['dna'] (from fov.channel_names)" in done.stdout


def test_a_contradiction_is_told_of_each_data_set(tmp_path, nowhere):
    folder = str(write_former("nuclear_project_dataset_4", tmp_path))
    for _ in range(2):
        assert "um in scale_micron" in checked("pcna", folder, cache=tmp_path / "cache").text()


def test_an_unknown_data_set_is_told(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert check_data.main(["nothing"]) == 1
    assert "config/datasets has" in capsys.readouterr().err


FORMER = {
    "pcna": (
        "nuclear_project_dataset_4",
        [
            r"n_cells",
            r"flag_comment .*no EGFP fluorescence \(found bad PCNA segmentation, no EGFP",
            r"M6M7_single",
        ],
    ),
    "npm1": (
        HIPSC,
        [r"source\.keep\.outlier\): .*column outlier", r"voxels are 0.36 um wide", r"n_cells"],
    ),
    "other_punctate": (HIPSC, [r"source\.keep\.outlier\): .*column outlier", r"voxels are 0.36 um wide"]),
    "npm1_perturb": (
        "NPM1_single_cell_drug_perturbations",
        [r"0.29 x 0.108 x 0.108 um .* but 0.42 x 0.3 x 0.3 um in the file", r"n_cells"],
    ),
}


@pytest.mark.parametrize("name", FORMER)
def test_each_difference_of_the_former_buckets_is_named(name, tmp_path, nowhere):
    folder, differences = FORMER[name]
    text = checked(name, str(write_former(folder, tmp_path)), cache=tmp_path / "cache").text()
    for difference in differences:
        assert re.search(difference, text), (difference, text)


# Bad input.


def put_manifest(bucket, table):
    bucket.put({f"{DRUGS}/manifest.csv": table.to_csv(index=False).encode()})


def test_the_manifest_of_another_data_set(bucket, tmp_path):
    put_manifest(bucket, pd.read_csv(write_former(HIPSC, tmp_path) / "metadata.csv"))
    report = checked("npm1_perturb", cache=tmp_path)
    assert re.search(r"manifest\.csv: column .*condition.* is missing.*mend", report.stops[0])


def test_a_renamed_column(bucket, tmp_path):
    put_manifest(bucket, manifest_of_bucket(bucket).rename(columns={"condition": "conditions"}))
    report = checked("npm1_perturb", cache=tmp_path)
    words = ["manifest.csv: column condition", "is missing", "mend", "Did you mean 'conditions'?"]
    stop_of(report, words=words)
    assert "/tmp/tmp" not in reasons_of(report)
    # What else is there is told all the same.
    assert "0.29 x 0.108 x 0.108 um" in report.text()


def test_a_large_manifest_in_parts_says_what_a_small_one_does(bucket, monkeypatch, tmp_path):
    whole = checked("npm1_perturb", cache=tmp_path)
    monkeypatch.setattr(check_table, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(check_table, "_N_PARTS", 2)
    monkeypatch.setattr(check_table, "_PART_BYTES", 2400)
    parts = checked("npm1_perturb", cache=tmp_path)
    assert parts.stops == whole.stops == []
    rows = int(re.search(r"about (\d+) rows", parts.text())[1])
    assert rows == pytest.approx(N_DRUG_CELLS, abs=1)
    for section in ("columns taken", "voxel z, y, x 0.29 x 0.108 x 0.108 um"):
        assert parts.text().count(section) == whole.text().count(section) > 0


def test_half_of_the_files_are_missing(bucket, tmp_path):
    keys = [f"{DRUGS}/{path}" for path in manifest_of_bucket(bucket)["crop_seg"][1::2]]
    for key in keys:
        bucket.owner.delete_object(Bucket=BUCKET, Key=key)
    report = checked("npm1_perturb", cache=tmp_path)
    (reason,) = [reason for reason in report.stops if "lack a file" in reason]
    assert f"{N_DRUG_CELLS // 2} of {N_DRUG_CELLS} cells" in reason
    assert keys[0].removeprefix(f"{DRUGS}/") in reason
    assert "Restore the files" in reason


def manifest_of_bucket(bucket):
    body = bucket.owner.get_object(Bucket=BUCKET, Key=f"{DRUGS}/manifest.csv")["Body"]
    return pd.read_csv(body)


@pytest.mark.parametrize("part", ["crop_seg/", "manifest.csv"])
def test_a_bucket_that_lists_but_does_not_read(part, bucket, tmp_path):
    bucket.proxy.faults = [Fault(f"{DRUGS}/{part}", s3_server.answer(403), times=100)]
    report = checked("npm1_perturb", cache=tmp_path)
    assert re.search(rf"{part}.*access denied \(403\).*check the location", report.stops[0])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (s3_server.mute, ["no bytes in time, 2 times in a row", "Check the network"]),
        (s3_server.refuse, ["the connection broke", "Check the network"]),
        (s3_server.answer(503), ["the server answers 503", "Check the network"]),
    ],
)
def test_a_stalled_place_is_told_within_a_minute(fault, words, bucket, tmp_path):
    bucket.proxy.faults = [Fault("/", fault, times=1000)]
    start = time.monotonic()
    stop_of(checked("npm1_perturb", cache=tmp_path), words=["manifest.csv", *words])
    assert time.monotonic() - start < MINUTE_S


def test_a_place_that_trickles_is_told_within_the_limit(monkeypatch, bucket, tmp_path):
    def trickle(handler, status, headers, body):
        s3_server.whole(handler, status, headers, b"")
        for byte in body:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.2)

    monkeypatch.setattr(check_data, "_LIMIT_S", 1.5)
    bucket.proxy.faults = [Fault(f"{DRUGS}/manifest.csv", trickle, times=1000)]
    start = time.monotonic()
    stop_of(checked("npm1_perturb", cache=tmp_path), words=["not told within 1.5 s", "Check the network"])
    assert time.monotonic() - start < 15


def test_a_quilt_registry_that_does_not_answer_is_told_within_the_limit(monkeypatch, away, tmp_path):
    def silent(*_):
        time.sleep(20)

    monkeypatch.setattr(check_data, "_LIMIT_S", 2.0)
    away.proxy.faults = [Fault("/", silent, times=1000)]
    start = time.monotonic()
    report = checked("pcna", cache=tmp_path)
    assert time.monotonic() - start < 20
    assert re.search(r"pcna\.yaml:\d+ \(source.*(not told within|cannot be read).*network", report.stops[0])


def test_empty_places(away, tmp_path):
    def reason(location=None, *words):
        return stop_of(checked("npm1_perturb", location, cache=tmp_path), words=words)

    reason(None, "manifest.csv: no such object (404)", "Mend")
    away.put({f"{DRUGS}/manifest.csv": b""})
    reason(None, "manifest.csv: is empty (0 bytes)", "Restore")
    reason("s3://nobody-has-this/x", "no such bucket", "Mend source.location")
    reason(str(tmp_path / "none"), "none: no such folder", "Mend")


class Web(BaseHTTPRequestHandler):
    """A web server: pages by path, redirections, and a table of two gigabytes made as it is asked for."""

    pages: dict = {}
    row_bytes, n_rows = 4000, 500_000
    sent = 0

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        if path in self.pages and isinstance(self.pages[path], bytes):
            self._send(200, self.pages[path])
        elif path in self.pages:
            status, where = self.pages[path]
            self._send(
                status,
                b"<Error><Code>PermanentRedirect</Code></Error>",
                **({"Location": where} if where else {}),
            )
        elif path == "big/manifest.csv":
            self._send_part()
        else:
            self._send(404, b"nothing")

    def _send_part(self) -> None:
        header = b"CellId,crop_raw,crop_seg,condition,fov_id,plate_id,filler\n"
        size = len(header) + self.row_bytes * self.n_rows
        first, last = (int(one) for one in self.headers["Range"].removeprefix("bytes=").split("-"))
        last = min(last, size - 1)
        start = max(first - len(header), 0) // self.row_bytes
        stop = max(last - len(header), 0) // self.row_bytes + 1
        body = b"".join(self._row(number) for number in range(start, stop))
        text, begin = (header + body, 0) if start == 0 else (body, len(header) + start * self.row_bytes)
        part = text[first - begin : last + 1 - begin]
        type(self).sent += len(part)
        self._send(206, part, **{"Content-Range": f"bytes {first}-{last}/{size}"})

    def _row(self, number: int) -> bytes:
        row = f"id-{number},raw/{number}.tif,seg/{number}.tif,DMSO (control),35_100X-P1-E01,{number % 9},"
        return row.encode().ljust(self.row_bytes - 1, b"x") + b"\n"

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(nowhere):
    handler = type("OwnWeb", (Web,), {"pages": {}, "sent": 0})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    handler.at = f"http://127.0.0.1:{server.server_address[1]}"
    yield handler
    server.shutdown()
    server.server_close()


def test_a_web_server_is_read_like_a_bucket(web, drugs, tmp_path):
    for path in drugs.rglob("*.*"):
        web.pages[path.relative_to(drugs).as_posix()] = path.read_bytes()
    web.do_HEAD = web.do_GET
    report = checked("npm1_perturb", web.at, cache=tmp_path)
    assert report.stops == []
    assert f"{N_DRUG_CELLS} files of crops" in report.text()


@pytest.mark.parametrize(
    ("status", "where", "words"),
    [
        (302, "/login", ["manifest.csv: a web page or XML (<!DOCTYPE html>", "mend source.location"]),
        (302, "/manifest.csv", ["manifest.csv: redirected more than 5 times", "Check"]),
        (301, None, ["manifest.csv: the server answers 301", "PermanentRedirect", "Check source.location"]),
    ],
)
def test_a_place_that_redirects(status, where, words, web, tmp_path):
    web.pages = {"manifest.csv": (status, where), "login": b"<!DOCTYPE html><html>Sign in</html>"}
    stop_of(checked("npm1_perturb", web.at, cache=tmp_path), words=words)


def test_a_table_of_two_gigabytes_is_read_in_parts(web, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    report = checked("npm1_perturb", f"{web.at}/big", cache=tmp_path)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert time.monotonic() - start < MINUTE_S
    assert grown_kb < 200_000
    assert web.sent < 40_000_000
    rows = re.search(r"about ([\d,]+) rows", report.text())
    assert int(rows[1].replace(",", "")) == pytest.approx(web.n_rows, rel=0.01)
    assert "1,025 expected" in report.text()


def test_a_user_with_paths_of_its_own(own, tmp_path):
    """A manifest without source.location, whose paths are absolute."""
    table = manifest_of(own)
    for kind in ("crop_raw", "crop_seg"):
        table[kind] = [str(own / path) for path in table[kind]]
    table.to_csv(own / "manifest.csv", index=False)
    source = {"location": None, "cells": os.path.relpath(own / "manifest.csv")}
    report = checked("npm1_perturb", cache=tmp_path, source=source)
    assert report.stops == [], report.text()
    assert "from source.channel_names" in report.text()
