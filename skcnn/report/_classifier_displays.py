"""The Displays of a classifier's report, each of them and all in one figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from skcnn.metrics import ConfusionDisplay
from skcnn.metrics.parts import (
    MAX_LABELLED,
    confusion_display_of,
    curve_displays_of,
    image_grid_display_of,
    reliability_display_of,
    singled_out,
    threshold_display_of,
)
from skcnn.report._classifier_findings import ClassifierFindings
from skcnn.report._displays import drawn_together
from skcnn.report._report import Report

if TYPE_CHECKING:
    from skcnn.metrics import (
        ImageGridDisplay,
        OneVsRestPrecisionRecallDisplay,
        OneVsRestRocDisplay,
        ReliabilityDisplay,
        ThresholdDisplay,
    )


class ClassifierDisplays(Report):
    """What of a :class:`ClassifierReport` is drawn. Its base class, and of use to nothing else."""

    _findings: ClassifierFindings

    def plot(self) -> Self:
        """Draw the confusion matrix, the curves and, of probabilities, the reliability diagram in one figure.

        With more than 12 classes, the matrix of the most confused classes is drawn too; with two, the metrics
        at all thresholds. Without scores, only the confusion matrix is drawn.

        Returns
        -------
        ClassifierReport
            Itself, with the attributes ``axes_`` (an array: these are several) and ``figure_``.
        """
        curves, confusion = self.curve_displays(), self.confusion_display()
        chosen = singled_out(curves)
        draw: list[Callable[..., Any]] = [confusion.plot]
        if len(confusion.confusion) > MAX_LABELLED and (most_confused := confusion.most_confused_classes()):
            draw.append(partial(confusion.plot, classes=most_confused))
        draw += [partial(curve.plot, classes=chosen[i]) for i, curve in enumerate(curves)]
        draw += [display.plot for display in (self.reliability_display(), self.threshold_display()) if display]
        self.figure_, self.axes_ = drawn_together(draw, self._findings.name)
        return self

    def confusion_display(self) -> ConfusionDisplay:
        """Return the Display of the confusion matrix; with more than 1,000 classes, of the most confused ones.

        Returns
        -------
        ConfusionDisplay
            Not drawn yet.
        """
        return confusion_display_of(self._findings.predictions)

    def curve_displays(self) -> list[OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay]:
        """Return the Displays of the ROC and precision-recall curves.

        With more than 1,000 classes they have the areas of all and the curves of the five classes of lowest average
        precision.

        Returns
        -------
        list of Displays
            Empty where there are no scores.
        """
        if self._findings.predictions.score is None:
            return []
        return curve_displays_of(self._findings.predictions)

    def reliability_display(self) -> ReliabilityDisplay | None:
        """Return the reliability diagram.

        Returns
        -------
        ReliabilityDisplay or None
            None where there are no probabilities, or one class only.
        """
        if not self._findings.predictions.is_probability or len(self._findings.classes) < 2:
            return None
        return reliability_display_of(self._findings.predictions)

    def threshold_display(self) -> ThresholdDisplay | None:
        """Return the Display of the metrics at each threshold on the second class's score.

        Returns
        -------
        ThresholdDisplay or None
            None where there are no scores, or not two classes.
        """
        if self._findings.predictions.score is None or len(self._findings.classes) != 2:
            return None
        return threshold_display_of(self._findings.predictions, 1)

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
        images = self._findings.images
        if images is None:
            return []
        kinds: tuple[Literal["worst_errors", "confident_right"], ...] = ("worst_errors", "confident_right")
        kinds = kinds if self._findings.predictions.score is not None else kinds[:1]
        return [
            image_grid_display_of(self._findings.predictions, images, kind=kind, n_images=n_images) for kind in kinds
        ]
