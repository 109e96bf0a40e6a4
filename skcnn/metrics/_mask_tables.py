"""Metrics of masks: of all pixels together, class by class, image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from skcnn.metrics._confusion import normalized
from skcnn.metrics._mask_boundaries import TOLERANCE
from skcnn.metrics._mask_predictions import MaskPredictions

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Metrics at the top of a report.
MASK_METRICS = (
    "mean_iou",
    "mean_dice",
    "pixel_accuracy",
    "mean_recall",
    "weighted_iou",
    "mean_iou_per_image",
    "boundary_f1",
)


def mask_iou(y_true: Any, y_pred: Any, *, per_image: bool = False) -> float:
    """Return the mean intersection over union (Jaccard index) of the classes of pixels.

    Parameters
    ----------
    y_true, y_pred : array-like of length n_images
        True and predicted masks: see :func:`skcnn.images.as_masks`. True pixels labelled 255 do not count; a predicted
        255 is wrong.
    per_image : bool, default=False
        Whether to average the mean of each image over images. By default the pixels of all images count together, as
        in Pascal VOC's benchmark: large regions count more, and a class that is in few images counts as every other.

    Returns
    -------
    float
        In [0, 1]. A class counts if it is in y_true or y_pred (of the image). NaN if no pixel counts.

    Raises
    ------
    ValueError
        If masks are invalid or of different sizes, or y_true and y_pred differ in length.

    References
    ----------
    M. Everingham, S. M. A. Eslami, L. Van Gool, C. K. I. Williams, J. Winn and A. Zisserman, "The Pascal Visual Object
    Classes Challenge: A Retrospective", IJCV 2015, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import mask_iou
    >>> mask_iou(np.array([[[0, 0, 1, 1]]]), np.array([[[0, 1, 1, 1]]]))
    0.5833333333333333
    """
    return float(headline_values(_counted(y_true, y_pred))["mean_iou_per_image" if per_image else "mean_iou"])


def mask_dice(y_true: Any, y_pred: Any) -> float:
    """Return the mean Dice coefficient (F1) of the classes of pixels, of all images together.

    Parameters
    ----------
    y_true, y_pred : array-like of length n_images
        True and predicted masks: see :func:`mask_iou`.

    Returns
    -------
    float
        In [0, 1]; of a class it is ``2 * iou / (1 + iou)``. NaN if no pixel counts.

    Raises
    ------
    ValueError
        If masks are invalid or of different sizes, or y_true and y_pred differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import mask_dice
    >>> round(mask_dice(np.array([[[0, 0, 1, 1]]]), np.array([[[0, 1, 1, 1]]])), 3)
    0.733
    """
    return float(headline_values(_counted(y_true, y_pred))["mean_dice"])


def pixel_accuracy(y_true: Any, y_pred: Any) -> float:
    """Return the fraction of the pixels of all images that are predicted right.

    Parameters
    ----------
    y_true, y_pred : array-like of length n_images
        True and predicted masks: see :func:`mask_iou`.

    Returns
    -------
    float
        In [0, 1]. NaN if no pixel counts. Where most pixels are background it is high whatever is predicted.

    Raises
    ------
    ValueError
        If masks are invalid or of different sizes, or y_true and y_pred differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import pixel_accuracy
    >>> pixel_accuracy(np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 1]]]))
    0.6666666666666666
    """
    return float(headline_values(_counted(y_true, y_pred))["pixel_accuracy"])


def boundary_f1(y_true: Any, y_pred: Any, *, tolerance: float = TOLERANCE) -> float:
    """Return how well the edges of regions lie: F1 of their pixels, averaged over classes and images.

    Parameters
    ----------
    y_true, y_pred : array-like of length n_images
        True and predicted masks: see :func:`mask_iou`.
    tolerance : float, default=0.0075
        How far from a true edge a predicted one is right, and the other way round: a fraction of the diagonal of the
        image, in (0, 1); a pixel at least. The default is the paper's.

    Returns
    -------
    float
        In [0, 1]: the mean over images of the mean over classes that have an edge there, true or predicted. NaN if
        there is none. Borders of images are not edges.

    Raises
    ------
    ValueError
        If masks are invalid or of different sizes, or y_true and y_pred differ in length.

    References
    ----------
    G. Csurka, D. Larlus and F. Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013,
    section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import boundary_f1
    >>> y = np.zeros((1, 20, 20), np.uint8)
    >>> y[0, 5:15, 5:15] = 1
    >>> boundary_f1(y, np.roll(y, 1, axis=2)), round(boundary_f1(y, np.roll(y, 3, axis=2)), 2)
    (1.0, 0.47)
    """
    return float(headline_values(MaskPredictions.from_arrays(y_true, y_pred, tolerance=tolerance))["boundary_f1"])


def segmentation_frame(
    y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Return the metrics of predicted masks.

    Parameters
    ----------
    y_true, y_pred : array-like of length n_images
        True and predicted masks: see :func:`mask_iou`.
    classes : sequence or None, default=None
        Names of the classes, by their labels from 0 on; another label raises. None takes the labels that occur.
    tolerance : float, default=0.0075
        Of edges: see :func:`boundary_f1`.

    Returns
    -------
    DataFrame of shape (7, 2)
        Index "metric": ``mean_iou``, ``mean_dice``, ``pixel_accuracy``, ``mean_recall`` (the mean over classes of the
        fraction of their pixels that is found), ``weighted_iou`` (the mean weighted by pixels of the class),
        ``mean_iou_per_image`` and ``boundary_f1``. Columns "value" (float) and "note" (str): the reason where a value
        is NaN.

    Raises
    ------
    ValueError
        If masks are invalid or of different sizes, or y_true and y_pred differ in length.

    See Also
    --------
    class_segmentation_frame : Class by class.
    segmentation_intervals : With intervals.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import segmentation_frame
    >>> frame = segmentation_frame(np.array([[[0, 0, 1, 1]]]), np.array([[[0, 1, 1, 1]]]))
    >>> frame["value"].round(2).to_dict()["mean_recall"]
    0.75
    """
    return segmentation_frame_of(MaskPredictions.from_arrays(y_true, y_pred, classes=classes, tolerance=tolerance))


def class_segmentation_frame(
    y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Return the metrics of predicted masks class by class.

    Parameters
    ----------
    y_true, y_pred, classes, tolerance
        Masks, names of classes and tolerance of edges: see :func:`segmentation_frame`.

    Returns
    -------
    DataFrame of shape (n_classes, 8)
        Index "class"; columns "iou", "dice", "precision", "recall" (of all pixels together), "boundary_f1" (the mean
        over images with an edge of the class), "fraction" (of the true pixels), "support" (true pixels) and "n_images"
        (with true pixels). NaN where a metric is not defined.

    Raises
    ------
    ValueError
        If masks are invalid or of different sizes, or y_true and y_pred differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import class_segmentation_frame
    >>> true, predicted = np.array([[[0, 0, 1, 1]]]), np.array([[[0, 1, 1, 1]]])
    >>> class_segmentation_frame(true, predicted, classes=["sky", "sea"])["iou"].round(2).to_dict()
    {'sky': 0.5, 'sea': 0.67}
    """
    return class_segmentation_frame_of(
        MaskPredictions.from_arrays(y_true, y_pred, classes=classes, tolerance=tolerance)
    )


def pixel_confusion_frame(
    y_true: Any,
    y_pred: Any,
    *,
    classes: Sequence[Any] | None = None,
    normalize: Literal["true", "pred", "all"] | None = None,
) -> pd.DataFrame:
    """Count how often pixels of each class are predicted as each class.

    Parameters
    ----------
    y_true, y_pred, classes
        Masks and names of classes: see :func:`segmentation_frame`.
    normalize : {"true", "pred", "all"} or None, default=None
        Divide by the total of the row, of the column or of the table. What would be divided by zero is NaN.

    Returns
    -------
    DataFrame of shape (n_classes, n_classes)
        Rows (index "true") are true classes, columns ("predicted") predicted ones. Pixels whose true or predicted label
        is 255 are not among them.

    Raises
    ------
    ValueError
        If masks are invalid or of different sizes, y_true and y_pred differ in length, or ``normalize`` is none of
        these.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import pixel_confusion_frame
    >>> pixel_confusion_frame(np.array([[[0, 0, 1, 1]]]), np.array([[[0, 1, 1, 1]]]))  # doctest: +NORMALIZE_WHITESPACE
    predicted  0  1
    true
    0          1  1
    1          0  2
    """
    counts = pixel_confusion_of(_counted(y_true, y_pred, classes))
    return counts if normalize is None else normalized(counts, normalize)


def _counted(y_true: Any, y_pred: Any, classes: Sequence[Any] | None = None) -> MaskPredictions:
    return MaskPredictions.from_arrays(y_true, y_pred, classes=classes, tolerance=None)


def segmentation_frame_of(predictions: MaskPredictions) -> pd.DataFrame:
    """Make the table of :func:`segmentation_frame` of counted masks."""
    values = headline_values(predictions)
    frame = pd.DataFrame({"value": pd.Series({name: float(values[name]) for name in MASK_METRICS})})
    frame.index.name = "metric"
    notes = dict.fromkeys(MASK_METRICS, "no pixel counts") | {"boundary_f1": "there is no edge"}
    frame["note"] = [notes[name] if np.isnan(value) else "" for name, value in frame["value"].items()]
    return frame


def class_segmentation_frame_of(predictions: MaskPredictions) -> pd.DataFrame:
    """Make the table of :func:`class_segmentation_frame` of counted masks."""
    counts = predictions.counts.sum(axis=0)
    right, true, found = _sums(counts)
    return pd.DataFrame(
        {
            "iou": ratio(right, true + found - right),
            "dice": ratio(2 * right, true + found),
            "precision": ratio(right, found),
            "recall": ratio(right, true),
            "boundary_f1": mean_of_defined(edge_f1(predictions), axis=0),
            "fraction": ratio(true, true.sum()),
            "support": true,
            "n_images": (predictions.counts.sum(axis=2) > 0).sum(axis=0),
        },
        index=pd.Index(predictions.classes, name="class"),
    )


def pixel_confusion_of(predictions: MaskPredictions) -> pd.DataFrame:
    """Make the table of :func:`pixel_confusion_frame`, of counts."""
    return pd.DataFrame(
        predictions.counts.sum(axis=0)[:, :-1],
        index=pd.Index(predictions.classes, name="true"),
        columns=pd.Index(predictions.classes, name="predicted"),
    )


def image_iou(predictions: MaskPredictions) -> np.ndarray:
    """Return the mean intersection over union of the classes in each image, (n_images,); NaN where no pixel counts."""
    right, true, found = _sums(predictions.counts)
    return mean_of_defined(ratio(right, true + found - right), axis=1)


def edge_f1(predictions: MaskPredictions) -> np.ndarray:
    """Return the F1 of edges of each image and class, (n_images, n_classes); NaN where there is no edge."""
    right, n_found, near, n_true = np.moveaxis(predictions.boundary, -1, 0)
    precision, recall = (ratio(part, whole) for part, whole in ((right, n_found), (near, n_true)))
    # An edge that is missed as a whole, or made up, has an F1 of 0.
    precision, recall = np.nan_to_num(precision), np.nan_to_num(recall)
    f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(n_found + n_true > 0, f1, np.nan)


def headline_values(predictions: MaskPredictions, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the metrics at the top, of weights of images (n_images, n_weightings); None counts each once."""
    n_images, n_classes = predictions.counts.shape[:2]
    given = np.ones((n_images, 1)) if weights is None else weights
    flat = predictions.counts.reshape(n_images, -1).astype(float)
    counts = (given.T @ flat).reshape(given.shape[1], n_classes, n_classes + 1)
    right, true, found = _sums(counts)
    iou, recall = ratio(right, true + found - right), ratio(right, true)
    total = true.sum(axis=-1)
    values = {
        "mean_iou": mean_of_defined(iou, axis=-1),
        "mean_dice": mean_of_defined(ratio(2 * right, true + found), axis=-1),
        "pixel_accuracy": ratio(right.sum(axis=-1), total),
        "mean_recall": mean_of_defined(recall, axis=-1),
        "weighted_iou": ratio((np.nan_to_num(iou) * true).sum(axis=-1), total),
        "mean_iou_per_image": _weighted_mean(image_iou(predictions), given),
        "boundary_f1": _weighted_mean(mean_of_defined(edge_f1(predictions), axis=1), given),
    }
    return {name: value[0] if weights is None else value for name, value in values.items()}


def _sums(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels of each class that are right, that are true, and that are predicted, (..., n_classes)."""
    predicted = counts[..., :-1]
    return np.diagonal(predicted, axis1=-2, axis2=-1), counts.sum(axis=-1), predicted.sum(axis=-2)


def ratio(part: np.ndarray, whole: np.ndarray | float) -> np.ndarray:
    """Return a ratio; NaN where there is nothing to divide by."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / whole)


def mean_of_defined(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean along an axis without NaN; NaN where there is nothing else."""
    return ratio(np.nansum(values, axis=axis), (~np.isnan(values)).sum(axis=axis).astype(float))


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(values)
    return ratio(np.nan_to_num(values) @ weights, defined.astype(float) @ weights)
