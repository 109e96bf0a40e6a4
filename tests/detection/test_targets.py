"""Which slots are to find which box."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skcnn.detection._grid import Grid
from skcnn.detection._targets import levels_of, slot_targets

SIZE = (64, 96)
BY_CENTRES = Grid(SIZE, (8,), (((20.0, 20.0),),), has_anchors=False)
BY_ANCHORS = Grid(SIZE, (8,), (((10.0, 10.0), (40.0, 20.0)),), has_anchors=True)


def found_by(targets: np.ndarray) -> np.ndarray:
    return np.flatnonzero(targets[:, 5] == 1)


def test_slots_are_cells_of_the_image():
    slots = BY_CENTRES.slots()
    assert slots.shape == (8 * 12, 5)
    assert_allclose(slots[0], [4, 4, 20, 20, 8])
    assert_allclose(slots[13, :2], [12, 12])
    assert BY_ANCHORS.slots().shape == (8 * 12 * 2, 5)
    two = Grid(SIZE, (8, 16), (((9.0, 9.0),), ((40.0, 40.0),)), has_anchors=False)
    assert_array_equal(np.bincount(two.level_of_slots()), [96, 4 * 6])


def test_cells_around_the_centre_find_a_box():
    box = np.array([[18, 18, 46, 46]])  # its centre, (32, 32), is the corner of four cells
    rows = found_by(slot_targets(BY_CENTRES, box, np.array([2]), radius=1.0))
    assert_array_equal(rows, [3 * 12 + 3, 3 * 12 + 4, 4 * 12 + 3, 4 * 12 + 4])
    targets = slot_targets(BY_CENTRES, box, np.array([2]), radius=1.0)
    assert_allclose(targets[rows], [[18, 18, 46, 46, 2, 1]] * 4)
    assert len(found_by(slot_targets(BY_CENTRES, box, np.array([2]), radius=2.0))) == 16
    assert not targets[np.setdiff1d(np.arange(96), rows)].any()


def test_a_tiny_box_is_found_by_its_own_cell():
    targets = slot_targets(BY_CENTRES, np.array([[50.0, 10, 53, 12]]), np.array([0]))
    assert_array_equal(found_by(targets), [12 + 6])


def test_the_nearest_box_has_a_cell():
    boxes = np.array([[8.0, 8, 40, 40], [24, 8, 56, 40]])
    targets = slot_targets(BY_CENTRES, boxes, np.array([0, 1]), radius=1.5)
    middle = found_by(targets)
    assert set(targets[middle, 4]) == {0, 1}
    centres = BY_CENTRES.slots()[middle, 0]
    assert_array_equal(targets[middle, 4], (centres > 32).astype(float))


def test_levels_are_by_size():
    boxes = np.array([[0, 0, 100, 20], [0, 0, 200, 20], [0, 0, 300, 20.0]])
    assert_array_equal(levels_of(boxes, (8, 16)), [0, 1, 1])
    assert_array_equal(levels_of(boxes, (8, 16, 32)), [0, 1, 2])


def test_the_anchor_of_the_most_similar_size_finds_a_box():
    boxes = np.array([[44.0, 20, 84, 40], [9, 9, 19, 19]])
    targets = slot_targets(BY_ANCHORS, boxes, np.array([1, 0]))
    wide, small = (3 * 12 + 7) * 2 + 1, (12 + 1) * 2
    assert_array_equal(found_by(targets), sorted([wide, small]))
    assert_allclose(targets[wide], [44, 20, 84, 40, 1, 1])
    # Neighbours that lie nearly as well are left alone.
    free = np.flatnonzero(targets[:, 5] == -1)
    assert wide + 2 in free
    assert wide - 1 not in free


@pytest.mark.parametrize("grid", [BY_CENTRES, BY_ANCHORS])
def test_no_boxes(grid):
    assert not slot_targets(grid, np.empty((0, 4)), np.empty(0, int)).any()
