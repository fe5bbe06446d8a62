"""Fabricated buckets: published layout, same bytes for a seed, labels that show, odd cells accounted for."""

from __future__ import annotations

import ast
import copy
import json
import re
import uuid

import numpy as np
import pandas as pd
import pytest
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
from harness.stages import run_stages
from scipy import ndimage
from tifffile import TiffFile

from morphobench.errors import InputError
from morphobench.fabricate import bucket, description, ome
from morphobench.fabricate.body import Body, lumpy_level, make_body, semi_axes_um
from morphobench.fabricate.table import MEASURES, Place, identifier, place
from morphobench.files.image_library import library

CORNERS = np.ones((3, 3, 3))
RAW = ["dna", "membrane", "structure"]
SEG = [
    "dna_segmentation",
    "membrane_segmentation",
    "membrane_segmentation_roof",
    "struct_segmentation",
    "struct_segmentation_roof",
]
PCNA_RAW = 6
# The published layout of each bucket: its table, and the crops with the ending of their names, the number of
# digits before it, and that of channels.
LAYOUT = {
    PCNA: (
        "metadata.csv",
        {
            "crop_raw": ("_raw.ome.tif", 64, PCNA_RAW),
            "crop_seg": ("_segmentation.ome.tif", 8, len(SEG)),
        },
    ),
    HIPSC: (
        "metadata.csv",
        {
            "crop_raw": ("_raw.ome.tif", 64, len(RAW)),
            "crop_seg": ("_segmentation.ome.tif", 64, len(SEG)),
        },
    ),
    DRUGS: (
        "manifest.csv",
        {
            "crop_raw": ("_raw.ome.tiff", 64, 1),
            "crop_seg": ("_seg.ome.tiff", 64, 1),
            "crop_seg_nuc": ("_seg_nuc.ome.tiff", 64, 1),
        },
    ),
}
UNNAMED = ["Unnamed: 0", *(f"Unnamed: 0.{number}" for number in range(1, 12))]
COLUMNS = {
    PCNA: "CellId structure_name crop_raw crop_seg name_dict cell_stage_fine flag_comment "
    "volume_of_nucleus_um3",
    HIPSC: "CellId FOVId structure_name crop_raw crop_seg name_dict cell_stage meta_colony_centroid "
    "scale_micron roi outlier edge_flag this_cell_nbr_dist_2d NUC_shape_volume NUC_position_depth "
    "NUC_roundness_surface_area MEM_shape_volume STR_shape_volume STR_connectivity_cc",
    DRUGS: "CellId crop_raw crop_seg crop_seg_nuc plate_id condition condition_coarse fov_id",
}
# What the published tables do not have: columns that only preprocessed ones have, or that nobody has seen.
ABSENT = {
    PCNA: "scale_micron dna_shape_volume_lcc well_id",
    HIPSC: "dna_shape_volume_lcc cell_stage_fine fov_id",
    DRUGS: "name_dict scale_micron crop_seg_masked well_id",
}
INTERPHASE = {"G1", "earlyS", "earlyS-midS", "midS", "midS-lateS", "lateS", "lateS-G2", "G2"}
MITOSIS = {"M1M2", "M3", "M4M5", "M6M7_complete", "M6M7_single"}
COMMENTS = {
    "no comment",
    "bad segmentation of PCNA",
    "no EGFP fluorescence",
    "bad segmentation of cell or nucleus",
    "cell appears dead or dying",
}
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


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
def test_the_table_has_the_published_columns_and_no_others_of_the_preprocessed_one(written, name):
    table = manifest_of(written, name)
    assert set(COLUMNS[name].split()) <= set(table)
    assert not set(ABSENT[name].split()) & set(table)
    assert len(table.columns) == 45 if name == DRUGS else len(table.columns) > 45
    unnamed = [column for column in table if column.startswith("Unnamed")]
    assert unnamed == (UNNAMED if name == DRUGS else [])
    described = bucket_description(name)
    n_cells = len(described["classes"]) + len(described["odd"])
    assert len(table) == n_cells + table["CellId"].duplicated().sum()


@pytest.mark.parametrize("name", BUCKETS)
def test_crops_have_the_published_names_types_and_masks(written, name):
    table = manifest_of(written, name)
    assert [column for column in table if column.startswith("crop_")] == list(LAYOUT[name][1])
    for column, (ending, n_digits, n_channels) in LAYOUT[name][1].items():
        entries = table[column].drop_duplicates()
        assert entries.str.fullmatch(rf"{column}/[0-9a-f]{{{n_digits}}}{re.escape(ending)}").all()
        image = library().Image(written / name / entries[0])
        assert image.data.shape[1] == n_channels
        assert image.dtype == (np.uint16 if column == "crop_raw" else np.uint8)
        if column != "crop_raw":
            assert set(np.unique(image.data)) == {0, 255}


@pytest.mark.parametrize("name", BUCKETS)
def test_files_have_neither_names_nor_voxels_and_are_written_as_by_the_published_tools(written, name):
    row = manifest_of(written, name).iloc[0]
    for column, (_, _, n_channels) in LAYOUT[name][1].items():
        path = written / name / row[column]
        image = library().Image(path)
        assert image.channel_names == [f"C:{number}" for number in range(n_channels)]
        assert tuple(image.physical_pixel_sizes) == (None, None, None)
        with TiffFile(path) as tiff:
            described, axes = tiff.pages[0].description, tiff.series[0].axes
            large = sum(page.nbytes for page in tiff.pages) > 2**21
            assert tiff.is_bigtiff == large
            assert len(tiff.pages) == image.dims.Z * n_channels
        assert axes == ("ZCYX" if n_channels > 1 else "ZYX")
        assert "Schemas/ome/2013-06" in described
        assert 'BigEndian="true" DimensionOrder="XYCZT"' in described
        assert "PhysicalSize" not in described
    assert row["crop_raw"] in set(manifest_of(written, name)["crop_raw"])


def test_the_channels_of_a_file_are_in_its_order(tmp_path):
    volumes = [
        np.full((3, 4, 5), 10 * channel, np.uint16) + np.arange(3)[:, None, None] for channel in range(2)
    ]
    volumes = [volume.astype(np.uint16) for volume in volumes]
    ome.write(tmp_path / "a.ome.tif", volumes, uuid.UUID(int=1))
    np.testing.assert_array_equal(library().Image(tmp_path / "a.ome.tif").data[0], volumes)


@pytest.mark.parametrize("name", [PCNA, HIPSC])
def test_the_table_tells_the_names_of_channels(written, name):
    channels = ast.literal_eval(manifest_of(written, name)["name_dict"][0])
    assert channels["crop_seg"] == SEG
    if name == HIPSC:
        assert channels["crop_raw"] == RAW
    else:
        assert len(channels["crop_raw"]) == PCNA_RAW
        assert channels["crop_raw"][2] == "PCNA"


@pytest.mark.parametrize("name", [PCNA, DRUGS])
def test_ids_of_some_are_uuids(written, name):
    assert manifest_of(written, name)["CellId"].str.fullmatch(UUID).all()


def test_pcna_has_all_stages_and_comments(written):
    table = manifest_of(written, PCNA)
    assert set(table["cell_stage_fine"]) == INTERPHASE | MITOSIS | {"unclear"}
    assert set(table["flag_comment"]) == COMMENTS


def test_whole_cells_have_numbers_texts_of_lists_and_rows_that_nobody_asks_for(written):
    table = manifest_of(written, HIPSC)
    assert table["CellId"].between(100_000, 999_999).all()
    assert set(table["outlier"]) > {"No"}
    assert table["outlier"].str.fullmatch("No|yes_abnormal_.*").all()
    assert isinstance(ast.literal_eval(table["this_cell_nbr_dist_2d"][0])[0], tuple)
    assert json.loads(table["scale_micron"][0]) == bucket_description(HIPSC)["spacing_um_zyx"]
    asked = {s for what in demo_config()["datasets"].values() for s in what["source"].get("structures") or []}
    assert asked < set(table["structure_name"])


def test_whole_cells_have_nulls_and_all_stages(tmp_path):
    what = bucket_description(HIPSC, 3) | {"odd": []}
    mitotic = [label for label in what["classes"] if label.endswith("_mitotic")]
    what["classes"] = {label: what["classes"][label] for label in ("NPM1_1", *mitotic)}
    bucket.run(tmp_path / HIPSC, name=HIPSC, bucket=what, seed=SEED)
    table = manifest_of(tmp_path, HIPSC)
    assert set(table["cell_stage"]) == MITOSIS | {"M0"}
    assert 0 < table["meta_colony_centroid"].isna().sum() < len(table)


def test_a_path_may_be_absolute(tmp_path):
    prefix = f"/allen/aics/somewhere/{DRUGS}/"
    what = bucket_description(DRUGS, 1) | {"path_prefix": prefix, "odd": []}
    what["classes"] = {label: what["classes"][label] for label in ("DMSO", "torin")}
    bucket.run(tmp_path / DRUGS, name=DRUGS, bucket=what, seed=SEED)
    entries = manifest_of(tmp_path, DRUGS)["crop_seg"]
    assert all((tmp_path / DRUGS / entry.removeprefix(prefix)).is_file() for entry in entries)
    assert entries.str.startswith(prefix).all()


def test_nuclei_fit_the_published_volumes_and_the_table_tells_them(written):
    pcna, hipsc = (manifest_of(written, name) for name in (PCNA, HIPSC))
    regular = pcna.head(len(bucket_description(PCNA)["classes"]))
    usable = regular[regular["flag_comment"] == "no comment"]
    interphase = usable[usable["cell_stage_fine"].isin(INTERPHASE)]
    assert interphase["volume_of_nucleus_um3"].between(230, 1000).all()
    row = hipsc.iloc[0]
    nucleus = library().Image(written / HIPSC / row["crop_seg"]).get_image_data("ZYX", C=0)
    assert row["NUC_shape_volume"] == (nucleus == 255).sum()
    npm1 = hipsc[hipsc["structure_name"] == "NPM1"].iloc[:6]
    assert npm1["STR_connectivity_cc"].tolist() == [1, 2, 3, 4, 5, 6]


def test_drugs_are_on_both_plates_in_wells_and_fields_are_numbered_alike_on_each():
    described = bucket_description(DRUGS)
    places = pd.DataFrame(
        [
            place(described, label, number)._asdict() | look["columns"]
            for label, look in described["classes"].items()
            for number in range(look["n"])
        ]
    )
    columns = places[list(Place._fields)]
    places["scene"] = [MEASURES["scene"](None, Place(**row)) for row in columns.to_dict("records")]
    assert places["condition"].nunique() == 18
    assert (places.groupby("condition")["plate"].nunique() == 2).all()
    assert (places.groupby(["condition", "plate"])["well"].nunique() >= 2).all()
    assert places.groupby("plate")["condition"].nunique().tolist() == [18, 18]
    # A position belongs to one well, whatever the plate; E07 has those from 121 to 144.
    assert (places.groupby("position")["well"].nunique() == 1).all()
    assert set(places.loc[places["well"] == "E07", "position"]) <= set(range(121, 145))
    control = places[places["condition"] == "DMSO (control)"]
    assert len(control) == 24
    assert control.groupby("scene").size().max() == 2
    form = r"35000029\d\d_100X_20190423_2hr-Scene-\d+-P\d+-[E-H]\d\d"
    assert places["scene"].str.fullmatch(form).all()
    numbers = places["scene"].str.extract(r"Scene-(\d+)-P(\d+)-").astype(int)
    assert (numbers[0] + 1 == numbers[1]).all()
    assert (numbers[1] == places["position"]).all()


def test_a_field_has_one_structure_and_cells_of_different_classes():
    described = bucket_description(HIPSC)
    cells = pd.DataFrame(
        {"field": place(described, label, number).field, "label": label} | look["columns"]
        for label, look in described["classes"].items()
        for number in range(look["n"])
    )
    assert (cells.groupby("field")["structure_name"].nunique() == 1).all()
    assert (cells.groupby(["field", "label"]).size() == 1).all()
    assert cells[cells["structure_name"] == "NPM1"].groupby("field").size().max() >= 3


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


@pytest.mark.parametrize("number", [1, 6, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 6))])
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
        pytest.param("other_punctate", HIPSC, ["structure_name", "cell_stage"], marks=pytest.mark.long),
        pytest.param(
            "npm1", HIPSC, ["n_pieces", "n_pieces_label", "mean_volume_um3"], marks=pytest.mark.long
        ),
        pytest.param("npm1_perturb", DRUGS, ["condition", "n_pieces"], marks=pytest.mark.long),
    ],
)
def test_odd_cells_are_accounted_for_and_labels_survive(written, tmp_path, name, source, labels):
    described = demo_config()
    described["datasets"][name] = bucket_dataset(name, written) | {"n_shards": 1}
    table = run_stages(described, name, tmp_path)
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
        raw = manifest_of(written, HIPSC).query("structure_name == 'NPM1' and outlier == 'No'")
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
        read = description.read(source, {}, ROOT)
        assert table == read["manifest"], name
        assert what["voxel_um"] == read["spacing_um_zyx"][2], name
        assert len(what["models"]) == 2
        assert what["analysis_model"] in what["benchmark"]


def test_every_stratum_of_the_demo_has_cells_enough():
    for name, (source, _, what) in of_buckets().items():
        looks = description.read(source, {}, ROOT)["classes"].values()
        wanted = what["source"].get("structures")
        counts: dict[str, int] = {}
        for look in looks:
            structure = look["columns"].get("structure_name")
            label = look["columns"].get(what["stratum"], structure)
            if not wanted or structure in wanted:
                counts[label] = counts.get(label, 0) + look["n"]
        assert {label for label, n in counts.items() if n < 4} <= {"unclear", *MITOSIS}, name


# More cells of the same


def test_more_cells_leave_the_first_ones_as_they_were(tmp_path):
    what = bucket_description(HIPSC, 1) | {"odd": []}
    what["classes"] = {label: what["classes"][label] for label in ("NPM1_2", "NPM1_4", "FBL")}
    tables = {}
    for times in (1, 2):
        folder = tmp_path / str(times)
        bucket.run(folder, name=HIPSC, bucket=what | {"times": times}, seed=SEED)
        tables[times] = pd.read_csv(folder / "metadata.csv").set_index("crop_seg")
    assert len(tables[1]) == 3
    assert len(tables[2]) == 6
    same = ["CellId", "FOVId", "STR_shape_volume"]
    pd.testing.assert_frame_equal(tables[1][same], tables[2].loc[tables[1].index, same])
    for file in tables[1].index:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_a_field_shows_one_structure_however_many_cells_there_are():
    what = bucket_description(HIPSC)
    found: dict[int, set[str]] = {}
    for label, look in what["classes"].items():
        for number in range(200):
            found.setdefault(place(what, label, number).field, set()).add(look["columns"]["structure_name"])
    assert {len(structures) for structures in found.values()} == {1}


def test_a_number_that_is_taken_is_drawn_again():
    rng = np.random.default_rng(0)
    first, second = identifier("integer", rng), identifier("integer", rng)
    assert identifier("integer", np.random.default_rng(0), {first}) == second


def test_the_configuration_lies_over_a_description():
    laid = {HIPSC: {"times": 3}}
    assert description.read(HIPSC, laid, ROOT)["times"] == 3
    assert description.read(DRUGS, laid, ROOT)["times"] == 1
    with pytest.raises(InputError, match="times"):
        description.read(HIPSC, {HIPSC: {"times": 0}}, ROOT)
    with pytest.raises(InputError, match="no bucket 'hipsc'.*Mend key buckets"):
        description.read(HIPSC, {"hipsc": {"times": 3}}, ROOT)


# Bad descriptions


def test_an_unknown_bucket_and_an_unknown_class_are_named(tmp_path):
    with pytest.raises(InputError, match="no bucket 'pcna'.*nuclear_project_dataset_4"):
        description.read("pcna", {}, ROOT)
    for part in ("buckets", "schemas"):
        (tmp_path / "config" / part).mkdir(parents=True)
    for path in ("schemas/bucket.schema.yaml", f"buckets/{DRUGS}.yaml"):
        (tmp_path / "config" / path).write_text((ROOT / "config" / path).read_text())
    path = tmp_path / f"config/buckets/{DRUGS}.yaml"
    text = path.read_text()
    path.write_text(text.replace("like: torin", "like: thorin"))
    with pytest.raises(InputError, match="no class 'thorin'"):
        description.read(DRUGS, {}, tmp_path)
    path.write_text(text.replace("    wells: [E11, F11, G11]\n", ""))
    with pytest.raises(InputError, match="class DMSO: a class has wells where the bucket has plates"):
        description.read(DRUGS, {}, tmp_path)
    path.write_text(text.replace("manifest: manifest.csv", "manifest: ../manifest.csv"))
    with pytest.raises(InputError, match="manifest"):
        description.read(DRUGS, {}, tmp_path)


def test_pieces_without_room_are_refused():
    what = bucket_description(HIPSC)
    layer = what["classes"]["NPM1_6"]["layers"][0]
    layer |= {"number": [60, 60], "volume_um3": [300, 300]}
    with pytest.raises(InputError, match="no room for 60 pieces"):
        bucket.cell_of_class(HIPSC, what, SEED, "NPM1_6", 0)
