"""What is known of a generator: features of real and of generated images, tables, notes. Text and page render it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skcnn._text import counted, listing, metric_text, percent_text, quoted
from skcnn.metrics import class_coverage_frame, generation_frame, training_copies
from skcnn.report._findings import Findings
from skcnn.report._origin import Origin
from skcnn.report._provenance import digest_of_features


@dataclass(frozen=True, eq=False)
class Generated:
    """Features and labels of real and of generated images.

    Parameters
    ----------
    real, generated : ndarray of shape (n, n_features)
        Of images that the generator was not fitted on, and of generated ones.
    training : ndarray of shape (n_training, n_features) or None
        Of images that it was fitted on.
    y_real, y_generated, y_asked : array-like or None
        Labels of real images; those that a classifier predicts for generated ones, and those that were asked for.
    images : ndarray of shape (n_generated, height, width, 3) or (n_generated, height, width), or None
        The generated images, uint8.
    features : str
        What the features are, as text.
    """

    real: np.ndarray
    generated: np.ndarray
    training: np.ndarray | None = None
    y_real: Any = None
    y_generated: Any = None
    y_asked: Any = None
    images: np.ndarray | None = None
    features: str = ""


@dataclass(frozen=True, eq=False)
class GeneratorFindings(Findings):
    """The findings about one generator. Made by `about`; the tables are made when they are first asked for."""

    predictions: Generated
    """Features and labels."""

    kind: ClassVar[str] = "Generator report"
    resamples: ClassVar[str] = "over as many images, real and generated, of the same kinds"
    digested: ClassVar[str] = "features of real and of generated images"

    @classmethod
    def about(cls, predictions: Generated, *, name: str, estimator: Any = None, X: Any = None) -> GeneratorFindings:
        """Make the findings about images. See :class:`GeneratorReport`."""
        return cls(Origin.of(estimator, X, name=name, n_samples=len(predictions.real)), predictions)

    @property
    def sample_weight(self) -> np.ndarray | None:
        """None: images have no weights."""
        return None

    def generation_frame(self, **parameters: Any) -> pd.DataFrame:
        """Return the metrics with intervals."""
        found = self.predictions
        return generation_frame(found.real, found.generated, X_other=found.training, **parameters)

    @cached_property
    def headline_frame(self) -> pd.DataFrame:
        """The metrics of generated images, and of real ones in their place."""
        return self.generation_frame(n_resamples=1, random_state=0)[["value", "real", "note"]]

    @cached_property
    def class_frame(self) -> pd.DataFrame | None:
        """How often each class is generated; None without labels."""
        found = self.predictions
        if found.y_real is None or found.y_generated is None:
            return None
        return class_coverage_frame(found.y_real, found.y_generated)

    @cached_property
    def copies(self) -> pd.DataFrame | None:
        """Generated images beside those of the training set that are nearest; None where that is not known."""
        found = self.predictions
        return None if found.training is None else training_copies(found.training, found.generated, found.real)

    @property
    def as_asked(self) -> float | None:
        """Fraction of the generated images that are recognised as the class asked for; None where none was."""
        found = self.predictions
        if found.y_asked is None or found.y_generated is None:
            return None
        return float((np.asarray(found.y_asked) == np.asarray(found.y_generated)).mean())

    @property
    def headline_labels(self) -> dict[str, str]:
        """What the metrics at the top are called in print."""
        return {
            "kernel_distance": "Kernel distance",
            "frechet_feature_distance": "Frechet feature distance",
            "precision": "Precision",
            "recall": "Recall",
            "coverage": "Coverage",
        }

    def notes_on(self, headline: pd.DataFrame) -> list[str]:
        """Return the notes of a table of the metrics at the top."""
        labels = self.headline_labels
        said = [f"{labels[metric]}: {note}." for metric, note in headline["note"].items() if note]
        if self.predictions.features:
            said.append(f"Features: {self.predictions.features}. With others these metrics have other values.")
        n_generated = len(self.predictions.generated)
        if min(n_generated, self.n_samples) < 500:
            said.append(
                f"{counted(self.n_samples, 'real image')} and {n_generated:,} generated ones are few: all metrics but "
                "the kernel distance get better with more."
            )
        return said

    @property
    def summary(self) -> str:
        """How far generated images are from real ones, what is missing, and what is copied."""
        value, real = (self.headline_frame[column] for column in ("value", "real"))
        first = (
            f"Kernel distance {metric_text(value['kernel_distance'])} between "
            f"{counted(self.n_samples, 'real image')} and {len(self.predictions.generated):,} generated ones "
            f"({metric_text(real['kernel_distance'])} between real ones); "
            f"{percent_text(round(value['coverage'], 2))} of the real images have a generated one near them "
            f"({percent_text(round(real['coverage'], 2))} a real one)."
        )
        said = [first]
        classes = self.class_frame
        if classes is not None:
            missing = classes.index[~classes["is_covered"]].tolist()
            if missing:
                said.append(f"Missing classes: {listing(map(quoted, missing))}.")
            else:
                said.append(f"All {counted(len(classes), 'class')} are generated.")
        if self.as_asked is not None:
            said.append(f"{percent_text(round(self.as_asked, 3))} are recognised as the class asked for.")
        if self.copies is not None:
            n_copies = int(self.copies["is_copy"].sum())
            said.append(
                f"{counted(n_copies, 'generated image')} {'is' if n_copies == 1 else 'are'} nearer to the training set "
                f"than 1 % of the new real ones: about {round(0.01 * len(self.copies)):,} are by chance."
            )
        return " ".join([*said, self.origin.training_note]).rstrip()

    @property
    def _about_predictions(self) -> dict[str, str]:
        return {
            "Generated images": f"{len(self.predictions.generated):,}",
            "Features": f"{self.predictions.real.shape[1]:,}"
            + (f" of {self.predictions.features}" if self.predictions.features else ""),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the features, as hexadecimal digits."""
        return digest_of_features(self.predictions.real, self.predictions.generated)
