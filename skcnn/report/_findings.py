"""What every report finds, whatever it is about: metrics, a summary, notes, and where it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from skcnn._text import count_text, metric_text
from skcnn.images import Images
from skcnn.report._origin import Origin
from skcnn.report._provenance import versions


@dataclass(frozen=True, eq=False)
class Findings(ABC):
    """What text, page and notebook show of a report. A subclass for each task has its predictions and tables."""

    origin: Origin
    """Estimator and samples."""

    kind: ClassVar[str]
    """What the report is called on its page, such as "Classifier report"."""
    resamples: ClassVar[str]
    """What the intervals are over: a phrase that follows "its 95 % interval"."""
    digested: ClassVar[str]
    """What `digest` covers: a phrase."""

    @property
    def name(self) -> str:
        """What the report calls the estimator."""
        return self.origin.name

    @property
    def parameters(self) -> dict[str, str]:
        """All parameters of the estimator, by name."""
        return self.origin.parameters

    @property
    def images(self) -> Images | None:
        """The images of the samples, if there are any."""
        return self.origin.images

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.origin.n_samples

    @property
    @abstractmethod
    def sample_weight(self) -> np.ndarray | None:
        """Weights of the samples, where they were given."""

    @property
    @abstractmethod
    def headline_frame(self) -> pd.DataFrame:
        """The metrics at the top of the report: index "metric", columns "value" and "note"."""

    @property
    @abstractmethod
    def headline_labels(self) -> dict[str, str]:
        """What the metrics of ``headline_frame`` are called in print."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The report in a few sentences."""

    @abstractmethod
    def notes_on(self, headline: pd.DataFrame) -> list[str]:
        """Return the notes of a table of the metrics at the top, and those about all else: a sentence each."""

    @property
    @abstractmethod
    def _about_predictions(self) -> dict[str, str]:
        """What is to be known of the predictions, by name, for the provenance."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of the predictions, as hexadecimal digits."""

    def written(self, metric: str, value: float) -> str:
        """Return a metric at the top as text."""
        return metric_text(value)

    @property
    def headline(self) -> pd.Series:
        """The metrics at the top of the report, by name."""
        return self.headline_frame["value"].copy()

    @property
    def shown_metrics(self) -> dict[str, str]:
        """What the metrics of ``headline`` that are defined are called in print; the notes are about the others."""
        headline = self.headline
        return {metric: label for metric, label in self.headline_labels.items() if not np.isnan(headline[metric])}

    @property
    def notes(self) -> list[str]:
        """Why metrics are NaN, and what else one has to know about them."""
        return self.notes_on(self.headline_frame)

    @property
    def provenance(self) -> dict[str, str]:
        """How the findings were made."""
        origin = self.origin
        weights = self.sample_weight
        return {
            "Name": self.name,
            "Made": origin.created.strftime("%Y-%m-%d %H:%M UTC"),
            "Samples": f"{self.n_samples:,}",
            **self._about_predictions,
            "In the training set": "not known" if origin.n_trained_on is None else f"{origin.n_trained_on:,}",
            "Sample weights": "none" if weights is None else f"sum {count_text(weights.sum())}",
            "Estimator": origin.estimator or "not known: made from predictions",
            "Digest of X": origin.digest_of_input,
            "Digest of predictions": f"SHA-256 {self.digest} of {self.digested}",
            **versions(),
        }
