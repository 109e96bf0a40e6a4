"""True and predicted masks of the same images, counted: what every metric of masks is worked out from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._text import counted, label_text
from skcnn.images import IGNORED, BadRow, as_masks, check_labels, map_ahead
from skcnn.metrics._mask_boundaries import TOLERANCE, boundary_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skcnn.images import Masks


class MaskPredictions(NamedTuple):
    """Pixels of each image, by true and predicted class. Masks are read one after the other and not kept.

    Attributes
    ----------
    counts : ndarray of shape (n_images, n_classes, n_classes + 1), int
        Pixels of each true and predicted class; in the last column those without a predicted one (255).
    boundary : ndarray of shape (n_images, n_classes, 4), int
        See :func:`boundary_counts`.
    labels : ndarray of shape (n_classes,), int
        What stands in the masks.
    classes : list
        What the classes are called: names, or the labels.
    true, predicted : Masks
        The masks, to draw some of them.
    """

    counts: np.ndarray
    boundary: np.ndarray
    labels: np.ndarray
    classes: list[Any]
    true: Masks
    predicted: Masks

    @classmethod
    def from_arrays(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        classes: Sequence[Any] | None = None,
        tolerance: float | None = TOLERANCE,
    ) -> MaskPredictions:
        """Check and count masks; without ``tolerance`` edges are left out."""
        true, predicted = as_masks(y_true), as_masks(y_pred)
        if len(true) != len(predicted):
            raise ValueError(
                f"y_true has {counted(len(true), 'mask')} and y_pred {counted(len(predicted), 'mask')}; expected the "
                "same images in the same order."
            )
        if tolerance is not None and not 0 < tolerance < 1:
            raise ValueError(f"tolerance={tolerance!r}; expected a fraction of the diagonal, in (0, 1)")
        names = None if classes is None else list(classes)

        def count(row: int) -> tuple[tuple[np.ndarray, np.ndarray], dict[int, np.ndarray]]:
            return _counts_of(true.labels(row), predicted.labels(row), names, tolerance)

        found = []
        for row, value in map_ahead(count, range(len(true)), 16):
            if isinstance(value, BadRow):
                path = true.path(row) or predicted.path(row)
                raise ValueError(f"Image {row}{f' ({label_text(path)})' if path else ''}: {value.reason}.")
            found.append(value)
        if names is None:
            pairs = np.unique(np.concatenate([codes for (codes, _), _ in found])) if found else np.zeros(0, int)
            there = {int(label) for label in np.divmod(pairs, 256)[0]} | {int(label) for label in pairs % 256}
            labels = np.array(sorted(there - {IGNORED}), int)
            names = labels.tolist()
        else:
            labels = np.arange(len(names))
        number = np.full(256, len(labels))
        number[labels] = np.arange(len(labels))
        counts = np.zeros((len(found), len(labels), len(labels) + 1), np.int64)
        boundary = np.zeros((len(found), len(labels), 4), np.int64)
        for row, ((codes, n_pixels), edges) in enumerate(found):
            of_true, of_predicted = np.divmod(codes, 256)
            counts[row, number[of_true], number[of_predicted]] = n_pixels
            for label, values in edges.items():
                boundary[row, number[label]] = values
        return cls(counts, boundary, labels, names, true, predicted)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, classes: Sequence[Any] | None = None) -> MaskPredictions:
        """Predict, and check and count masks; the colours of y are those of the estimator."""
        if not hasattr(estimator, "predict"):
            raise TypeError(f"{type(estimator).__name__} has no predict; expected a fitted segmenter.")
        given = getattr(estimator, "colors", None), getattr(estimator, "root", None)
        return cls.from_arrays(as_masks(y, colors=given[0], root=given[1]), estimator.predict(X), classes=classes)

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.counts)


def _counts_of(
    true: np.ndarray, predicted: np.ndarray, names: list[Any] | None, tolerance: float | None
) -> tuple[tuple[np.ndarray, np.ndarray], dict[int, np.ndarray]]:
    """Return pairs of labels as numbers and how many pixels have them, and the counts of edges by label."""
    if true.shape != predicted.shape:
        raise ValueError(
            f"the predicted mask has {predicted.shape[0]} x {predicted.shape[1]} pixels, the true one "
            f"{true.shape[0]} x {true.shape[1]}"
        )
    if names is not None:
        for mask in (true, predicted):
            check_labels(mask, len(names))
    known = true != IGNORED
    pairs = np.bincount(true[known].astype(np.int64) * 256 + predicted[known], minlength=1)
    codes = np.flatnonzero(pairs)
    edges = {}
    if tolerance is not None:
        for label in sorted({int(code) for code in codes // 256} | {int(code) for code in codes % 256} - {IGNORED}):
            edges[label] = boundary_counts(true, predicted, label, tolerance)
    return (codes, pairs[codes]), edges
