"""The Displays of a segmenter's report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from skcnn.metrics import ConfusionDisplay
from skcnn.metrics.parts import MASK_KINDS, segmentation_display_of
from skcnn.report._displays import drawn_together
from skcnn.report._report import Report
from skcnn.report._segmentation_findings import SegmentationFindings

if TYPE_CHECKING:
    from skcnn.metrics import SegmentationDisplay


class SegmentationDisplays(Report):
    """What of a :class:`SegmentationReport` is drawn. Its base class, and of use to nothing else."""

    _findings: SegmentationFindings

    def plot(self) -> Self:
        """Draw the confusion matrix of pixels and, where there are images, the worst ones in one figure.

        Returns
        -------
        SegmentationReport
            Itself, with the attributes ``axes_`` (an array) and ``figure_``.
        """
        draw: list[Callable[[Any], Any]] = [self.confusion_display().plot]
        draw += [display.plot for display in self.image_displays(4)]
        self.figure_, self.axes_ = drawn_together(draw, self._findings.name)
        return self

    def confusion_display(self) -> ConfusionDisplay:
        """Return the Display of the confusion matrix of pixels.

        Returns
        -------
        ConfusionDisplay
            Not drawn yet.
        """
        return ConfusionDisplay(self._findings.confusion)

    def image_displays(self, n_images: int = 12) -> list[SegmentationDisplay]:
        """Return the Displays of the images of the lowest mean IoU.

        Parameters
        ----------
        n_images : int, default=12
            How many images at most.

        Returns
        -------
        list of SegmentationDisplay
            Predicted masks, and errors; empty where the report has no images.
        """
        images = self._findings.images
        if images is None:
            return []
        return [
            segmentation_display_of(self._findings.predictions, images, kind=kind, n_images=n_images)
            for kind in MASK_KINDS
        ]
