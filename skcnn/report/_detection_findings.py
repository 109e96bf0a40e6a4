"""What is known of a detector on one test set: predicted boxes, tables, notes. Text and page render it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skcnn._text import counted, listing, metric_text, percent_text, printable_text, quoted
from skcnn.metrics.parts import (
    KINDS,
    BoxPredictions,
    best_score_threshold,
    class_detection_frame_of,
    detection_errors_of,
    detection_frame_of,
)
from skcnn.report._findings import Findings
from skcnn.report._origin import Origin
from skcnn.report._provenance import digest_of_boxes

#: Intersection over union from which on a predicted box is right, where kinds of error are counted.
IOU = 0.5


@dataclass(frozen=True, eq=False)
class DetectionFindings(Findings):
    """The findings about one detector. Made by `about`; the tables are made when they are first asked for."""

    predictions: BoxPredictions
    """Checked boxes."""

    kind: ClassVar[str] = "Detection report"
    resamples: ClassVar[str] = "over test sets with the same number of images"
    digested: ClassVar[str] = "true and predicted boxes, labels and scores"

    @classmethod
    def about(
        cls, predictions: BoxPredictions, *, name: str, estimator: Any = None, X: Any = None
    ) -> DetectionFindings:
        """Make the findings about predictions. See :class:`DetectionReport`."""
        return cls(Origin.of(estimator, X, name=name, n_samples=predictions.n_images), predictions)

    @property
    def sample_weight(self) -> np.ndarray | None:
        """None: average precision has no weights."""
        return None

    @cached_property
    def headline_frame(self) -> pd.DataFrame:
        """The twelve metrics of COCO with their notes."""
        return detection_frame_of(self.predictions)

    @cached_property
    def class_frame(self) -> pd.DataFrame:
        """Average precision and recall of each class."""
        return class_detection_frame_of(self.predictions)

    @cached_property
    def score_threshold(self) -> float:
        """The score of the highest F1, at which kinds of error are counted."""
        return best_score_threshold(self.predictions, IOU)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """What each box of at least that score is, and which true ones are missed."""
        return detection_errors_of(self.predictions, iou=IOU, score_threshold=self.score_threshold)

    @cached_property
    def error_frame(self) -> pd.DataFrame:
        """How many boxes of each class are what: a missed box counts with its true label, others with the predicted."""
        errors = self.errors
        label = errors["predicted_label"].where(errors["kind"] != "missed", errors["true_label"])
        classes = self.predictions.classes
        counts = {kind: [int(((label == one) & (errors["kind"] == kind)).sum()) for one in classes] for kind in KINDS}
        return pd.DataFrame(counts, index=pd.Index(classes, name="label", dtype=object))

    @property
    def headline_labels(self) -> dict[str, str]:
        """What the metrics at the top are called in print."""
        return {
            "average_precision": "AP",
            "average_precision_50": "AP50",
            "average_precision_75": "AP75",
            "average_recall": "AR",
            "average_precision_small": "AP, small boxes",
            "average_precision_medium": "AP, medium boxes",
            "average_precision_large": "AP, large boxes",
        }

    def notes_on(self, headline: pd.DataFrame) -> list[str]:
        """Return the notes of a table of the metrics at the top."""
        labels = self.headline_labels
        said = [f"{labels[metric]}: {note}." for metric, note in headline["note"].items() if note and metric in labels]
        absent = self.class_frame.index[self.class_frame["support"] == 0].tolist()
        if absent:
            said.append(
                f"Predicted, but without a true box, and so left out of all means: {listing(map(quoted, absent))}."
            )
        n_empty = self.n_samples - len(np.unique(self.predictions.true.image))
        if n_empty:
            said.append(f"{counted(n_empty, 'image')} without objects: what is predicted there is wrong.")
        return said

    @property
    def summary(self) -> str:
        """Average precision, how many boxes are found and right, and how many images were trained on."""
        return f"{self._found} {self.origin.training_note}".rstrip()

    @property
    def _found(self) -> str:
        n_true = len(self.predictions.true.image)
        on = f"on {counted(self.n_samples, 'image')} with {counted(n_true, 'box')}"
        if not n_true:
            return f"Average precision is not defined {on}."
        values = [metric_text(self.headline[f"average_precision{end}"]) for end in ("", "_50")]
        totals = self.error_frame.sum()
        n_predicted = int(totals.drop("missed").sum())
        said = f"AP {values[0]} and AP50 {values[1]} {on}."
        if n_predicted:
            found, right = (percent_text(round(totals["right"] / n, 3)) for n in (n_true, n_predicted))
            threshold = f"{self.score_threshold:.3g}"
            said += f" At a score of {threshold} or more, {found} of the true boxes are found, and {right} of the "
            said += "predicted ones are right."
        by_class = self.class_frame["average_precision"].dropna()
        if len(by_class) > 1:
            lowest = by_class.idxmin()
            said += f" Lowest AP: {quoted(lowest)} ({metric_text(by_class[lowest])})."
        return said

    @property
    def _about_predictions(self) -> dict[str, str]:
        classes = self.predictions.classes
        return {
            "Boxes": f"{len(self.predictions.true.image):,} true, {len(self.predictions.predicted.image):,} predicted",
            "Classes": f"{len(classes):,}: {listing(map(printable_text, classes))}",
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the predictions, as hexadecimal digits."""
        return digest_of_boxes(self.predictions)
