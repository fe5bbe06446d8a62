"""Fabricated buckets: published layout, same bytes for a seed, labels that show, odd cells accounted for."""

from __future__ import annotations

import copy
import re

import numpy as np
import pandas as pd
import pytest
from aicsimageio import AICSImage
from fabricate.buckets import (
    BUCKETS,
    DRUGS,
    HIPSC,
    PCNA,
    ROOT,
    SEED,
    bucket_dataset,
    bucket_description,
    demo_config,
    write_bucket,
)
from scipy import ndimage

from morphobench import files
from morphobench.errors import InputError
from morphobench.fabricate import bucket, description
from morphobench.fabricate.body import Body, lumpy_level, make_body, semi_axes_um
from morphobench.files import images
from morphobench.files.shards import stage_module
from morphobench.mask import box as mask_box
from morphobench.mask import scale_factor as mask_scale_factor
from morphobench.sample import manifest as sample_manifest

CORNERS = np.ones((3, 3, 3))
RAW = ["dna", "membrane", "structure"]
SEG = [
    "dna_segmentation",
    "membrane_segmentation",
    "membrane_segmentation_roof",
    "struct_segmentation",
    "struct_segmentation_roof",
]
# What the published layout says of each bucket; None where the names are not known.
LAYOUT = {
    PCNA: ("metadata.csv", {"crop_raw": None, "crop_seg": SEG}),
    HIPSC: ("metadata.csv", {"crop_raw": RAW, "crop_seg": SEG}),
    DRUGS: (
        "manifest.csv",
        {"crop_raw": None, "crop_seg_nuc": None, "crop_seg_masked": ["NPM1_segmentation"]},
    ),
}
COLUMNS = {
    PCNA: "CellId structure_name crop_raw crop_seg name_dict cell_stage_fine flag_comment "
    "volume_of_nucleus_um3",
    HIPSC: "CellId FOVId structure_name crop_raw crop_seg name_dict cell_stage meta_colony_centroid "
    "dna_shape_volume_lcc scale_micron roi",
    DRUGS: "CellId crop_raw crop_seg_nuc crop_seg_masked plate_id condition condition_coarse well_id fov_id",
}
INTERPHASE = {"G1", "earlyS", "earlyS-midS", "midS", "midS-lateS", "lateS", "lateS-G2", "G2"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("buckets")
    for name in BUCKETS:
        write_bucket(folder, name)
    return folder


def manifest_of(folder, name):
    return pd.read_csv(folder / name / LAYOUT[name][0])


# Layout


@pytest.mark.parametrize("name", BUCKETS)
def test_the_table_has_the_published_columns_and_is_wide(written, name):
    table = manifest_of(written, name)
    assert set(COLUMNS[name].split()) <= set(table)
    assert len(table.columns) > 30
    assert [column for column in table if column.startswith("Texture_2D_")]
    described = bucket_description(name)
    n_cells = len(described["classes"]) + len(described["odd"])
    assert len(table) == n_cells + table["CellId"].duplicated().sum()


@pytest.mark.parametrize("name", BUCKETS)
def test_crops_have_the_published_paths_channels_types_and_voxels(written, name):
    table, spacing = manifest_of(written, name), bucket_description(name)["spacing_um_zyx"]
    row = table.iloc[0]
    for column, channels in LAYOUT[name][1].items():
        assert re.fullmatch(rf"{column}/[0-9a-f]{{16}}_{column.removeprefix('crop_')}\.ome\.tif", row[column])
        image = AICSImage(written / name / row[column])
        assert image.dims.order == "TCZYX"
        assert image.channel_names == (channels or image.channel_names)
        np.testing.assert_allclose(image.physical_pixel_sizes, spacing)
        assert image.dtype == (np.uint16 if column == "crop_raw" else np.uint8)
        if column != "crop_raw":
            assert set(np.unique(image.data)) == {0, 1}
        if "name_dict" in table:
            assert images.parse_name_dict(row["name_dict"])[column] == image.channel_names


def test_pcna_is_the_third_of_six_raw_channels_and_ids_are_uuids(written):
    table = manifest_of(written, PCNA)
    names = images.parse_name_dict(table["name_dict"][0])
    assert len(names["crop_raw"]) == 6
    assert names["crop_raw"][2] == "PCNA"
    assert table["CellId"].str.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").all()
    assert set(table["cell_stage_fine"]) > INTERPHASE
    assert {"no comment", "no EGFP", "bad PCNA segmentation"} == set(table["flag_comment"])


def test_nuclei_fit_the_published_volumes_and_the_table_tells_them(written):
    pcna, hipsc = (manifest_of(written, name) for name in (PCNA, HIPSC))
    regular = pcna.head(len(bucket_description(PCNA)["classes"]))
    interphase = regular[regular["cell_stage_fine"].isin(INTERPHASE)]
    assert interphase["volume_of_nucleus_um3"].between(230, 1000).all()
    row = hipsc.iloc[0]
    read, spacing = images.read_channels(written / HIPSC / row["crop_seg"], ["dna_segmentation"])
    assert row["dna_shape_volume_lcc"] == read["dna_segmentation"].sum()
    np.testing.assert_allclose(row["nuclear_volume"], row["dna_shape_volume_lcc"] * np.prod(spacing))


def test_every_drug_and_the_control_are_on_several_plates_and_in_wells():
    table = pd.DataFrame(
        [look["columns"] | {"n": look["n"]} for look in bucket_description(DRUGS)["classes"].values()]
    ).set_index("condition")
    assert len(table) == 18
    assert table["n"].min() >= 4
    assert table.loc["DMSO (control)", "n"] == 24
    assert len(bucket_description(DRUGS)["columns"]["plate_id"]) == 4


# Determinism


def test_the_same_seed_gives_the_same_bytes_whatever_else_is_in_the_bucket(tmp_path):
    few = bucket_description(PCNA, 1)
    few["classes"] = {label: few["classes"][label] for label in ("earlyS", "lateS")}
    few["odd"] = []
    more = copy.deepcopy(few)
    more["classes"]["earlyS"]["n"] = 2
    held = {}
    for run, (what, seed) in {"a": (few, 1), "b": (few, 1), "c": (more, 1), "d": (few, 2)}.items():
        bucket.run(tmp_path / run, name=PCNA, bucket=what, seed=seed)
        found = sorted(path for path in (tmp_path / run).rglob("*") if path.is_file())
        held[run] = {path.relative_to(tmp_path / run): path.read_bytes() for path in found}
    assert held["a"] == held["b"]
    crops = {path: content for path, content in held["a"].items() if path.suffix == ".tif"}
    assert len(crops) == 4
    assert crops.items() <= held["c"].items()
    assert not set(crops.values()) & set(held["d"].values())


# Labels


def cells_of(name, label, n=3):
    what = bucket_description(name)
    return [bucket.cell_of_class(name, what, SEED, label, number)[0] for number in range(n)]


@pytest.mark.parametrize("number", range(1, 7))
def test_nucleoli_have_as_many_pieces_as_their_class_says(number):
    for cell in cells_of(HIPSC, f"NPM1_{number}", 4):
        mask = cell.volumes["structure_mask"]
        assert ndimage.label(mask, CORNERS)[1] == number
        assert not (mask & ~cell.volumes["nucleus_mask"] & 1).any()
        assert 12 < mask.sum() * np.prod(cell.spacing_um_zyx) < 32


def n_foci(cell):
    """Bright pieces of the structure's counts."""
    counts = ndimage.gaussian_filter(cell.volumes["structure"].astype(float), 0.5)
    peaks = (counts == ndimage.maximum_filter(counts, 3)) & (counts > 700)
    return ndimage.label(peaks, CORNERS)[1]


def test_foci_become_fewer_through_s_phase_and_are_none_in_g1_and_g2():
    means = {
        label: np.mean([n_foci(cell) for cell in cells_of(PCNA, label)])
        for label in ("G1", "earlyS", "earlyS-midS", "midS-lateS", "lateS", "lateS-G2")
    }
    order = ["earlyS", "earlyS-midS", "midS-lateS", "lateS", "lateS-G2"]
    assert [means[label] for label in order] == sorted((means[label] for label in order), reverse=True)
    assert means["earlyS"] > 50
    assert means["lateS-G2"] <= 4


def depth(cell):
    """Mean distance to the nuclear surface of the brightest voxels, as a share of the largest."""
    inside = ndimage.distance_transform_edt(cell.volumes["nucleus_mask"])
    counts = np.where(inside > 0, cell.volumes["structure"], 0)
    return inside[counts > np.quantile(counts[inside > 0], 0.95)].mean() / inside.max()


def test_mid_s_foci_lie_at_the_rim_and_g2_nuclei_are_the_largest():
    rim, early = (np.mean([depth(cell) for cell in cells_of(PCNA, label)]) for label in ("midS", "earlyS"))
    assert rim < 0.6 * early
    g1, g2 = (
        [cell.volumes["nucleus_mask"].sum() for cell in cells_of(PCNA, label)] for label in ("G1", "G2")
    )
    assert max(g1) < min(g2)


def test_each_punctate_structure_has_its_place_in_the_cell():
    def shares(label):
        found = []
        for cell in cells_of(HIPSC, label, 2):
            v = cell.volumes
            excess = np.where(v["cell_mask"], v["structure"].astype(float) - 400, 0).clip(20) - 20
            found.append((excess * v["nucleus_mask"]).sum() / excess.sum())
        return np.mean(found)

    assert min(map(shares, ("HIST1H2BJ", "SMC1A", "SON"))) > 0.9
    assert 0.4 < shares("NUP153") < 0.95
    assert max(map(shares, ("CETN2", "RAB5A", "SLC25A17"))) < 0.2
    assert all(n_foci(cell) == 2 for cell in cells_of(HIPSC, "CETN2"))


def test_strong_drugs_change_nucleoli_and_drugs_without_effect_do_not():
    def measured(label):
        masks = [cell.volumes["structure_mask"] for cell in cells_of(DRUGS, label, 4)]
        return np.mean([(ndimage.label(m, CORNERS)[1], m.sum()) for m in masks], axis=0)

    pieces, volume = measured("DMSO")
    assert measured("paclitaxel")[0] > 2 * pieces
    assert measured("roscovitine_10")[0] > 3 * pieces
    assert measured("actinomycin")[1] < 0.5 * volume
    assert measured("staurosporine")[1] > 1.5 * volume
    for label in ("h89", "bix", "brefeldin"):
        np.testing.assert_allclose(measured(label), (pieces, volume), rtol=0.35)


# Geometry


def test_bodies_and_lumps_are_of_the_asked_size():
    body = make_body(
        600,
        (0.4, 0.3, 0.3),
        np.random.default_rng(0),
        proportions_zyx=(0.6, 1, 1.3),
        cell_scale_zyx=(1.3,) * 3,
    )
    assert isinstance(body, Body)
    assert 450 < body.nucleus_zyx.sum() * 0.036 < 750
    assert not (body.nucleus_zyx & ~body.cell_zyx).any()
    for axis in range(3):
        ends = np.take(body.cell_zyx, [0, -1], axis=axis)
        assert not ends.any()
    np.testing.assert_allclose(4 / 3 * np.pi * semi_axes_um(7.0, (1, 2, 3)).prod(), 7.0)
    plain = lumpy_level(np.eye(3) * 2, np.array([1.0, 2.0, 4.0]), np.eye(3), 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(plain, [2, 1, 0.5], rtol=1e-5)


# Odd cells through the stages


def run_stages(name, folder, out):
    """All stages up to the manifest, as the rules call them at demo scale; one shard."""
    what = bucket_dataset(name, folder)
    kind, failed = what["kind"], {"max_failed_fraction": demo_config()["max_failed_fraction"]}
    shards = {step: out / step for step in ("download", "align", "mask", "sample")}
    stage_module("download", kind).run(
        shards["download"], dataset=what, shard=0, n_shards=1, seed=SEED, **failed
    )
    stage_module("align", kind).run(shards["download"], shards["align"], dataset=what, **failed)
    stage_module("mask", kind).run(shards["align"], shards["mask"], **what["mask"], **failed)
    if kind == "punctate":
        shared = {"box": out / "box.json"}
        mask_box.run([shards["mask"]], shared["box"], **what["box"])
    else:
        shared = {"scale_factor": out / "scale_factor.parquet"}
        settings = what["scale_factor"] | {"resolution": what["sample"]["resolution"]}
        mask_scale_factor.run([shards["mask"]], shared["scale_factor"], **settings)
    stage_module("sample", kind).run(
        shards["mask"], shards["sample"], dataset_name=name, **shared, **what["sample"], seed=SEED, **failed
    )
    split = {"train": 0.7, "val": 0.15, "test": 0.15}
    sample_manifest.run({0: shards["sample"]}, out / "m.parquet", split=split, seed=SEED, dataset_name=name)
    return files.read_table(out / "m.parquet").set_index("CellId")


def odd_rows(folder, name):
    """CellIds of the odd cells by case: they come last, in the order of the description."""
    ids = manifest_of(folder, name)["CellId"].astype(str).drop_duplicates().tolist()
    cases = [odd["case"] for odd in bucket_description(name)["odd"]]
    return dict(zip(ids[-len(cases) :], cases, strict=True))


REASONS = {
    "missing_file": "no such file",
    "empty_segmentation": "zero everywhere",
    "duplicate_id": "occurs in 2 rows",
}


@pytest.mark.parametrize(
    ("name", "source", "labels"),
    [
        ("pcna", PCNA, ["cell_stage_fine", "flag_comment", "volume_of_nucleus_um3"]),
        ("other_punctate", HIPSC, ["structure_name", "cell_stage"]),
        ("npm1", HIPSC, ["n_pieces", "n_pieces_label", "dna_shape_volume_lcc", "mean_volume_um3"]),
        (
            "npm1_perturb",
            DRUGS,
            ["condition", "condition_coarse", "plate_id", "well_id", "fov_id", "n_pieces"],
        ),
    ],
)
def test_odd_cells_are_accounted_for_and_labels_survive(written, tmp_path, name, source, labels):
    table = run_stages(name, written, tmp_path)
    odd = {cell: case for cell, case in odd_rows(written, source).items() if cell in table.index}
    assert {"missing_file", "touches_border"} <= set(odd.values())
    for cell, case in odd.items():
        row = table.loc[cell]
        assert row["success"] == (case == "touches_border"), row["error"]
        assert REASONS.get(case, "") in row["error"]
    regular = table.drop(index=list(odd))
    assert regular["success"].all(), regular["error"].tolist()
    assert table.loc[table["success"], labels].notna().all().all()
    if name == "npm1":
        raw = manifest_of(written, HIPSC).query("structure_name == 'NPM1'")
        assert set(table.index) == set(raw["CellId"].astype(str))
        assert sorted(regular["n_pieces"]) == [1, 2, 3, 4, 5, 6]
        assert set(regular["n_pieces_label"]) == {"1", "2", "3", "4", ">=5"}


# The demo


def of_buckets():
    found = {}
    for name, what in demo_config()["datasets"].items():
        parts = (what["source"].get("location") or "").split("/")
        if parts[:2] == ["results", "bucket"]:
            found[name] = (parts[2], what["source"]["cells"], what)
    return found


def test_the_demo_reads_all_published_datasets_from_buckets_that_exist():
    found = of_buckets()
    shared = {name for name, what in demo_config()["datasets"].items() if what["n_shards"] == 0}
    assert set(found) | shared == {
        "pcna",
        "other_punctate",
        "npm1",
        "npm1_64_res",
        "other_polymorphic",
        "npm1_perturb",
    }
    for name, (source, table, what) in found.items():
        read = description.read(source, ROOT)
        assert table == read["manifest"], name
        assert what["voxel_um"] == read["spacing_um_zyx"][2], name
        assert len(what["models"]) == 2
        assert what["analysis_model"] in what["benchmark"]


def test_every_stratum_of_the_demo_has_cells_enough():
    for name, (source, _, what) in of_buckets().items():
        looks = description.read(source, ROOT)["classes"].values()
        wanted = what["source"].get("structures")
        counts: dict[str, int] = {}
        for look in looks:
            structure = look["columns"].get("structure_name")
            label = look["columns"].get(what["stratum"], structure)
            if not wanted or structure in wanted:
                counts[label] = counts.get(label, 0) + look["n"]
        assert {label for label, n in counts.items() if n < 4} <= {"M1M2"}, name


# Bad descriptions


def test_an_unknown_bucket_and_an_unknown_class_are_named(tmp_path):
    with pytest.raises(InputError, match="no bucket 'pcna'.*nuclear_project_dataset_4"):
        description.read("pcna", ROOT)
    for part in ("buckets", "schemas"):
        (tmp_path / "config" / part).mkdir(parents=True)
    for path in ("schemas/bucket.schema.yaml", f"buckets/{DRUGS}.yaml"):
        (tmp_path / "config" / path).write_text((ROOT / "config" / path).read_text())
    path = tmp_path / f"config/buckets/{DRUGS}.yaml"
    text = path.read_text()
    path.write_text(text.replace("like: torin", "like: thorin"))
    with pytest.raises(InputError, match="no class 'thorin'"):
        description.read(DRUGS, tmp_path)
    path.write_text(text.replace("manifest: manifest.csv", "manifest: ../manifest.csv"))
    with pytest.raises(InputError, match="manifest"):
        description.read(DRUGS, tmp_path)


def test_pieces_without_room_are_refused():
    what = bucket_description(HIPSC)
    layer = what["classes"]["NPM1_6"]["layers"][0]
    layer |= {"number": [60, 60], "volume_um3": [300, 300]}
    with pytest.raises(InputError, match="no room for 60 pieces"):
        bucket.cell_of_class(HIPSC, what, SEED, "NPM1_6", 0)
