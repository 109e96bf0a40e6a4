"""What is known of a segmenter on one test set: counted pixels, tables, notes. Text and page render it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skcnn._text import counted, listing, metric_text, percent_text, printable_text, quoted
from skcnn.metrics.parts import (
    MaskPredictions,
    class_segmentation_frame_of,
    image_iou,
    pixel_confusion_of,
    segmentation_frame_of,
)
from skcnn.report._findings import Findings
from skcnn.report._origin import Origin
from skcnn.report._provenance import digest_of_masks


@dataclass(frozen=True, eq=False)
class SegmentationFindings(Findings):
    """The findings about one segmenter. Made by `about`; the tables are made when they are first asked for."""

    predictions: MaskPredictions
    """Counted pixels."""

    kind: ClassVar[str] = "Segmentation report"
    resamples: ClassVar[str] = "over test sets with the same number of images"
    digested: ClassVar[str] = "classes and numbers of pixels of each image"

    @classmethod
    def about(
        cls, predictions: MaskPredictions, *, name: str, estimator: Any = None, X: Any = None
    ) -> SegmentationFindings:
        """Make the findings about predictions. See :class:`SegmentationReport`."""
        return cls(Origin.of(estimator, X, name=name, n_samples=predictions.n_images), predictions)

    @property
    def sample_weight(self) -> np.ndarray | None:
        """None: pixels have no weights."""
        return None

    @cached_property
    def headline_frame(self) -> pd.DataFrame:
        """The metrics of masks with their notes."""
        return segmentation_frame_of(self.predictions)

    @cached_property
    def class_frame(self) -> pd.DataFrame:
        """The metrics of each class."""
        return class_segmentation_frame_of(self.predictions)

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """The confusion matrix of pixels."""
        return pixel_confusion_of(self.predictions)

    @cached_property
    def image_iou(self) -> np.ndarray:
        """Mean IoU of each image."""
        return image_iou(self.predictions)

    @property
    def headline_labels(self) -> dict[str, str]:
        """What the metrics at the top are called in print."""
        return {
            "mean_iou": "Mean IoU",
            "mean_dice": "Mean Dice",
            "pixel_accuracy": "Pixel accuracy",
            "mean_recall": "Mean recall",
            "weighted_iou": "IoU, weighted by pixels",
            "mean_iou_per_image": "Mean IoU per image",
            "boundary_f1": "F1 of edges",
        }

    def notes_on(self, headline: pd.DataFrame) -> list[str]:
        """Return the notes of a table of the metrics at the top."""
        labels = self.headline_labels
        said = [f"{labels[metric]}: {note}." for metric, note in headline["note"].items() if note]
        absent = self.class_frame.index[self.class_frame["support"] == 0].tolist()
        if absent:
            said.append(f"Without a true pixel: {listing(map(quoted, absent))}. What is predicted so is wrong.")
        n_unseen = int(self.predictions.counts[..., -1].sum())
        if n_unseen:
            said.append(f"{counted(n_unseen, 'pixel')} without a predicted class count as wrong.")
        return said

    @property
    def summary(self) -> str:
        """Mean IoU, of all pixels and image by image, and how many images were trained on."""
        return f"{self._found} {self.origin.training_note}".rstrip()

    @property
    def _found(self) -> str:
        n_pixels = int(self.predictions.counts.sum())
        on = f"on {counted(self.n_samples, 'image')} with {counted(n_pixels, 'pixel')}"
        if not n_pixels:
            return f"Mean IoU is not defined {on}."
        values = self.headline
        said = (
            f"Mean IoU {metric_text(values['mean_iou'])} {on}; {percent_text(round(values['pixel_accuracy'], 3))} of "
            "the pixels are right."
        )
        iou = self.image_iou[~np.isnan(self.image_iou)]
        if len(iou) > 1:
            said += (
                f" By image: {metric_text(float(iou.mean()))} on average, {metric_text(float(np.median(iou)))} in the "
                f"middle, {metric_text(float(iou.min()))} in the worst one."
            )
        by_class = self.class_frame["iou"].dropna()
        if len(by_class) > 1:
            lowest = by_class.idxmin()
            said += f" Lowest IoU: {quoted(lowest)} ({metric_text(by_class[lowest])})."
        return said

    @property
    def _about_predictions(self) -> dict[str, str]:
        classes = self.predictions.classes
        return {
            "Pixels": f"{int(self.predictions.counts.sum()):,} that count",
            "Classes": f"{len(classes):,}: {listing(map(printable_text, classes))}",
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the predictions, as hexadecimal digits."""
        return digest_of_masks(self.predictions)
