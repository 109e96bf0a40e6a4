"""What is known of a regressor on one test set: predictions, tables, notes. Text and page render it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skcnn._text import counted, error_text, listing, metric_text, printable_text, quoted
from skcnn.metrics.parts import NumberPredictions, regression_headline_of, target_metrics_of
from skcnn.report._error_patterns import error_patterns
from skcnn.report._findings import Findings
from skcnn.report._origin import Origin
from skcnn.report._provenance import digest_of_numbers

_LOOKED_AT = 4
"""Targets that are drawn, and whose errors are looked at."""


@dataclass(frozen=True, eq=False)
class RegressionFindings(Findings):
    """The findings about one regressor. Made by `about`; the tables are made when they are first asked for."""

    predictions: NumberPredictions
    """Checked predictions."""

    kind: ClassVar[str] = "Regression report"
    resamples: ClassVar[str] = "over test sets with the same number of samples"
    digested: ClassVar[str] = "names of targets, true and predicted numbers and weights"

    @classmethod
    def about(
        cls, predictions: NumberPredictions, *, name: str, estimator: Any = None, X: Any = None
    ) -> RegressionFindings:
        """Make the findings about predictions. See :class:`RegressionReport`."""
        return cls(Origin.of(estimator, X, name=name, n_samples=predictions.n_samples), predictions)

    @property
    def sample_weight(self) -> np.ndarray | None:
        """Weights of the samples, where they were given."""
        return self.predictions.sample_weight

    @cached_property
    def headline_frame(self) -> pd.DataFrame:
        """The metrics about all targets together, with those of the mean and their notes."""
        return regression_headline_of(self.predictions, self.target_frame)

    @cached_property
    def target_frame(self) -> pd.DataFrame:
        """The metrics of each target."""
        return target_metrics_of(self.predictions)

    @property
    def headline_labels(self) -> dict[str, str]:
        """What the metrics of ``headline`` are called in print."""
        return {
            "r2": "R2",
            "mean_absolute_error": "MAE",
            "root_mean_squared_error": "RMSE",
            "median_absolute_error": "Median absolute error",
            "bias": "Bias",
        }

    def written(self, metric: str, value: float) -> str:
        """Return a metric as text: R2 with three decimals, all others in the unit of the target."""
        return metric_text(value).replace("-", "\u2212") if metric == "r2" else error_text(value)

    @cached_property
    def shown_targets(self) -> list[str]:
        """Names of the targets that are drawn: all of a few, else those of lowest R2."""
        names = self.predictions.target_names
        if len(names) <= _LOOKED_AT:
            return names
        return list(self.target_frame["r2"].sort_values(kind="stable").index[:_LOOKED_AT])

    @cached_property
    def patterns(self) -> list[str]:
        """What stands out in the errors of the targets that are drawn: a sentence each."""
        found = []
        for name in self.shown_targets:
            before = f"{quoted(name)}: " if self.predictions.n_targets > 1 else ""
            said = error_patterns(self.predictions.target(name), self.target_frame.loc[name, "r2"])
            found += [before + sentence for sentence in said]
        return found

    def notes_on(self, headline: pd.DataFrame) -> list[str]:
        """Return the notes of a table of the metrics about all targets together."""
        said = [f"{self.headline_labels[metric]}: {note}." for metric, note in headline["note"].items() if note]
        if self.predictions.n_targets > 1:
            targets = counted(self.predictions.n_targets, "target")
            said.append(f"Each metric above is a mean over {targets}, whatever their units.")
        return said

    @property
    def summary(self) -> str:
        """R2, the error beside that of the mean, and how many images were trained on."""
        return f"{self._errors} {self.origin.training_note}".rstrip()

    @property
    def _errors(self) -> str:
        r2, mae = (self.written(metric, self.headline[metric]) for metric in ("r2", "mean_absolute_error"))
        samples, n_targets = counted(self.n_samples, "sample"), self.predictions.n_targets
        if np.isnan(self.headline["r2"]):
            return f"MAE {mae} on {samples}, whose true values do not vary."
        if n_targets == 1:
            of_mean = self.written("mean_absolute_error", self.headline_frame.loc["mean_absolute_error", "baseline"])
            return f"R2 {r2} on {samples}. The MAE is {mae}; that of always predicting the mean is {of_mean}."
        lowest = self.target_frame["r2"].idxmin()
        of_lowest = self.written("r2", self.target_frame.loc[lowest, "r2"])
        n_defined = int(self.target_frame["r2"].count())
        targets = counted(n_targets, "target") if n_defined == n_targets else f"{n_defined:,} of {n_targets:,} targets"
        return f"R2 {r2} on {samples}, a mean over {targets}. Lowest R2: {quoted(lowest)} ({of_lowest})."

    @property
    def _about_predictions(self) -> dict[str, str]:
        names = self.predictions.target_names
        return {"Targets": f"{len(names):,}: {listing(map(printable_text, names))}"}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the predictions, as hexadecimal digits."""
        return digest_of_numbers(self.predictions)
