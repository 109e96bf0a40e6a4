"""Display of the precision of predicted boxes at each recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd

from skcnn._plot.theme import class_colors, new_axes
from skcnn._text import label_text, metric_text
from skcnn.metrics._box_curves import IOUS_SHOWN, detection_curve_frame_of
from skcnn.metrics._box_predictions import BoxPredictions
from skcnn.metrics._coco import MAX_DETECTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: More curves are not told from each other by their colours.
_MOST_CURVES = 6


class BoxPrecisionRecallDisplay:
    """Precision against recall of predicted boxes: a curve per threshold of IoU, or per class.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    curves : DataFrame of shape (n_points, 5)
        What :meth:`frame` returns.
    name : str or None, default=None
        Title of the image.

    Examples
    --------
    >>> from skcnn.metrics import BoxPrecisionRecallDisplay
    >>> found = {"boxes": [[0, 0, 10, 8]], "labels": ["object"], "scores": [0.9]}
    >>> display = BoxPrecisionRecallDisplay.from_predictions([[[0, 0, 10, 10]], []], [found, []])
    >>> figure = display.plot().figure_
    """

    def __init__(self, curves: pd.DataFrame, *, name: str | None = None) -> None:
        self.curves = curves
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        ious: Sequence[float] = IOUS_SHOWN,
        classes: Sequence[Any] | None = None,
        max_detections: int = MAX_DETECTIONS,
        name: str | None = None,
    ) -> Self:
        """Make the Display from a fitted detector.

        Parameters
        ----------
        estimator : estimator
            A fitted detector: its ``predict`` returns boxes with scores.
        X : array-like of n_images images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_images
            True boxes: see :func:`skcnn.boxes.as_boxes`.
        ious, classes, max_detections, name
            Thresholds of IoU, labels, number of boxes that count and the title: see :meth:`from_predictions`.

        Returns
        -------
        BoxPrecisionRecallDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        TypeError
            If the estimator does not predict.
        ValueError
            If boxes or a parameter are invalid.
        """
        predictions = BoxPredictions.from_estimator(estimator, X, y, classes=classes)
        return cls(detection_curve_frame_of(predictions, ious, max_detections), name=name)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        ious: Sequence[float] = IOUS_SHOWN,
        classes: Sequence[Any] | None = None,
        max_detections: int = MAX_DETECTIONS,
        name: str | None = None,
    ) -> Self:
        """Make the Display from predicted boxes.

        Parameters
        ----------
        y_true, y_pred, classes, max_detections
            Boxes, labels and number of boxes that count: see :func:`average_precision`.
        ious : sequence of float, default=(0.5, 0.75, 0.9)
            Thresholds of IoU, in (0, 1].
        name : str or None, default=None
            Title of the image.

        Returns
        -------
        BoxPrecisionRecallDisplay
            Not drawn yet; call :meth:`plot`.

        Raises
        ------
        ValueError
            If boxes or a parameter are invalid.
        """
        predictions = BoxPredictions.from_arrays(y_true, y_pred, classes=classes)
        return cls(detection_curve_frame_of(predictions, ious, max_detections), name=name)

    def frame(self) -> pd.DataFrame:
        """Return the points of the curves.

        Returns
        -------
        DataFrame of shape (n_points, 5)
            Columns "iou", "label", "recall", "precision" and "threshold": see :func:`detection_curve_frame`.
        """
        return self.curves.copy()

    def plot(self, ax: Axes | None = None, *, by: Literal["iou", "label"] = "iou") -> Self:
        """Draw the curves, with the average precision of each in the legend.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.
        by : {"iou", "label"}, default="iou"
            What a curve stands for: a threshold of IoU (the mean over classes), or a class (at the lowest threshold; of
            more than six classes, the six of lowest average precision).

        Returns
        -------
        BoxPrecisionRecallDisplay
            Itself, with the attributes ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            If ``by`` is unknown.
        """
        if by not in ("iou", "label"):
            raise ValueError(f"by={by!r}; expected 'iou' or 'label'.")
        if ax is None:
            ax = new_axes(5, 5)
        points = self.curves
        if by == "label" and len(points):
            points = points[points["iou"] == points["iou"].min()]
        curves = [(key, group.groupby("recall")["precision"].mean()) for key, group in points.groupby(by, sort=False)]
        if by == "label":
            curves = sorted(curves, key=lambda curve: curve[1].mean())[:_MOST_CURVES]
        entries: dict[str, Any] = {}
        for (key, curve), (color, _) in zip(curves, class_colors(len(curves)), strict=True):
            text = f"IoU {key:g}" if by == "iou" else label_text(key, 24)
            (line,) = ax.plot(curve.index, curve.to_numpy(), drawstyle="steps-pre", color=color)
            entries[f"{text} ({metric_text(curve.mean())})"] = line
        if entries:
            # Given with their lines: matplotlib hides labels that begin with an underscore.
            legend = ax.legend(list(entries.values()), list(entries), loc="lower left", frameon=False)
            for entry in legend.get_texts():
                entry.set_parse_math(False)
        ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall", ylabel="Precision")
        if self.name:
            ax.set_title(self.name, parse_math=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def box_precision_recall_display_of(
    predictions: BoxPredictions, ious: Sequence[float] = IOUS_SHOWN
) -> BoxPrecisionRecallDisplay:
    """Make the Display from checked boxes."""
    return BoxPrecisionRecallDisplay(detection_curve_frame_of(predictions, ious))
