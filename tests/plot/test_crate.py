"""RO-Crates of figures, read back by the library and by hand."""

import json
import zipfile

import pytest
from paths import ROOT

rocrate = pytest.importorskip("rocrate.rocrate")

JOB = {"rule": "train", "version": "v0.1.0-3-gabc", "python": "3.11.7", "when": "2026-11-27 21:47:27 +0000"}
JOB |= {"host": "node1", "cores": "8", "packages": "numpy 1.26.4, torch 2.13.0"}
CELLS = {
    "title": "My cells",
    "licence": "CC BY 4.0",
    "citation": "Doe 2026",
    "source": {"location": "s3://a/b"},
}


def test_a_crate_holds_figure_workflow_inputs_versions_and_licences(tmp_path):
    from morphobench.plot import crate

    (tmp_path / "tables").mkdir()
    for name in ("f.pdf", "tables/a_cells.csv"):
        (tmp_path / name).write_text("content")
    outputs = {"pdf": tmp_path / "f.pdf", "tables": tmp_path / "tables"}
    jobs = [{**JOB, "when": "2026-11-28 01:00:00 +0100"}, JOB]
    out = tmp_path / "f.crate.zip"
    places = {"clone": ROOT, "config": ROOT / "config"}
    crate.run(outputs, out, title="Figure", datasets={"mine": CELLS}, jobs=jobs, **places)
    with zipfile.ZipFile(out) as archive:
        names = set(archive.namelist())
        graph = json.loads(archive.read("ro-crate-metadata.json"))["@graph"]
    assert {
        "f.pdf",
        "tables/a_cells.csv",
        "Snakefile",
        "config/config.yaml",
        "workflow/rules/plot.smk",
    } <= names
    known = {entity["@id"]: entity for entity in graph}
    assert known["Snakefile"]["version"] == "v0.1.0-3-gabc"
    assert known["#mine"]["license"] == "CC BY 4.0"
    assert known["#mine"]["description"] == "location: s3://a/b"
    run = known["#run"]
    assert run["@type"] == "CreateAction"
    assert (run["startTime"], run["endTime"]) == ("2026-11-27T21:47:27+00:00", "2026-11-28T01:00:00+01:00")
    assert [one["@id"] for one in run["object"]] == ["#mine"]
    assert {one["@id"] for one in run["result"]} == {"f.pdf", "tables/"}
    assert known["#torch-2.13.0"]["softwareVersion"] == "2.13.0"
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path / "opened")
    opened = rocrate.ROCrate(tmp_path / "opened")
    assert opened.mainEntity.id == "Snakefile"
