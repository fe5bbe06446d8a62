from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from morphobench.errors import InputError
from morphobench.geometry import labels

SPACING = (0.29, 0.26, 0.26)


def box_field(shape, boxes):
    label_zyx = np.zeros(shape, np.uint16)
    for label, box in boxes.items():
        label_zyx[tuple(slice(*ends) for ends in box)] = label
    return label_zyx


@given(arrays.arrays(np.uint8, (4, 6, 7), elements=st.integers(0, 4)))
@settings(max_examples=50, deadline=None)
def test_boxes_equal_those_of_a_scan_per_label(label_zyx):
    found = {cell.label: cell for cell in labels.find_cells(label_zyx, (1, 1, 1), margin_um=0)}
    assert sorted(found) == sorted(set(np.unique(label_zyx)) - {0})
    for label, cell in found.items():
        where = np.argwhere(label_zyx == label)
        assert [(s.start, s.stop - 1) for s in cell.box] == list(zip(where.min(0), where.max(0), strict=True))
        assert cell.touches_border == bool((where == 0).any() or (where == np.array([3, 5, 6])).any())
        assert labels.cell_mask(label_zyx, cell).sum() == len(where)


def test_the_margin_is_in_micrometres_and_stops_at_the_border():
    label_zyx = box_field((30, 40, 40), {5: [(10, 12), (3, 9), (20, 30)]})
    (cell,) = labels.find_cells(label_zyx, SPACING, margin_um=1.04)
    assert cell.box == (slice(6, 16), slice(0, 13), slice(16, 34))
    assert not cell.touches_border


@pytest.mark.parametrize(
    ("box", "z_border", "touches"),
    [
        ([(0, 4), (5, 9), (5, 9)], True, True),
        ([(0, 4), (5, 9), (5, 9)], False, False),
        ([(6, 10), (5, 9), (5, 9)], True, True),
        ([(6, 10), (5, 9), (5, 9)], False, False),
        ([(2, 4), (0, 9), (5, 9)], False, True),
        ([(2, 4), (5, 9), (5, 20)], False, True),
        ([(1, 9), (1, 19), (1, 19)], True, False),
    ],
)
def test_cells_at_the_border_are_known(box, z_border, touches):
    label_zyx = box_field((10, 20, 20), {1: box})
    (cell,) = labels.find_cells(label_zyx, SPACING, margin_um=1, z_border=z_border)
    assert cell.touches_border == touches


def test_a_nucleus_belongs_to_the_cell_that_holds_most_of_it():
    cells = box_field((6, 10, 20), {3: [(1, 5), (1, 9), (1, 10)], 8: [(1, 5), (1, 9), (10, 19)]})
    # 7 lies mostly in 8 and reaches into 3; 2 lies outside; 9 is a second nucleus of 3.
    boxes = {7: [(2, 4), (3, 6), (8, 14)], 2: [(0, 1), (0, 1), (0, 2)], 9: [(1, 2), (1, 2), (1, 3)]}
    nuclei = box_field((6, 10, 20), boxes)
    owner = labels.owners(nuclei, cells)
    assert {label: int(owner[label]) for label in (2, 7, 9)} == {2: 0, 7: 8, 9: 3}
    first, second = labels.find_cells(cells, SPACING, margin_um=0.3)
    mask = labels.part_mask(nuclei, owner, cells, second)
    assert mask.shape == labels.cell_mask(cells, second).shape
    assert mask.sum() == 2 * 3 * 4
    assert labels.part_mask(nuclei, owner, cells, first).sum() == 2


def test_a_tie_goes_to_the_smaller_label():
    cells = box_field((2, 2, 4), {1: [(0, 2), (0, 2), (0, 2)], 2: [(0, 2), (0, 2), (2, 4)]})
    assert labels.owners(box_field((2, 2, 4), {1: [(0, 1), (0, 1), (1, 3)]}), cells)[1] == 1


@pytest.mark.parametrize(
    ("label_zyx", "reason"),
    [
        (np.ones((3, 3, 3)), "expected labels as whole numbers"),
        (np.ones((3, 3), np.uint8), "expected labels as whole numbers"),
        (np.full((3, 3, 3), -1), "labels run from -1"),
        (np.full((3, 3, 3), 2**30), "Renumber them"),
    ],
)
def test_what_is_no_label_image_is_refused(label_zyx, reason):
    with pytest.raises(InputError, match=reason):
        labels.find_cells(label_zyx, SPACING, margin_um=1)


def test_no_label_no_cell():
    assert labels.find_cells(np.zeros((3, 3, 3), np.uint8), SPACING, margin_um=1) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2, 255], [0, 1, 1, 1]),
        (np.array([0, 3, 200], np.uint8), [0, 1, 1]),
        (np.array([-1, 0, 4], np.int16), [0, 0, 1]),
        ([False, True], [0, 1]),
        ([0, 0.25, 0.5, 1], [0, 0.25, 0.5, 1]),
        ([-1e-7, 0.5, 1 + 1e-6], [0, 0.5, 1]),
    ],
)
def test_the_rule_of_values(values, expected):
    found = labels.occupancy(np.asarray(values))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.asarray(expected, np.float32))
    np.testing.assert_array_equal(labels.foreground(np.asarray(values)), found >= 0.5)


@given(arrays.arrays(np.uint8, (4, 6, 7), elements=st.integers(0, 3)))
@settings(max_examples=50, deadline=None)
def test_strays_and_what_is_left_make_up_each_label(label_zyx):
    cleaned = labels.without_strays(label_zyx, 0.05)
    assert set(np.unique(cleaned.label_zyx)) == set(np.unique(label_zyx)) | (
        {0} if cleaned.n_stray.any() else set()
    )
    kept = cleaned.label_zyx > 0
    np.testing.assert_array_equal(cleaned.label_zyx[kept], label_zyx[kept])
    for label in set(np.unique(label_zyx)) - {0}:
        left = np.count_nonzero(cleaned.label_zyx == label)
        assert left + cleaned.n_stray[label] == np.count_nonzero(label_zyx == label)
    mask_zyx, n_stray = labels.without_stray_pieces(label_zyx > 0, 0.05)
    alone = labels.without_strays((label_zyx > 0).astype(np.uint8), 0.05)
    np.testing.assert_array_equal(mask_zyx, alone.label_zyx > 0)
    assert n_stray == alone.n_stray.sum()


def test_a_piece_of_one_twentieth_is_a_piece_and_a_smaller_one_a_stray():
    label_zyx = box_field((6, 12, 40), {2: [(1, 5), (1, 6), (1, 6)]})
    label_zyx[1, 1, 20:25] = 2
    cleaned = labels.without_strays(label_zyx, 0.05)
    assert (cleaned.n_stray[2], cleaned.n_pieces[2]) == (0, 2)
    label_zyx[1, 1, 24] = 0
    cleaned = labels.without_strays(label_zyx, 0.05)
    assert (cleaned.n_stray[2], cleaned.n_pieces[2]) == (4, 1)
    assert not labels.without_strays(label_zyx, 0).n_stray.any()


def test_a_field_of_touching_labels_is_one_of_cells_and_two_twins_of_one_label_are_not():
    touching = box_field((6, 12, 40), {1: [(1, 5), (1, 9), (1, 10)], 2: [(1, 5), (1, 9), (10, 20)]})
    labels.check_cells(labels.without_strays(touching, 0.05))
    twins = box_field((6, 12, 40), {1: [(1, 5), (1, 9), (1, 10)]})
    twins[1:5, 1:9, 20:29] = 1
    with pytest.raises(InputError, match="1 label in 2 parts of like size"):
        labels.check_cells(labels.without_strays(twins, 0.05))


@pytest.mark.parametrize("bits", [8, 16])
def test_whole_numbers_in_steps_are_no_segmentation(bits):
    distance = np.linalg.norm(np.indices((20, 30, 30)) - np.array([10, 15, 15])[:, None, None, None], axis=0)
    steps = np.round((2**bits - 1) / (1 + np.exp(distance - 8))).astype(f"u{bits // 8}")
    for read in (labels.occupancy, labels.own_mask):
        with pytest.raises(InputError, match=r"rises in steps over \d+ values.*Threshold it"):
            read(steps)


def test_many_labels_of_pieces_are_foreground():
    numbered = box_field((8, 20, 90), {n: [(1, 7), (2, 18), (4 * n, 4 * n + 3)] for n in range(1, 20)})
    np.testing.assert_array_equal(labels.foreground(numbered), numbered > 0)
