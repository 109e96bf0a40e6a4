"""What is known of a classifier on one test set: predictions, tables, notes and provenance. Text and page render it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skcnn._text import count_text
from skcnn.images import ImageDigests, Images, as_images
from skcnn.metrics.parts import (
    Predictions,
    calibration_of,
    class_metrics_of,
    confusion_of,
    headline_of,
    most_confused_of,
    root_of,
    top_k_frame_of,
    top_k_of,
    undefined_notes,
)
from skcnn.report._provenance import digest_of_input, digest_of_predictions, parameters_of, versions

#: Rows that are looked at to find out whether X holds images.
_LOOKED_AT = 32


@dataclass(frozen=True, eq=False)
class Findings:
    """The findings about one classifier. Made by `about`; the tables are made when they are first asked for."""

    predictions: Predictions
    """Checked predictions."""
    name: str
    """What the report calls the classifier."""
    top_k_asked: int
    """How many of the highest scores "top_k_accuracy" was to look at."""
    top_k: int
    """How many it looks at."""
    estimator: str
    """The estimator as text, as a report does not keep a model in memory; "" where it is not known."""
    parameters: dict[str, str]
    """All parameters of the estimator, by name."""
    X: Any
    """What the predictions were made from, or None."""
    root: Any
    """Folder that relative paths in X start from, or None."""
    training_images: ImageDigests | None
    """What the estimator was trained on, if a saved model said so."""
    created: datetime
    """When the findings were made."""

    @classmethod
    def about(
        cls, predictions: Predictions, *, name: str, top_k: int = 5, estimator: Any = None, X: Any = None
    ) -> Findings:
        """Make the findings about predictions. See :class:`ClassifierReport`."""
        return cls(
            predictions=predictions,
            name=name,
            top_k_asked=top_k,
            top_k=top_k_of(predictions, top_k),
            estimator="" if estimator is None else repr(estimator),
            parameters=parameters_of(estimator),
            X=X,
            root=root_of(estimator),
            training_images=getattr(estimator, "training_images_", None),
            created=datetime.now(UTC),
        )

    @property
    def classes(self) -> np.ndarray:
        """Labels of the classes, of shape (n_classes,)."""
        return self.predictions.classes

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.predictions.n_samples

    @property
    def sample_weight(self) -> np.ndarray | None:
        """Weights of the samples, where they were given."""
        return self.predictions.sample_weight

    @property
    def is_right(self) -> np.ndarray:
        """Whether each sample is predicted right: bool of shape (n_samples,)."""
        return self.predictions.true == self.predictions.predicted

    @property
    def headline(self) -> pd.Series:
        """The metrics about all classes together."""
        return self.headline_frame["value"].copy()

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
        """How far probabilities are from what happens, of all classes and of each; None where there are none."""
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

    @property
    def shown_metrics(self) -> dict[str, str]:
        """What the metrics of ``headline`` that are defined are called in print; the notes are about the others."""
        headline = self.headline
        return {metric: label for metric, label in self.headline_labels.items() if not np.isnan(headline[metric])}

    @property
    def notes(self) -> list[str]:
        """Why metrics are NaN, and what else one has to know about them."""
        return self.notes_on(self.headline_frame)

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
    def provenance(self) -> dict[str, str]:
        """How the findings were made."""
        return {
            "Name": self.name,
            "Made": self.created.strftime("%Y-%m-%d %H:%M UTC"),
            "Samples": f"{self.n_samples:,}",
            "Classes": f"{len(self.classes):,}",
            "In the training set": "not known" if self.n_trained_on is None else f"{self.n_trained_on:,}",
            "Scores": self.predictions.score_note,
            "Sample weights": "none" if self.sample_weight is None else f"sum {count_text(self.sample_weight.sum())}",
            "Estimator": self.estimator or "not known: made from predictions",
            "Digest of X": self._digest_of_input,
            "Digest of predictions": (
                f"SHA-256 {digest_of_predictions(self.predictions)} of classes, true and predicted labels, scores and "
                "weights"
            ),
            **versions(),
        }

    @cached_property
    def images(self) -> Images | None:
        """X, where it holds images: a report is of use to classifiers of numbers and of texts, too."""
        try:
            images = as_images(self.X, root=self.root)
        except (TypeError, ValueError):
            return None
        if len(images) != self.n_samples:
            return None
        # Spread over all rows: the first ones may be broken.
        looked_at = np.unique(np.linspace(0, len(images) - 1, _LOOKED_AT).astype(int)).tolist()
        return images if any(_is_image(images, row) for row in looked_at) else None

    @cached_property
    def n_trained_on(self) -> int | None:
        """How many of the images the estimator was trained on; None where that is not known."""
        if self.training_images is None or self.images is None:
            return None
        return int(self.training_images.contain(self.images).sum())

    @cached_property
    def _digest_of_input(self) -> str:
        return "none: X was not given" if self.X is None else digest_of_input(self.X)


def _is_image(images: Images, row: int) -> bool:
    try:
        images.thumbnail(row, 8)
    except (OSError, TypeError, ValueError):
        return False
    return True
