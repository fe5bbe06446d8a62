"""YAML files: what is quoted stays text, keys stand once, names of files are those of data sets."""

from __future__ import annotations

import pytest
from paths import ROOT

from morphobench import config
from morphobench.config import paths, schema
from morphobench.errors import InputError


def read(tmp_path, text, encoding="utf-8"):
    (tmp_path / "a.yaml").write_bytes(text.encode(encoding))
    return schema.read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["488", "0", "1_1", "NaN", "2024", "1e-3", "true", "null", "01", "~"])
def test_quoted_is_text(tmp_path, text):
    assert read(tmp_path, f"a: \"{text}\"\nb: '{text}'\n") == {"a": text, "b": text}


@pytest.mark.parametrize(("text", "number"), [("1e-3", 1e-3), ("2E+2", 200.0), ("1.5e3", 1500.0), ("7", 7)])
def test_what_is_not_quoted_is_a_number(tmp_path, text, number):
    assert read(tmp_path, f"a: {text}\n") == {"a": number}


@pytest.mark.parametrize(
    ("text", "key", "first", "second"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", 1, 3),
        ("source:\n  x: 1\ntitle: t\nsource:\n  y: 1\n", "source", 1, 4),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "b", 2, 4),
        ("a:\n- {b: 1}\n- {b: 1,\n   b: 2}\n", "b", 3, 4),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path, text, key, first, second):
    with pytest.raises(
        InputError, match=rf"a\.yaml: key '{key}' stands twice, in lines {first} and {second}"
    ):
        read(tmp_path, text)


def test_merged_keys_may_be_replaced(tmp_path):
    assert read(tmp_path, "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")["b"] == {"x": 1, "y": 3}


def test_other_encodings_than_utf_8_are_told(tmp_path):
    assert read(tmp_path, "\ufeffa: µ\n") == {"a": "µ"}
    with pytest.raises(InputError, match=r"a\.yaml is not UTF-8"):
        read(tmp_path, "a: µ\n", "latin-1")


def test_only_what_came_through_the_command_line_is_typed():
    paper = schema.read_yaml(ROOT / "config/config.yaml")
    given = {
        "seed": "7",
        "max_cells": "null",
        "download": {"cache": "2024"},
        "datasets": {
            "pcna": {
                "title": "2024",
                "n_shards": "3",
                "channels": {"structure": "488"},
                "source": {"channel_names": {"crop_raw": ["488"]}, "keep": {"plate": ["01", "1"]}},
            }
        },
        "models": {"classical_image": {"training": {"lr": "1e-3"}, "architecture": {"latent_dim": "8"}}},
    }
    typed = schema.typed_config(given, ROOT)
    assert typed["seed"] == 7
    assert typed["max_cells"] is None
    assert typed["download"]["cache"] == "2024"
    pcna = typed["datasets"]["pcna"]
    assert (pcna["title"], pcna["n_shards"], pcna["channels"]["structure"]) == ("2024", 3, "488")
    assert pcna["source"] == given["datasets"]["pcna"]["source"]
    model = typed["models"]["classical_image"]
    assert (model["training"]["lr"], model["architecture"]["latent_dim"]) == (1e-3, 8)
    resolved = config.resolve(schema.merge(paper, {"datasets": {"pcna": {"title": "2024"}}}), ROOT)
    assert resolved["datasets"]["pcna"]["title"] == "2024"
    assert config.resolve(paper, ROOT, {"seed": "7"})["seed"] == 7
    with pytest.raises(InputError, match="seed: '7' is not of type 'integer'"):
        config.resolve(paper | {"seed": "7"}, ROOT)


def test_a_number_where_text_is_meant_says_how_to_write_it():
    paper = schema.read_yaml(ROOT / "config/config.yaml")
    with pytest.raises(InputError, match="title: 2024 is not of type 'string'; put it in quotes"):
        config.resolve(schema.merge(paper, {"datasets": {"pcna": {"title": 2024}}}), ROOT)


@pytest.mark.parametrize(
    "name",
    ["MyWorm.yaml", "My-Cells.yaml", "mine.yml", "._mine.yaml", "mine.YAML", "my cells.yaml", "all.yaml"],
)
def test_a_file_that_is_no_name_of_a_data_set_is_named(tmp_path, name):
    folder = config.Path("config/datasets")
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / name).write_text("title: a\n")
    with pytest.raises(InputError) as caught:
        schema.list_files(folder, tmp_path)
    assert f"config/datasets/{name}" in str(caught.value)


def test_other_files_beside_them_are_none(tmp_path):
    for name in ("mine.yaml", "template.yaml.example", "notes.txt"):
        (tmp_path / name).touch()
    assert list(schema.list_files(config.Path(), tmp_path)) == ["mine"]


def test_the_home_folder_stands_for_a_tilde_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for keys in (paths.OF_CONFIG, paths.OF_MODEL, paths.OF_DATASET):
        for key in keys:
            *above, last = key.split(".")
            given, expected = {last: "~/a"}, {last: str(tmp_path / "a")}
            for part in reversed(above):
                given, expected = {part: given}, {part: expected}
            assert paths.expanded(given, keys, "a.yaml") == expected


@pytest.mark.parametrize(
    ("path", "words"),
    [(r"C:\data", "a path of Windows"), (r"data\a.csv", "Windows"), ("~no_such_user/a", "no such user")],
)
def test_paths_that_are_none_here_are_refused(path, words):
    with pytest.raises(InputError, match=words):
        paths.expanded({"source": {"cells": path}}, paths.OF_DATASET, "a.yaml")
