"""How far the samples of a report lie from the training set: what of it a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn._plot.theme import INK, SERIES
from skcnn.metrics import TrainingFeatures, distance_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_N_BINS = 30


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of samples to a training set."""

    frame: pd.DataFrame
    """The table of :func:`skcnn.metrics.distance_frame`."""
    new: np.ndarray
    """Distances of the samples, those of rows without an image left out."""
    training: np.ndarray
    """Quantiles of the distances of the training set, at equal steps."""

    @classmethod
    def of(cls, estimator: Any, features: ArrayLike | None, n_samples: int) -> Distances | None:
        """Return the distances, or None without features.

        Raises
        ------
        ValueError
            If the estimator knows no training set, or there are not as many rows as samples.
        """
        if features is None:
            return None
        training_features = getattr(estimator, "training_features_", None)
        if not isinstance(training_features, TrainingFeatures):
            raise ValueError(
                "features were given, and the estimator has no training_features_ to compare them with; expected "
                "features=None, or an estimator that was saved with training_features=X."
            )
        rows = np.asarray(features)
        if len(rows) != n_samples:
            raise ValueError(f"features have {len(rows):,} rows; expected {n_samples:,}, one per sample.")
        distances = training_features.distances(rows)
        frame = distance_frame(training_features, rows)
        return cls(frame, distances[np.isfinite(distances)], training_features.quantiles)

    @property
    def sentence(self) -> str:
        """The number to watch, in a sentence."""
        fraction = self.frame.loc[0.95, "fraction"]
        return f"{100 * fraction:.1f} % of the images lie farther than 95 % of the training images; expected: 5 %."

    def plot(self, ax: Axes) -> None:
        """Draw a histogram of the distances, and as a line how many of each bin the training set would have."""
        end = max(float(np.quantile(self.new, 0.999)), float(self.training[-1]))
        edges = np.linspace(min(float(self.new.min()), float(self.training[0])), end, _N_BINS + 1)
        count, _ = np.histogram(np.minimum(self.new, end), edges)
        levels = np.interp(edges, self.training, np.linspace(0, 1, len(self.training)))
        width = np.diff(edges)
        ax.bar(edges[:-1], count, width, align="edge", color=SERIES[0], alpha=0.75, linewidth=0, zorder=2)
        ax.stairs(np.diff(levels) * len(self.new), edges, color=SERIES[1], linewidth=1.3, zorder=3)
        ax.axvline(float(self.frame.loc[0.95, "training"]), color=INK, linewidth=0.9, linestyle="--", zorder=4)
        ax.set(xlabel="Distance to the training set\n(dashed: its 95 % quantile)", ylabel="Images")
