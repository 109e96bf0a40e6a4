"""Images grouped by what is in them, so that folds get the rare classes, too."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from skcnn.boxes._checks import check_boxes
from skcnn.boxes._forms import box_arrays


def stratify_by_boxes(y: Any, *, min_images: int = 5) -> np.ndarray:
    """Return a number per image for splits that give each part its fraction of every class.

    An image belongs with those that have the same rarest class; images without objects are together. Give the numbers
    to :class:`~sklearn.model_selection.StratifiedKFold` or :func:`~sklearn.model_selection.train_test_split`, in place
    of labels.

    Parameters
    ----------
    y : array-like of length n_images
        Boxes: see :func:`as_boxes`.
    min_images : int, default=5
        A class that is the rarest of fewer images counts no more, and they go by the next class that they have: the
        number of folds, so that each of them gets one.

    Returns
    -------
    ndarray of shape (n_images,), int
        From 0 on.

    Raises
    ------
    ValueError
        If a box is invalid.

    Examples
    --------
    >>> from sklearn.model_selection import StratifiedKFold
    >>> from skcnn.boxes import stratify_by_boxes
    >>> common, rare = [0, 0, 8, 8, 1], [0, 0, 8, 8, 2]
    >>> y = [[common]] * 6 + [[common, rare]] * 3 + [[]] * 3
    >>> stratify_by_boxes(y, min_images=3)
    array([2, 2, 2, 2, 2, 2, 1, 1, 1, 0, 0, 0])
    >>> folds = StratifiedKFold(3).split(y, stratify_by_boxes(y, min_images=3))
    """
    arrays = check_boxes(box_arrays(y))
    present: list[set[Any]] = [set() for _ in range(arrays.n_images)]
    for image, label in zip(arrays.image.tolist(), arrays.label, strict=True):
        present[image].add(label)
    n_images = Counter(label for labels in present for label in labels)
    # From the rarest on; of equally rare ones the order does not depend on the order of images.
    classes = sorted(n_images, key=lambda label: (n_images[label], str(label)))
    strata = np.zeros(arrays.n_images, int)
    open_images = {row for row, labels in enumerate(present) if labels}
    for number, label in enumerate(classes, 1):
        rows = [row for row in open_images if label in present[row]]
        is_last = {row for row in rows if not present[row] - set(classes[:number])}
        if len(rows) >= min_images:
            strata[rows] = number
            open_images -= set(rows)
        elif is_last:
            # No more common class to go by: better a small group than none.
            strata[list(is_last)] = number
            open_images -= is_last
    return np.unique(strata, return_inverse=True)[1].reshape(-1)
