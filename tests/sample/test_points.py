from __future__ import annotations

import warnings

import numpy as np
import pytest
from fabricate.cells import make_cell
from scipy import stats

from morphobench.errors import InputError
from morphobench.mask import punctate as mask
from morphobench.sample import points
from morphobench.sample.points import sample_points
from morphobench.sample.reference import VARIANTS, reference_encoding


def masked(seed=0, **shape):
    structure, core = make_cell(seed=seed, **shape)
    return mask.cut(structure, core, dilation_voxel=2, reference=False)


def small_volume(seed=0, shape=(4, 5, 6)):
    rng = np.random.default_rng(seed)
    counts = 400 + rng.gamma(0.3, 60, shape).round()
    labels = (rng.random(shape) < 0.5).astype(np.uint8) * 2
    labels[0, 0, :2] = [1, 2]
    return counts, labels


def naive_weights(counts, variant, floor):
    # Long doubles hold exp(1500).
    p = counts.astype(np.longdouble) / counts.max()
    k = max(VARIANTS[variant].multiplier * 3 * (p.mean() - np.median(p)) / p.std(), floor)
    weights = np.exp(k * p)
    return (weights / weights.sum()).astype(float)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_in_log_space_equal_the_formula(variant):
    counts = small_volume()[0].ravel()
    logs = points.log_weights(counts, VARIANTS[variant].multiplier, 0)
    weights = np.exp(logs) / np.exp(logs).sum()
    np.testing.assert_allclose(weights, naive_weights(counts, variant, 0), rtol=1e-9)


@pytest.mark.parametrize("replacement", [True, False])
def test_draws_follow_the_weights(replacement):
    logs = np.log(np.random.default_rng(0).gamma(2, size=40))
    rng = np.random.default_rng(1)
    n_draws = 20000
    if replacement:
        drawn = points.sample_indices(logs, n_draws, True, rng)
    else:
        drawn = np.concatenate([points.sample_indices(logs, 1, False, rng) for _ in range(n_draws)])
    expected = n_draws * np.exp(logs) / np.exp(logs).sum()
    assert stats.chisquare(np.bincount(drawn, minlength=40), expected).pvalue > 1e-3


def test_without_replacement_the_second_draw_follows_what_is_left():
    weights = np.array([6.0, 3, 2, 1])
    rng = np.random.default_rng(2)
    pairs = np.stack([points.sample_indices(np.log(weights), 2, False, rng) for _ in range(20000)])
    assert (pairs[:, 0] != pairs[:, 1]).all()
    share = weights / weights.sum()
    law = share[:, None] * share / (1 - share[:, None])
    seen = np.zeros((4, 4))
    np.add.at(seen, tuple(pairs.T), 1)
    off = ~np.eye(4, dtype=bool)
    assert stats.chisquare(seen[off], 20000 * law[off]).pvalue > 1e-3


def test_without_replacement_likelier_voxels_are_included_more_often():
    logs = np.linspace(0, 3, 30)
    rng = np.random.default_rng(3)
    included = np.zeros(30)
    for _ in range(4000):
        included[points.sample_indices(logs, 10, False, rng)] += 1
    assert included.sum() == 40000
    assert stats.spearmanr(included, logs).statistic > 0.98


@pytest.mark.parametrize("variant", VARIANTS)
def test_voxels_are_drawn_as_their_weights_say(variant):
    counts, labels = small_volume()
    n_draws = 4000 if variant == "cytoplasmic" else 1
    found = [
        sample_points(counts, labels, n_points=n_draws, variant=variant, rng=np.random.default_rng(seed))
        for seed in range(4000 // n_draws)
    ]
    seen = np.concatenate(found)[:, 3]
    inside = counts[labels > 0]
    dark = np.where(inside <= np.unique(inside).mean(), 0, inside) if variant == "cytoplasmic" else inside
    weights = naive_weights(dark, variant, 25 if variant == "cytoplasmic" else 0)
    values = np.unique(inside)
    expected = np.array([4000 * weights[inside == value].sum() for value in values])
    observed = np.array([(seen == value).sum() for value in values])
    assert observed.sum() == 4000
    likely = expected > 5
    merge = [np.append(n[likely], n[~likely].sum() + 1e-9) for n in (observed, expected)]
    assert stats.chisquare(*(n * 4000 / n.sum() for n in merge)).pvalue > 1e-3


def test_a_steep_law_does_not_overflow():
    counts = np.full((10, 10, 10), 1.0)
    counts[:4] = 10
    counts[0, 0, :3] = 2000
    labels = np.ones(counts.shape, bool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cloud = sample_points(
            counts, labels, n_points=500, variant="cytoplasmic", rng=np.random.default_rng(0)
        )
        few = points.sample_indices(np.array([0, 1500.0, 1499]), 2, False, np.random.default_rng(0))
    assert (cloud[:, 3] == 2000).all()
    assert set(few) == {1, 2}


def test_negative_skewness_prefers_no_voxel_where_the_published_law_prefers_dark_ones():
    counts = np.full((1, 30, 30), 1000.0)
    counts[0, :10] = 100
    labels = np.ones(counts.shape, np.uint8)
    arguments = {"n_points": 200, "variant": "pcna"}
    ours = sample_points(counts, labels, **arguments, rng=np.random.default_rng(0))
    published = sample_points(counts, labels, **arguments, rng=np.random.default_rng(0), mode="reference")
    assert np.mean(ours[:, 3] == 100) == pytest.approx(1 / 3, abs=0.1)
    assert (published[:, 3] == 100).all()


def test_only_the_mask_matters():
    structure, labels = masked()
    other = np.where(labels == 0, 60000, structure)
    clouds = [
        sample_points(volume, labels, n_points=50, variant="pcna", rng=np.random.default_rng(0))
        for volume in (structure, other)
    ]
    np.testing.assert_array_equal(*clouds)
    padded = sample_points(
        np.pad(structure, 5), np.pad(labels, 5), n_points=50, variant="pcna", rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(padded, clouds[0], atol=1e-5)


def test_points_lie_on_their_voxels_about_the_centre_of_the_mask():
    structure, labels = masked()
    cloud = sample_points(structure, labels, n_points=300, variant="nuclear", rng=np.random.default_rng(0))
    assert cloud.dtype == np.float32
    places = cloud[:, :3] + np.argwhere(labels == 2).mean(0)
    voxels = np.rint(places).astype(int)
    assert np.abs(places - voxels).max() <= 0.00051
    assert len(np.unique(voxels, axis=0)) == 300
    np.testing.assert_array_equal(structure[tuple(voxels.T)], cloud[:, 3])
    assert (labels[tuple(voxels.T)] > 0).all()
    everything = sample_points(
        structure, labels > 0, n_points=5, variant="pcna", rng=np.random.default_rng(0), center_zyx=(0, 0, 0)
    )
    whole = sample_points(structure, labels > 0, n_points=5, variant="pcna", rng=np.random.default_rng(0))
    np.testing.assert_allclose(everything[:, :3] - whole[:, :3], [np.argwhere(labels).mean(0)] * 5, rtol=1e-5)


def test_bright_voxels_get_more_points_than_their_share():
    structure, labels = masked()
    cloud = sample_points(structure, labels, n_points=100, variant="pcna", rng=np.random.default_rng(0))
    assert (cloud[:, 3] > 700).mean() > 2 * (structure[labels > 0] > 700).mean()


def bad_input(name):
    structure, labels = masked()
    return {
        "shapes": (structure, labels[1:]),
        "empty": (structure, np.zeros_like(labels)),
        "small": (structure, labels * (np.arange(labels.size).reshape(labels.shape) % 20 == 0)),
        "nan": (np.where(labels == 2, np.nan, structure), labels),
        "zero": (np.zeros_like(structure), labels),
        "flat": (np.full_like(structure, 9), labels),
    }[name]


@pytest.mark.parametrize("mode", ["corrected", "reference"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shapes", "the image has shape .* the mask"),
        ("empty", "the mask is empty"),
        ("small", r"the mask has \d+ voxels, fewer than sample.points.n_points = 200"),
        ("nan", r"\d+ of \d+ intensities are not finite"),
        ("zero", "no intensity is above 0"),
        ("flat", r"all \d+ intensities are 9: zero variance"),
    ],
)
def test_bad_input_is_named(name, words, mode):
    volumes_zyx = bad_input(name)
    with pytest.raises(InputError, match=words):
        sample_points(*volumes_zyx, n_points=200, variant="pcna", rng=np.random.default_rng(0), mode=mode)


def published_image(counts, dilated, variant, size, clip):
    """The stages align and register, with their magic values; and the mask in the box."""
    if variant == "cytoplasmic":
        return counts.astype(np.int32), dilated
    image = np.where((counts >= 4000) & (variant == "pcna"), 0, counts).astype(np.float32)
    if variant == "nuclear" and clip:
        low, high = clip
        image = np.where(dilated, 1 + 65534 * (np.clip(image, low, high) - low) / (high - low), 0)
        image = image.astype(np.uint16)
    else:
        image = np.where(dilated, image, 65535).astype(np.uint16)
    pads = []
    for n, b in zip(counts.shape, size, strict=True):
        d = b - n
        pads.append((d // 2, d // 2 + d % 2))
    image = np.pad(image.astype(np.float32), pads, constant_values=-1).astype(np.int32) - 1
    image[image < 0] = -1
    return image, np.pad(dilated, pads)


def published_law(image, dilated, variant):
    """Probability of each voxel of the volume, and the intensities."""
    image = image.astype(np.longdouble)
    least = image.min()
    if variant != "cytoplasmic":
        image[image >= 60000] = least
    image[~dilated] = least
    if variant == "cytoplasmic":
        image[image <= np.unique(image).mean()] = 0
    p = image / image.max()
    multiplier = {"pcna": 100, "nuclear": 100, "cytoplasmic": 500}[variant]
    k = multiplier * 3 * (p.mean() - np.median(p)) / p.std()
    if variant == "cytoplasmic":
        k = max(k, 25)
    weights = np.where(dilated, np.exp(k * p), 0)
    return (weights / weights.sum()).astype(float), image.astype(float)


@pytest.mark.parametrize("clip", [pytest.param(None, marks=pytest.mark.long), (350, 3000)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_reference_is_the_published_law(variant, clip):
    counts, core = make_cell((9, 10, 11), (2, 3, 3))
    counts[4, 5, 5:7] = 4321, 0
    counts, labels = mask.cut(counts, core, dilation_voxel=1, reference=True)
    size = [n + extra for n, extra in zip(counts.shape, (3, 0, 4), strict=True)]
    image, dilated = published_image(counts, labels > 0, variant, size, clip)
    law, image = published_law(image, dilated, variant)
    encoded, boxed = reference_encoding(counts, labels, variant=variant, box_zyx=size, clip=clip)
    clouds = [
        sample_points(
            encoded, boxed, n_points=1, variant=variant, rng=np.random.default_rng(seed), mode="reference"
        )
        for seed in range(3000)
    ]
    clouds = np.concatenate(clouds)
    origin = boxed > 0 if variant == "cytoplasmic" else boxed == 2
    centre = np.floor(np.argwhere(origin).mean(0) + 0.5)
    voxels = np.rint(clouds[:, :3] + centre).astype(int)
    np.testing.assert_array_equal(image[tuple(voxels.T)], clouds[:, 3])
    seen = np.zeros(image.shape)
    np.add.at(seen, tuple(voxels.T), 1)
    assert not seen[law == 0].any()
    likely = 3000 * law > 5
    pairs = [np.append(n[likely], n[~likely].sum() + 1e-6) for n in (seen, 3000 * law)]
    assert stats.chisquare(*(n * 3000 / n.sum() for n in pairs)).pvalue > 1e-3
    logs = points.log_weights(image, VARIANTS[variant].multiplier, VARIANTS[variant].floor)[dilated]
    exact = np.exp(logs.astype(np.longdouble))
    np.testing.assert_allclose((exact / exact.sum()).astype(float), law[dilated], rtol=1e-8, atol=1e-300)


def test_turning_the_volume_turns_the_law():
    structure, labels = masked()
    turned, turned_labels = (np.rot90(volume, axes=(1, 2)) for volume in (structure, labels))
    arguments = {"n_points": labels.astype(bool).sum(), "variant": "pcna", "rng": np.random.default_rng(0)}
    cloud = sample_points(structure, labels, **arguments, jitter_voxel=0)
    other = sample_points(turned, turned_labels, **arguments, jitter_voxel=0)
    z, y, x, s = other.T
    back = np.stack([z, x, -y, s], axis=1)
    order = [np.lexsort(found.round(3).T) for found in (cloud, back)]
    np.testing.assert_allclose(cloud[order[0]], back[order[1]], atol=1e-4)
