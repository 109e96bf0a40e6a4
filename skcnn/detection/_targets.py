"""Which slots of a grid are to find which box."""

from __future__ import annotations

import numpy as np

from skcnn.boxes import pairwise_iou
from skcnn.detection._grid import Grid

#: Columns of targets: the box, its class, and whether the slot is to find it: 1, or 0 for none, or -1 if it may.
N_COLUMNS = 6

#: Cells whose centre is at most this many cells from that of a box are to find it: two by two of them.
RADIUS = 1.0

#: An anchor that fits a box this well, and is not the best one, may find it, too.
MAY_FIND = 0.5

#: Cells along a side of the largest boxes of a level.
CELLS_PER_BOX = 16


def slot_targets(grid: Grid, boxes: np.ndarray, codes: np.ndarray, radius: float = RADIUS) -> np.ndarray:
    """Return what each slot is to find in an image.

    Parameters
    ----------
    grid : Grid
        The slots.
    boxes : ndarray of shape (n_boxes, 4)
        ``xmin, ymin, xmax, ymax`` in pixels of the resized image.
    codes : ndarray of shape (n_boxes,), int
        Their classes.
    radius : float, default=1.0
        Without anchors: how far from a box's centre a cell may be that finds it, in cells along each side.

    Returns
    -------
    ndarray of shape (n_slots, 6), float32
        ``xmin, ymin, xmax, ymax``, class, and 1 for a slot that is to find this box, 0 for one that is to find none, -1
        for one of which nothing is asked.
    """
    slots = grid.slots()
    targets = np.zeros((len(slots), N_COLUMNS), np.float32)
    if len(boxes):
        chosen, free = (_by_anchors if grid.has_anchors else _by_centres)(grid, slots, boxes, radius)
        rows = np.flatnonzero(chosen >= 0)
        targets[free, 5] = -1
        targets[rows, :4], targets[rows, 4], targets[rows, 5] = boxes[chosen[rows]], codes[chosen[rows]], 1
    return targets


def levels_of(boxes: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """Return the level of each box, (n_boxes,) int: the finest on which it is at most 16 cells long."""
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    most = CELLS_PER_BOX * np.array(strides[:-1])
    return np.searchsorted(most, longest)


def _by_centres(grid: Grid, slots: np.ndarray, boxes: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the box of each slot or -1, and no free slots: the cells around a centre find the box."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    apart = np.abs(slots[:, None, :2] - centres[None]) / slots[:, None, 4:]
    near = (apart <= radius).all(axis=2)
    # Beyond the centre's own cell only those that lie within the box: of small boxes there may be none.
    inside = (slots[:, None, :2] > boxes[None, :, :2]).all(axis=2) & (slots[:, None, :2] < boxes[None, :, 2:]).all(
        axis=2
    )
    near &= inside | (apart <= 0.5).all(axis=2)
    near &= grid.level_of_slots()[:, None] == levels_of(boxes, grid.strides)[None]
    # Where several boxes claim a cell, the one whose centre is nearest has it.
    distance = np.where(near, (apart**2).sum(axis=2), np.inf)
    chosen = distance.argmin(axis=1)
    chosen[~near.any(axis=1)] = -1
    return chosen, np.empty(0, int)


def _by_anchors(grid: Grid, slots: np.ndarray, boxes: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the box of each slot or -1, and the slots that may find one: the anchor of the most similar size does."""
    half = slots[:, 2:4] / 2
    overlaps = pairwise_iou(np.hstack([slots[:, :2] - half, slots[:, :2] + half]), boxes)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    own = (np.abs(slots[:, None, :2] - centres[None]) <= slots[:, None, 4:] / 2).all(axis=2)
    chosen = np.full(len(slots), -1)
    for box in np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(axis=1), kind="stable"):  # small boxes last: they win
        rows = np.flatnonzero(own[:, box])
        sizes = slots[rows, 2:4]
        side = boxes[box, 2:] - boxes[box, :2]
        shared = np.minimum(sizes, side).prod(axis=1)
        chosen[rows[np.argmax(shared / (sizes.prod(axis=1) + side.prod() - shared))]] = box
    free = np.flatnonzero((chosen < 0) & (overlaps.max(axis=1) > MAY_FIND))
    return chosen, free
