"""What a detector learns of the training boxes before any training: strides, prior boxes, and what these miss."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from skcnn._text import counted, listing
from skcnn.detection._examples import Objects
from skcnn.detection._grid import Grid
from skcnn.detection._targets import CELLS_PER_BOX, levels_of, slot_targets

#: The typical box of the class whose boxes are smallest is at least so many cells long.
_LEAST_CELLS = 2

#: Detectors stand on no finer maps, which are large and have seen little.
_FINEST = 4

#: An anchor covers a box if their intersection over union is at least this when they have the same centre.
_COVERED = 0.5

#: Below this fraction of covered boxes there is a warning.
_ENOUGH = 0.95


def chosen_strides(levels: Any, available: tuple[int, ...], objects: Objects) -> tuple[int, ...]:
    """Return the strides of the grid's levels, finest first.

    Parameters
    ----------
    levels : "auto", int or sequence of int
        Strides, in pixels of the resized image. ``"auto"`` takes the coarsest whose cells are at most half as long as
        the typical box of each class, and further ones until the typical box of each class is at most 16 cells long.
    available : tuple of int
        Strides of the network's maps.
    objects : Objects
        Training boxes.
    """
    if isinstance(levels, str) and levels == "auto":
        usable = [stride for stride in available if stride >= _FINEST] or list(available[-1:])
        sides = np.sqrt((objects.xyxy[:, 2:] - objects.xyxy[:, :2]).prod(axis=1))
        typical = [np.median(sides[objects.codes == code]) for code in np.unique(objects.codes)]
        small, large = min(typical), max(typical)
        finest = max([stride for stride in usable if _LEAST_CELLS * stride <= small], default=usable[0])
        chosen = [finest]
        for stride in usable:
            if stride > finest and CELLS_PER_BOX * chosen[-1] < large:
                chosen.append(stride)
        return tuple(chosen)
    strides = tuple(np.atleast_1d(np.asarray(levels, dtype=object)).tolist())
    if not strides or not all(isinstance(stride, int) and stride in available for stride in strides):
        raise ValueError(
            f"levels={levels!r}; expected 'auto', or strides of the network's maps: {listing(map(str, available))}"
        )
    return tuple(sorted(set(strides)))


def grid_of(anchors: Any, strides: tuple[int, ...], image_size: tuple[int, int], objects: Objects, seed: int) -> Grid:
    """Return the grid for training boxes.

    Parameters
    ----------
    anchors : None, int or array-like of shape (n_anchors, 2)
        None for prior boxes of a typical size. Else the number of anchors, which are found by k-means of the logarithms
        of width and height; or their sizes, in pixels of the resized image. Each level has as many, the finest the
        smallest.
    strides, image_size, objects
        Of the grid, and the training boxes.
    seed : int
        Of k-means.
    """
    sizes = objects.xyxy[:, 2:] - objects.xyxy[:, :2]
    if anchors is None:
        level = levels_of(objects.xyxy, strides)
        priors = []
        for number, stride in enumerate(strides):
            here = sizes[level == number]
            typical = np.median(here, axis=0) if len(here) else np.array([4.0 * stride] * 2)
            priors.append(((float(typical[0]), float(typical[1])),))
        return Grid(image_size, strides, tuple(priors), has_anchors=False)
    if isinstance(anchors, (int, np.integer)) and not isinstance(anchors, bool) and anchors > 0:
        n = min(int(anchors), len(np.unique(sizes, axis=0)))
        found = np.exp(KMeans(n, n_init=4, random_state=seed % 2**32).fit(np.log(sizes)).cluster_centers_)
    else:
        found = np.asarray(anchors, dtype=float) if np.ndim(anchors) == 2 else np.empty((0, 2))
        if not len(found) or found.shape[1] != 2 or not (np.isfinite(found) & (found > 0)).all():
            raise ValueError(
                f"anchors={anchors!r}; expected None, a number of anchors > 0, or an array (n_anchors, 2) of widths "
                "and heights > 0, in pixels of the resized image"
            )
    if len(found) < len(strides):
        raise ValueError(
            f"{counted(len(found), 'anchor')} for {counted(len(strides), 'level')} of strides {strides}; expected at "
            "least one per level. Give more anchors, or fewer levels."
        )
    found = found[np.argsort(found.prod(axis=1), kind="stable")]
    parts = np.array_split(found, len(strides))
    return Grid(image_size, strides, tuple(tuple(map(tuple, part.tolist())) for part in parts), has_anchors=True)


def coverage(grid: Grid, objects: Objects, radius: float) -> float:
    """Return the fraction of training boxes that the grid can learn; warn of the sizes of others if they are many.

    These are boxes that a slot is to find; with anchors, one whose size is similar.
    """
    sizes = objects.xyxy[:, 2:] - objects.xyxy[:, :2]
    covered = np.zeros(len(sizes), bool)
    start = 0
    for row in range(len(objects)):
        boxes, _ = objects[row]
        targets = slot_targets(grid, boxes, np.arange(len(boxes)), radius)
        covered[start + np.unique(targets[targets[:, 5] > 0, 4]).astype(int)] = True
        start += len(boxes)
    if grid.has_anchors:
        anchors = np.array([size for level in grid.priors for size in level])
        shared = np.minimum(sizes[:, None], anchors[None]).prod(axis=2)
        union = sizes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - shared
        covered &= (shared / union).max(axis=1) >= _COVERED
    fraction = float(covered.mean())
    if fraction < _ENOUGH:
        missed = sizes[~covered]
        low, high = missed.min(axis=0), missed.max(axis=0)
        remedy = "more anchors, or None," if grid.has_anchors else "a finer level"
        warnings.warn(
            f"{counted(len(missed), 'box')} of {len(sizes):,} in y ({1 - fraction:.0%}) cannot be learned: no slot of "
            f"the grid of strides {grid.strides} finds them. They are {low[0]:.0f} to {high[0]:.0f} wide and "
            f"{low[1]:.0f} to {high[1]:.0f} high, in pixels of images of {grid.image_size[0]} x "
            f"{grid.image_size[1]}. Give a larger image_size, or {remedy} to find them.",
            UserWarning,
            stacklevel=4,
        )
    return fraction
