"""What a classifier said about samples whose classes are known: checked once, read by every table and image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skcnn._labels import as_labels
from skcnn._text import values_text
from skcnn.images import one_pass

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

MANY_CLASSES = 1000
"""With more classes a report draws the weakest and the most confused ones alone: all of them would take memory for
every pair of classes, and an image of it has fewer pixels."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """True classes, predicted classes and scores of the same samples, with labels replaced by class numbers.

    Made by :meth:`from_arrays` or :meth:`from_estimator`, which check what they are given. Working on class numbers
    makes every metric independent of the type and of the order of the labels.
    """

    classes: np.ndarray
    """Labels of the classes, of shape (n_classes,)."""
    true: np.ndarray
    """Number of the true class of each sample: int of shape (n_samples,)."""
    predicted: np.ndarray
    """Number of the predicted class of each sample: int of shape (n_samples,)."""
    score: np.ndarray | None
    """Scores, float of shape (n_samples, n_classes), or None."""
    sample_weight: np.ndarray | None
    """Weights, float of shape (n_samples,), or None."""
    is_probability: bool
    """Whether the rows of ``score`` lie in [0, 1] and sum to 1."""
    score_note: str
    """What the scores are, or why there are none: a phrase."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.true)

    @property
    def n_classes(self) -> int:
        """Number of classes, those without a sample included."""
        return len(self.classes)

    @property
    def weights(self) -> np.ndarray:
        """The sample weights; ones where none were given."""
        return np.ones(self.n_samples) if self.sample_weight is None else self.sample_weight

    def take(self, rows: np.ndarray) -> Predictions:
        """Return the predictions of some samples, by their numbers."""
        return replace(
            self,
            true=self.true[rows],
            predicted=self.predicted[rows],
            score=None if self.score is None else self.score[rows],
            sample_weight=None if self.sample_weight is None else self.sample_weight[rows],
        )

    @classmethod
    def from_arrays(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike | None = None,
        *,
        y_pred: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Predictions:
        """Check and encode arrays. See :meth:`ClassifierReport.from_predictions`."""
        if y_score is None and y_pred is None:
            raise ValueError(
                "Neither y_score nor y_pred was given: pass scores (n_samples, n_classes), y_pred, or both."
            )
        if classes is None and isinstance(y_score, pd.DataFrame) and y_score.shape[1] > 1:
            classes = y_score.columns
        y_true = checked_labels(y_true, "y_true")
        y_pred = None if y_pred is None else checked_labels(y_pred, "y_pred", len(y_true))
        score = None if y_score is None else _scores(y_score, len(y_true))
        classes = _classes(classes, y_true, y_pred, score)

        true = _encode(y_true, classes, "y_true")
        predicted = None if y_pred is None else _encode(y_pred, classes, "y_pred")
        is_probability, note = False, "none were given"
        if score is not None:
            score, is_probability = _one_column_per_class(score, len(classes))
            note = "given as y_score, " + ("probabilities" if is_probability else "not probabilities")
            predicted = score.argmax(axis=1) if predicted is None else predicted
        assert predicted is not None  # Scores or predicted labels were given.
        return cls(classes, true, predicted, score, checked_weights(sample_weight, len(true)), is_probability, note)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, sample_weight: ArrayLike | None = None
    ) -> Predictions:
        """Run a fitted classifier on X. See :meth:`ClassifierReport.from_estimator`."""
        check_is_fitted(estimator)
        if not hasattr(estimator, "predict") or not hasattr(estimator, "classes_"):
            raise TypeError(
                f"{type(estimator).__name__} is not a fitted classifier: it lacks `predict` or `classes_`. A report "
                "needs both; if you have predictions, use from_predictions(y_true, y_score, classes=...)."
            )
        if isinstance(estimator.classes_, list):
            raise TypeError(
                f"{type(estimator).__name__} predicts {len(estimator.classes_)} targets; a report is about one: "
                "use from_predictions with the columns of one target."
            )
        y_true = checked_labels(y, "y")
        classes = _classes(estimator.classes_, y_true, None, None)
        true = _encode(y_true, classes, "y")
        # Both are asked for, since predict need not choose the class of the highest score.
        with one_pass():
            predicted = _encode(checked_labels(estimator.predict(X), "predict(X)", len(y_true)), classes, "predict(X)")
            score, is_probability, note = _scores_of(estimator, X, len(true), len(classes))
        return cls(classes, true, predicted, score, checked_weights(sample_weight, len(true)), is_probability, note)


def _scores_of(estimator: Any, X: Any, n_samples: int, n_classes: int) -> tuple[np.ndarray | None, bool, str]:
    method = next((name for name in ("predict_proba", "decision_function") if hasattr(estimator, name)), None)
    if method is None:
        return None, False, f"{type(estimator).__name__} has neither predict_proba nor decision_function"
    score = _scores(getattr(estimator, method)(X), n_samples, f"{method}(X)")
    if method == "predict_proba":
        score, is_probability = _one_column_per_class(score, n_classes, method)
        return score, is_probability, method if is_probability else f"{method}, whose rows do not sum to 1"
    # One column per pair of classes; with three classes that is also three columns, so that their number cannot tell.
    pairwise = n_classes > 2 and any(
        name.split("__")[-1] == "decision_function_shape" and value == "ovo"
        for name, value in estimator.get_params().items()
    )
    if pairwise or (score.ndim == 2 and score.shape[1] != n_classes):
        return None, False, "decision_function has a column per pair of classes, not per class"
    if score.ndim == 1:
        score = np.column_stack([-score, score])
    return score, False, method


def checked_labels(values: Any, what: str, n_samples: int | None = None) -> np.ndarray:
    """Return labels as an array of shape (n_samples,), once it is known that none is missing.

    Labels that are text are fit for the tables that they end up in.
    """
    _refuse_masked(values, what)
    labels = as_labels(values)
    if labels.dtype.kind == "U" and not isinstance(values, np.ndarray):
        # NumPy makes text of whatever lies beside text in a list: 1 becomes "1", and a missing value "nan".
        as_given = np.asarray(values, dtype=object)
        labels = labels if all(isinstance(label, str) for label in as_given.flat) else as_labels(as_given)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{what} has shape {labels.shape}; expected one label per sample, shape (n_samples,).")
    if len(labels) == 0:
        raise ValueError(f"{what} is empty; at least one sample is needed.")
    if n_samples is not None and len(labels) != n_samples:
        raise ValueError(f"{what} has {len(labels)} samples; expected {n_samples}, the number of true labels.")
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise ValueError(f"{what} has missing values in {rows_text(missing)}; drop these rows first.")
    return labels


def _refuse_masked(values: Any, what: str) -> None:
    """Refuse an array that hides some of its values: they would count as if they were valid."""
    if np.ma.is_masked(values):
        mask = np.atleast_1d(np.ma.getmaskarray(values))
        masked = np.flatnonzero(mask.reshape(len(mask), -1).any(axis=1))
        where = rows_text(masked)
        raise ValueError(f"{what} is masked in {where}; drop these rows of all that is given, or fill them.")


def _scores(values: Any, n_samples: int, what: str = "y_score") -> np.ndarray:
    _refuse_masked(values, what)
    try:
        score = np.asarray(values)
        if score.dtype.kind in "cSUT":  # NumPy would make numbers of them: real parts, and of labels such as "1".
            raise TypeError
        if score.dtype not in (np.float32, np.float64):
            score = score.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{what} does not hold numbers. Scores of shape (n_samples, n_classes) are accepted; predicted labels go "
            "into y_pred=."
        ) from None
    if score.ndim not in (1, 2):
        raise ValueError(
            f"{what} has shape {score.shape}; expected (n_samples, n_classes), or (n_samples,) with two classes."
        )
    if len(score) != n_samples:
        raise ValueError(f"{what} has {len(score)} samples; expected {n_samples}, the number of true labels.")
    bad = np.flatnonzero(~np.isfinite(score.reshape(n_samples, -1)).all(axis=1))
    if len(bad):
        raise ValueError(f"{what} has NaN or infinite values in {rows_text(bad)}; drop or correct these rows.")
    return score


def _classes(classes: Any, y_true: np.ndarray, y_pred: np.ndarray | None, score: np.ndarray | None) -> np.ndarray:
    n_columns = None if score is None else (2 if score.ndim == 1 else score.shape[1])
    if classes is not None:
        classes = checked_labels(classes, "classes")
        twice = pd.Index(classes)[pd.Index(classes).duplicated()]
        if len(twice):
            raise ValueError(f"classes names {values_text(twice)} twice; each class has one column.")
        if n_columns is not None and n_columns != len(classes):
            raise ValueError(
                f"y_score has {n_columns} columns, but classes names {len(classes)}; expected one column per class."
            )
        return classes
    try:
        classes = np.unique(y_true if y_pred is None else np.concatenate([y_true, y_pred]))
    except TypeError:
        raise ValueError(
            "The labels are of types that cannot be sorted together; pass classes= in order, or make them all text."
        ) from None
    if n_columns is not None and n_columns != len(classes):
        raise ValueError(
            f"y_score is for {n_columns} classes, but the labels are of {len(classes)}; pass classes=, the labels of "
            "its columns in order (an estimator's `classes_`)."
        )
    return classes


def _encode(labels: np.ndarray, classes: np.ndarray, what: str) -> np.ndarray:
    codes = pd.Index(classes).get_indexer(pd.Index(labels))
    if (codes < 0).any():
        unknown = pd.unique(pd.Series(labels[codes < 0]))
        where = rows_text(np.flatnonzero(codes < 0))
        raise ValueError(
            f"{what} holds labels that are not among the classes: {values_text(unknown)} in {where}. "
            f"The classes are {values_text(classes)}. Drop these rows, or correct the labels or their type."
        )
    return codes


def _one_column_per_class(score: np.ndarray, n_classes: int, method: str = "y_score") -> tuple[np.ndarray, bool]:
    """Return scores of shape (n_samples, n_classes), and whether they are probabilities."""
    if score.ndim == 1:
        in_range = bool((score >= 0).all() and (score <= 1).all())
        return np.column_stack([1 - score if in_range else -score, score]), in_range
    if score.shape[1] != n_classes:
        raise ValueError(f"{method} has {score.shape[1]} columns but there are {n_classes} classes.")
    # The tolerance with which scikit-learn's log_loss looks at the sum of a row.
    tolerance = np.sqrt(np.finfo(score.dtype).eps)
    in_range = bool((score >= -tolerance).all() and (score <= 1 + tolerance).all())
    return score, in_range and np.allclose(score.sum(axis=1), 1, rtol=tolerance, atol=0)


def checked_weights(sample_weight: Any, n_samples: int) -> np.ndarray | None:
    """Return weights once it is known that they are numbers >= 0, one per sample, and that one is above 0."""
    if sample_weight is None:
        return None
    weights = as_numbers(sample_weight, "sample_weight", f"({n_samples},) is accepted, one number per sample")
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight has shape {weights.shape}; ({n_samples},) is accepted, one number per sample.")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        where = rows_text(bad)
        raise ValueError(f"sample_weight is negative, NaN or infinite in {where}; expected finite numbers >= 0.")
    if not weights.any():
        raise ValueError("sample_weight is 0 for every sample; at least one must count.")
    return weights


def as_numbers(values: Any, name: str, accepted: str) -> np.ndarray:
    """Convert to float; errors name the argument."""
    _refuse_masked(values, name)
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} does not hold numbers; {accepted}.") from None


def blocks(length: int, width: int) -> Iterator[slice]:
    """Yield slices of a table's axis of some length, so that a copy of the part takes some megabytes at most."""
    step = max(1, 2**20 // max(width, 1))
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def check_count(value: Any, name: str, default: int) -> None:
    """Raise an error unless the value is an int >= 1."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name}={value!r}; expected an int >= 1 (default: {default}).")


def rows_text(rows: np.ndarray) -> str:
    """Return the numbers of rows for an error: "row 3", "rows 1, 2, 5"."""
    return ("row " if len(rows) == 1 else "rows ") + values_text(rows)
