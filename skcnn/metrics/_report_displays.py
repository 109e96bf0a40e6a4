"""The Displays of a report, each of them and all in one figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import pandas as pd

from skcnn.images import Images, as_images
from skcnn.metrics._calibration import ReliabilityDisplay
from skcnn.metrics._confusion_display import MAX_LABELLED, ConfusionDisplay
from skcnn.metrics._curves import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay, singled_out
from skcnn.metrics._image_grid_display import ImageGridDisplay, Kind
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._text import label_text
from skcnn.metrics._threshold_display import ThresholdDisplay


class ReportDisplays:
    """What of a :class:`ClassifierReport` is drawn. Its base class, and of use to nothing else."""

    name: str
    classes: np.ndarray
    n_samples: int
    confusion_frame: pd.DataFrame
    _predictions: Predictions
    _X: Any
    _root: Any

    def plot(self) -> Self:
        """Draw the confusion matrix, the curves and, of probabilities, the reliability diagram in one figure.

        With more than 12 classes, the matrix of the most confused classes is drawn too; with two, the metrics
        at all thresholds. Without scores, only the confusion matrix is drawn.

        Returns
        -------
        ClassifierReport
            Itself, with the attributes ``axes_`` (an array: these are several) and ``figure_``.
        """
        import matplotlib.pyplot as plt

        curves, confusion = self.curve_displays(), self.confusion_display()
        chosen = singled_out(curves)
        draw: list[Callable[..., Any]] = [confusion.plot]
        if len(self.classes) > MAX_LABELLED and (most_confused := confusion.most_confused_classes()):
            draw.append(partial(confusion.plot, classes=most_confused))
        draw += [partial(curve.plot, classes=chosen[i]) for i, curve in enumerate(curves)]
        draw += [display.plot for display in (self.reliability_display(), self.threshold_display()) if display]
        n_columns = min(3, len(draw)) if len(draw) != 4 else 2
        n_rows = -(-len(draw) // n_columns)
        figure = plt.figure(figsize=(5.5 * n_columns, 5.5 * n_rows), layout="constrained")
        places = np.ravel(figure.subplots(n_rows, n_columns))
        for ax, draw_on in zip(places, draw, strict=False):
            draw_on(ax)
        for ax in places[len(draw) :]:
            ax.remove()
        figure.suptitle(label_text(self.name), parse_math=False)
        self.axes_ = places[: len(draw)]
        self.figure_ = figure
        return self

    def confusion_display(self) -> ConfusionDisplay:
        """Return the Display of the confusion matrix.

        Returns
        -------
        ConfusionDisplay
            Not drawn yet.
        """
        return ConfusionDisplay(self.confusion_frame)

    def curve_displays(self) -> list[OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay]:
        """Return the Displays of the ROC and precision-recall curves.

        Returns
        -------
        list of Displays
            Empty where there are no scores.
        """
        if self._predictions.score is None:
            return []
        return [
            OneVsRestRocDisplay._from_checked(self._predictions),
            OneVsRestPrecisionRecallDisplay._from_checked(self._predictions),
        ]

    def reliability_display(self) -> ReliabilityDisplay | None:
        """Return the reliability diagram.

        Returns
        -------
        ReliabilityDisplay or None
            None where there are no probabilities, or one class only.
        """
        if not self._predictions.is_probability or len(self.classes) < 2:
            return None
        return ReliabilityDisplay._from_checked(self._predictions)

    def threshold_display(self) -> ThresholdDisplay | None:
        """Return the Display of the metrics at each threshold on the second class's score.

        Returns
        -------
        ThresholdDisplay or None
            None where there are no scores, or not two classes.
        """
        if self._predictions.score is None or len(self.classes) != 2:
            return None
        return ThresholdDisplay._from_checked(self._predictions, 1)

    def image_displays(self, n_images: int = 12) -> list[ImageGridDisplay]:
        """Return the Displays of the worst errors and of the most confident correct predictions.

        Parameters
        ----------
        n_images : int, default=12
            How many of each at most.

        Returns
        -------
        list of ImageGridDisplay
            Empty where the report has no images; the first alone where there are no scores.
        """
        images = self._images
        if images is None:
            return []
        kinds: tuple[Kind, ...] = ("worst_errors", "confident_right")
        kinds = kinds if self._predictions.score is not None else kinds[:1]
        return [
            ImageGridDisplay._from_checked(self._predictions, images, kind=kind, n_images=n_images) for kind in kinds
        ]

    @cached_property
    def _images(self) -> Images | None:
        """X, where it holds images: a report is of use to classifiers of numbers and of texts, too."""
        try:
            images = as_images(self._X, root=self._root)
        except (TypeError, ValueError):
            return None
        looked_at = range(min(3, len(images))) if len(images) == self.n_samples else []
        return images if any(_is_image(images, row) for row in looked_at) else None


def _is_image(images: Images, row: int) -> bool:
    try:
        images.thumbnail(row, 8)
    except (OSError, TypeError, ValueError):
        return False
    return True
