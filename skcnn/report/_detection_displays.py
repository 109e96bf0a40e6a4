"""The Displays of a detector's report, each of them and all in one figure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from skcnn.metrics.parts import box_grid_display_of, box_precision_recall_display_of
from skcnn.report._detection_findings import DetectionFindings
from skcnn.report._displays import drawn_together
from skcnn.report._report import Report

if TYPE_CHECKING:
    from skcnn.metrics import BoxGridDisplay, BoxPrecisionRecallDisplay


class DetectionDisplays(Report):
    """What of a :class:`DetectionReport` is drawn. Its base class, and of use to nothing else."""

    _findings: DetectionFindings

    def plot(self) -> Self:
        """Draw precision and recall by IoU and by class in one figure.

        Returns
        -------
        DetectionReport
            Itself, with the attributes ``axes_`` (an array: these are two) and ``figure_``.
        """
        display = self.precision_recall_display()
        draw = [partial(display.plot, by="iou"), partial(display.plot, by="label")]
        self.figure_, self.axes_ = drawn_together(draw, self._findings.name)
        return self

    def precision_recall_display(self) -> BoxPrecisionRecallDisplay:
        """Return the Display of precision and recall.

        Returns
        -------
        BoxPrecisionRecallDisplay
            Not drawn yet.
        """
        return box_precision_recall_display_of(self._findings.predictions)

    def image_displays(self, n_images: int = 12) -> list[BoxGridDisplay]:
        """Return the Display of the images with the most errors.

        Parameters
        ----------
        n_images : int, default=12
            How many images at most.

        Returns
        -------
        list of BoxGridDisplay
            One; empty where the report has no images.
        """
        images = self._findings.images
        if images is None:
            return []
        return [box_grid_display_of(self._findings.predictions, images, n_images=n_images)]
