"""What a regressor said about samples whose numbers are known: checked once, read by every table and image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from skcnn._text import values_text
from skcnn.metrics._predictions import as_numbers, checked_weights, rows_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class NumberPredictions:
    """True and predicted numbers of the same samples, one per sample or several.

    Made by :meth:`from_arrays` or :meth:`from_estimator`, which check what they are given.
    """

    true: np.ndarray
    """True numbers: float of shape (n_samples, n_targets)."""
    predicted: np.ndarray
    """Predicted numbers: float of shape (n_samples, n_targets)."""
    target_names: list[str]
    """What the targets are called; all differ."""
    sample_weight: np.ndarray | None
    """Weights, float of shape (n_samples,), or None."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.true)

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return len(self.target_names)

    @property
    def weights(self) -> np.ndarray:
        """The sample weights; ones where none were given."""
        return np.ones(self.n_samples) if self.sample_weight is None else self.sample_weight

    @property
    def error(self) -> np.ndarray:
        """Predicted minus true numbers, of shape (n_samples, n_targets): above 0 where a prediction is too high."""
        return self.predicted - self.true

    def target(self, name: str) -> NumberPredictions:
        """Return the predictions of one target, by its name."""
        column = self.number_of(name)
        return NumberPredictions(
            self.true[:, [column]], self.predicted[:, [column]], [self.target_names[column]], self.sample_weight
        )

    def number_of(self, name: str) -> int:
        """Return the number of a target, by its name."""
        if name not in self.target_names:
            raise ValueError(f"target={name!r}; expected one of the targets: {values_text(self.target_names)}.")
        return self.target_names.index(name)

    @classmethod
    def from_arrays(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        target_names: Sequence[str] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> NumberPredictions:
        """Check arrays. See :meth:`RegressionReport.from_predictions`."""
        true = _checked(y_true, "y_true")
        return cls._of(true, y_pred, "y_pred", _names(target_names, y_true, y_pred, true), sample_weight)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        target_names: Sequence[str] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> NumberPredictions:
        """Run a fitted regressor on X. See :meth:`RegressionReport.from_estimator`."""
        check_is_fitted(estimator)
        if not hasattr(estimator, "predict") or is_classifier(estimator):
            what = "is a classifier, which ClassifierReport is for" if is_classifier(estimator) else "lacks `predict`"
            raise TypeError(f"{type(estimator).__name__} {what}; expected a regressor.")
        true = _checked(y, "y")
        names = _names(target_names, y, None, true)
        weights = checked_weights(sample_weight, len(true))
        return cls._of(true, estimator.predict(X), "predict(X)", names, weights)

    @classmethod
    def _of(cls, true: np.ndarray, predicted: Any, what: str, names: list[str], weights: Any) -> NumberPredictions:
        numbers = _checked(predicted, what)
        if numbers.shape != true.shape:
            as_given = [shape if shape[1] > 1 else shape[:1] for shape in (numbers.shape, true.shape)]
            raise ValueError(f"{what} has shape {as_given[0]}; expected {as_given[1]}, that of the true numbers.")
        return cls(true, numbers, names, checked_weights(weights, len(true)))


def _checked(values: Any, what: str) -> np.ndarray:
    """Return numbers as an array of shape (n_samples, n_targets), once it is known that all of them are finite."""
    if np.asarray(values).dtype.kind in "cSUTMm" or any(isinstance(value, str) for value in np.ravel(values)):
        raise ValueError(f"{what} does not hold numbers; shape (n_samples,) or (n_samples, n_targets) is accepted.")
    numbers = as_numbers(values, what, "shape (n_samples,) or (n_samples, n_targets) is accepted")
    if numbers.ndim not in (1, 2):
        raise ValueError(f"{what} has shape {numbers.shape}; expected (n_samples,) or (n_samples, n_targets).")
    if numbers.size == 0:
        raise ValueError(f"{what} is empty; at least one sample is needed.")
    numbers = numbers.reshape(len(numbers), -1)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise ValueError(f"{what} has NaN or infinite values in {rows_text(bad)}; drop these rows first.")
    return numbers


def _names(given: Sequence[str] | None, y_true: Any, y_pred: Any, true: np.ndarray) -> list[str]:
    """Return the names of the targets: those given, else those of a frame or a Series, else numbered ones."""
    n_targets = true.shape[1]
    if given is not None:
        names = [str(name) for name in ([given] if isinstance(given, str) else given)]
        if len(names) != n_targets or len(set(names)) < n_targets:
            raise ValueError(f"target_names is {given!r}; expected {n_targets}, each once: one name per target.")
        return names
    for y in (y_true, y_pred):
        columns = getattr(y, "columns", None)
        names = [str(name) for name in columns] if columns is not None else []
        if columns is None and getattr(y, "name", None) is not None:
            names = [str(y.name)]
        if len(names) == n_targets and len(set(names)) == n_targets:
            return names
    return ["target"] if n_targets == 1 else [f"target {number}" for number in range(n_targets)]
