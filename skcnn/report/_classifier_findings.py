"""What is known of a classifier on one test set: predictions, tables and notes. Text and page render it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skcnn._text import count_text, counted, metric_text, quoted
from skcnn.metrics.parts import (
    Predictions,
    calibration_of,
    class_metrics_of,
    confusion_of,
    headline_of,
    most_confused_of,
    top_k_frame_of,
    top_k_of,
    undefined_notes,
)
from skcnn.report._distances import Distances
from skcnn.report._findings import Findings
from skcnn.report._origin import Origin
from skcnn.report._provenance import digest_of_predictions


@dataclass(frozen=True, eq=False)
class ClassifierFindings(Findings):
    """The findings about one classifier. Made by `about`; the tables are made when they are first asked for."""

    predictions: Predictions
    """Checked predictions."""
    top_k_asked: int
    """How many of the highest scores "top_k_accuracy" was to look at."""
    top_k: int
    """How many it looks at."""
    distances: Distances | None
    """How far the samples lie from the training set, where that is known."""

    kind: ClassVar[str] = "Classifier report"
    resamples: ClassVar[str] = "over test sets with the same number of samples per class"
    digested: ClassVar[str] = "classes, true and predicted labels, scores and weights"

    @classmethod
    def about(
        cls,
        predictions: Predictions,
        *,
        name: str,
        top_k: int = 5,
        estimator: Any = None,
        X: Any = None,
        features: Any = None,
    ) -> ClassifierFindings:
        """Make the findings about predictions. See :class:`ClassifierReport`."""
        origin = Origin.of(estimator, X, name=name, n_samples=predictions.n_samples)
        distances = Distances.of(estimator, features, predictions.n_samples)
        return cls(origin, predictions, top_k_asked=top_k, top_k=top_k_of(predictions, top_k), distances=distances)

    @property
    def classes(self) -> np.ndarray:
        """Labels of the classes, of shape (n_classes,)."""
        return self.predictions.classes

    @property
    def sample_weight(self) -> np.ndarray | None:
        """Weights of the samples, where they were given."""
        return self.predictions.sample_weight

    @property
    def is_right(self) -> np.ndarray:
        """Whether each sample is predicted right: bool of shape (n_samples,)."""
        return self.predictions.true == self.predictions.predicted

    @cached_property
    def headline_frame(self) -> pd.DataFrame:
        """The metrics about all classes together, with their notes."""
        return headline_of(self.predictions, self.classification_frame, self.top_k_asked)

    @cached_property
    def classification_frame(self) -> pd.DataFrame:
        """The metrics of each class."""
        return class_metrics_of(self.predictions)

    @cached_property
    def confusion_frame(self) -> pd.DataFrame:
        """Counts: rows are true classes, columns predicted ones."""
        return confusion_of(self.predictions)

    @cached_property
    def calibration_frame(self) -> pd.DataFrame | None:
        """Calibration of the probabilities, of all classes and of each; None where there are none."""
        return calibration_of(self.predictions) if self.predictions.is_probability else None

    @cached_property
    def top_k_frame(self) -> pd.DataFrame | None:
        """How often the true class is among the k highest scores; None where there are no scores."""
        return top_k_frame_of(self.predictions) if self.predictions.score is not None else None

    @property
    def headline_labels(self) -> dict[str, str]:
        """What the metrics of ``headline`` are called in print."""
        return {
            "accuracy": "Accuracy",
            "balanced_accuracy": "Balanced accuracy",
            "log_loss": "Log-loss",
            "top_k_accuracy": f"Top-{self.top_k} accuracy" if len(self.classes) > 2 else "Top-k accuracy",
            "f1_macro": "Macro F1",
            "roc_auc_ovr": "Macro ROC AUC",
            "average_precision_macro": "Macro average precision",
        }

    def notes_on(self, headline: pd.DataFrame) -> list[str]:
        """Return the notes of a table of the metrics about all classes together, and those about single classes."""
        metrics: dict[str, list[str]] = {}
        for metric, note in headline["note"].items():
            # With two classes there is no top-k accuracy to miss.
            if metric != "top_k_accuracy" or len(self.classes) != 2:
                metrics.setdefault(note, []).append(self.headline_labels[metric])
        said = [f"{', '.join(labels)}: {note}." for note, labels in metrics.items() if note]
        return said + undefined_notes(self.classification_frame, self.predictions)

    def most_confused(self, k: int = 10) -> pd.DataFrame:
        """Return the most confused pairs of classes, ``k`` of them at most."""
        return most_confused_of(self.predictions, k)

    @property
    def summary(self) -> str:
        """Accuracy, lowest recall, most confused classes, and how many images were trained on."""
        return f"{self._errors} {self.origin.training_note}".rstrip()

    @property
    def _errors(self) -> str:
        accuracy = self.headline["accuracy"]
        weighted = "accuracy" if self.sample_weight is None else "weighted accuracy"
        shown = f"{weighted} {metric_text(accuracy)}"
        first = f"{self.is_right.sum():,} of {counted(self.n_samples, 'sample')} classified correctly ({shown})."
        pair = next(self.most_confused(1).itertuples(index=False), None)
        if pair is None:  # No mistake, or none that has a weight.
            return first
        support = self.classification_frame["support"].to_numpy()
        recall = self.classification_frame["recall"].to_numpy()
        weakest = int(np.nanargmin(recall))
        of_class = count_text(support[list(self.classes).index(pair.true)])
        return (
            f"{first} Lowest recall: {quoted(self.classes[weakest])} ({metric_text(recall[weakest])}). Most confused: "
            f"{quoted(pair.true)} predicted as {quoted(pair.predicted)} ({count_text(pair[2])} of {of_class})."
        )

    @property
    def _about_predictions(self) -> dict[str, str]:
        return {"Classes": f"{len(self.classes):,}", "Scores": self.predictions.score_note}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the predictions, as hexadecimal digits."""
        return digest_of_predictions(self.predictions)
