"""ClassifierReport: the tables and pictures of one classifier on one test set, as one object."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn.metrics._confusion import MAX_LABELLED, ConfusionDisplay
from skcnn.metrics._curves import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay, singled_out
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._tables import (
    class_figures_of,
    confusion_of,
    headline_of,
    most_confused_of,
    top_k_of,
    undefined_notes,
)
from skcnn.metrics._text import count_text, counted, figure_text, label_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

_PACKAGES = ("skcnn", "scikit-learn", "keras", "numpy", "pandas", "matplotlib")
_ROWS_PRINTED = 20


class ClassifierReport:
    """What a classifier got right and wrong on samples whose classes are known.

    Make it with `from_estimator` or `from_predictions`; `print` it, take its tables, draw it, or write it as one HTML
    page. Works with any scikit-learn classifier. Every figure is scikit-learn's; one that is not defined is NaN, and
    `notes` says why.

    Parameters
    ----------
    predictions : Predictions
        Checked predictions, as the two constructors make them.
    name : str
        What the report calls the classifier.
    top_k : int
        See `from_estimator`.
    estimator : str
        The estimator with its parameters, as text; empty where there was none.

    Attributes
    ----------
    name : str
        What the report calls the classifier.
    classes : ndarray of shape (n_classes,)
        Labels, in the order of the tables.
    n_samples : int
        Number of samples.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights, where they were given.
    top_k : int
        Number of highest scores that "top_k_accuracy" looks at: as asked for, or one less than the number of classes
        where there are no more.
    headline : Series of shape (7,)
        The figures about all classes together, by name. `headline_frame` describes them.
    headline_labels : dict of str to str
        What the figures of ``headline`` are called in print.
    classification_frame : DataFrame of shape (n_classes, 6)
        The figures of each class. See the function `classification_frame`.
    confusion_frame : DataFrame of shape (n_classes, n_classes)
        Counts: rows are true classes, columns predicted ones. See the function `confusion_frame`.
    notes : list of str
        Why figures are NaN, and what else one has to know about them: a sentence each.
    summary : str
        The report in two sentences.
    provenance : dict of str to str
        How the report was made: time, samples, scores, estimator, versions.

    See Also
    --------
    sklearn.metrics.classification_report : Precision, recall and F1 as text.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn.metrics import ClassifierReport
    >>> X, y = load_iris(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> classifier = LogisticRegression(C=0.05, max_iter=1000).fit(X_train, y_train)
    >>> report = ClassifierReport.from_estimator(classifier, X_test, y_test)
    >>> print(round(report.headline["accuracy"], 3))
    0.868
    >>> report.confusion_frame  # doctest: +NORMALIZE_WHITESPACE
    predicted   0   1  2
    true
    0          13   0  0
    1           0  11  5
    2           0   0  9
    >>> report.most_confused()
       true  predicted  count    rate
    0     1          2      5  0.3125
    """

    def __init__(self, predictions: Predictions, *, name: str, top_k: int = 5, estimator: str = "") -> None:
        self._predictions = predictions
        self._top_k_asked = top_k
        self._estimator = estimator
        self._created = datetime.now(UTC)
        self.top_k = top_k_of(predictions, top_k)
        self.name = name
        self.classes = predictions.classes
        self.n_samples = predictions.n_samples
        self.sample_weight = predictions.sample_weight

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
        top_k: int = 5,
    ) -> Self:
        """Make the report of a fitted classifier on test data.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier, pipeline or search: something with ``predict`` and ``classes_``. Scores come from
            ``predict_proba``, else from ``decision_function`` (log-loss is then NaN), else there are none (curves and
            their areas are then NaN too). ``predict`` is called as well, once: it need not choose the class of the
            highest score.
        X : array-like of shape (n_samples, ...)
            Whatever the estimator predicts from.
        y : array-like of shape (n_samples,)
            True labels. They may lack classes that the estimator knows, not the other way round.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, for every figure, curve and count.
        name : str, default=None
            What the report calls the classifier. None takes the name of its class, or of the steps of a pipeline.
        top_k : int, default=5
            A sample counts for "top_k_accuracy" if its true class is among the ``top_k`` highest scores; 5 is the
            custom of image classification. `headline_frame` says what happens with no more classes than that.

        Returns
        -------
        ClassifierReport
            The report.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is no classifier, or one of several targets.
        ValueError
            If ``y`` holds a label that the estimator does not know, or shapes do not fit.
        """
        predictions = Predictions.from_estimator(estimator, X, y, sample_weight=sample_weight)
        return cls(predictions, name=name or _name_of(estimator), top_k=top_k, estimator=repr(estimator))

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike | None = None,
        *,
        y_pred: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
        top_k: int = 5,
    ) -> Self:
        """Make the report from what a classifier returned.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels.
        y_score : array-like of shape (n_samples, n_classes) or (n_samples,), default=None
            Scores, a column per class. They are taken for probabilities where all lie in [0, 1] and rows sum to 1.
            With two classes, the scores of the second may be given alone: they are taken for probabilities where all
            lie in [0, 1], and else for values of a decision function, positive for the second class. The columns of a
            DataFrame are the classes. None leaves everything undefined that needs scores.
        y_pred : array-like of shape (n_samples,), default=None
            Predicted labels. None takes the class of the highest score, the first among equals.
        classes : array-like of shape (n_classes,), default=None
            Labels of the columns of ``y_score``, in order, such as ``estimator.classes_``. None takes the sorted labels
            of ``y_true`` and ``y_pred``, which is an error if there are not as many as columns.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, for every figure, curve and count.
        name : str, default=None
            What the report calls the classifier. None says "Classifier".
        top_k : int, default=5
            As in `from_estimator`.

        Returns
        -------
        ClassifierReport
            The report.

        Raises
        ------
        ValueError
            If labels are missing or not among the classes, scores are not finite, or shapes do not fit.
        """
        predictions = Predictions.from_arrays(
            y_true, y_score, y_pred=y_pred, classes=classes, sample_weight=sample_weight
        )
        return cls(predictions, name=name or "Classifier", top_k=top_k)

    def frame(self) -> pd.DataFrame:
        """Return the figures about all classes together, with their notes.

        Returns
        -------
        DataFrame of shape (7, 2)
            As `headline_frame` describes it.
        """
        return self._headline_frame.copy()

    def most_confused(self, k: int = 10) -> pd.DataFrame:
        """Return the commonest mistakes.

        Parameters
        ----------
        k : int, default=10
            How many pairs of classes at most.

        Returns
        -------
        DataFrame of shape (n_pairs, 4)
            As the function `most_confused` describes it.
        """
        return most_confused_of(self.confusion_frame, k)

    def plot(self) -> Figure:
        """Draw ROC curves, precision-recall curves and the confusion matrix side by side.

        With more than 12 classes, the part of the matrix with the commonest mistakes follows.

        Returns
        -------
        matplotlib Figure
            Made outside pyplot; it has a ``savefig``, and a notebook shows it. Curves are left out where there are no
            scores.
        """
        from matplotlib.figure import Figure

        curves, confusion = self.curve_displays(), self.confusion_display()
        chosen = singled_out(curves)
        draw: list[Callable[..., Any]] = [partial(curve.plot, classes=chosen[i]) for i, curve in enumerate(curves)]
        draw.append(confusion.plot)
        if len(self.classes) > MAX_LABELLED and (most_confused := confusion.most_confused_classes()):
            draw.append(partial(confusion.plot, classes=most_confused))
        figure = Figure(figsize=(5.5 * len(draw), 5.5), layout="constrained")
        for ax, draw_on in zip(np.ravel(figure.subplots(1, len(draw))), draw, strict=True):
            draw_on(ax)
        figure.suptitle(label_text(self.name), parse_math=False)
        return figure

    def curve_displays(self) -> list[OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay]:
        """Return the Displays of the ROC and precision-recall curves.

        Returns
        -------
        list of Displays
            Empty where there are no scores.
        """
        if self._predictions.score is None:
            return []
        return [
            OneVsRestRocDisplay._from_checked(self._predictions),
            OneVsRestPrecisionRecallDisplay._from_checked(self._predictions),
        ]

    def confusion_display(self) -> ConfusionDisplay:
        """Return the Display of the confusion matrix.

        Returns
        -------
        ConfusionDisplay
            Not drawn yet.
        """
        return ConfusionDisplay(self.confusion_frame)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report as one HTML page: pictures inlined, nothing loaded from elsewhere, no script.

        Parameters
        ----------
        path : str or path-like
            The file. One that exists is replaced, at once: whoever reads it meanwhile sees the old or the new page.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        from skcnn.metrics._page import render_page, write_page

        return write_page(path, render_page(self))

    @property
    def headline(self) -> pd.Series:
        """The figures about all classes together."""
        return self._headline_frame["value"].copy()

    @cached_property
    def classification_frame(self) -> pd.DataFrame:
        """The figures of each class."""
        return class_figures_of(self._predictions)

    @cached_property
    def confusion_frame(self) -> pd.DataFrame:
        """Counts: rows are true classes, columns predicted ones."""
        return confusion_of(self._predictions)

    @property
    def headline_labels(self) -> dict[str, str]:
        """What the figures of `headline` are called in print."""
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
    def notes(self) -> list[str]:
        """Why figures are NaN, and what else one has to know about them."""
        figures: dict[str, list[str]] = {}
        for figure, note in self._headline_frame["note"].items():
            figures.setdefault(note, []).append(self.headline_labels[figure])
        said = [f"{', '.join(labels)}: {note}." for note, labels in figures.items() if note]
        return said + undefined_notes(self.classification_frame, self._predictions)

    @property
    def summary(self) -> str:
        """The report in two sentences."""
        accuracy = self.headline["accuracy"]
        n_right = int((self._predictions.true == self._predictions.predicted).sum())
        weighted = "accuracy" if self.sample_weight is None else "weighted accuracy"
        share = f"{weighted} {figure_text(accuracy)}"
        first = f"{n_right:,} of {counted(self.n_samples, 'sample')} classified correctly ({share})."
        pair = next(self.most_confused(1).itertuples(index=False), None)
        if pair is None:  # No mistake, or none that has a weight.
            return first
        support = self.classification_frame["support"].to_numpy()
        recall = self.classification_frame["recall"].to_numpy()
        weakest = int(np.nanargmin(recall))
        of_class = count_text(support[list(self.classes).index(pair.true)])
        return (
            f"{first} The class found least often is {_quoted(self.classes[weakest])} (recall "
            f"{figure_text(recall[weakest])}); the commonest mistake is {_quoted(pair.true)} taken for "
            f"{_quoted(pair.predicted)} ({count_text(pair[2])} of {of_class})."
        )

    @property
    def provenance(self) -> dict[str, str]:
        """How the report was made."""
        said = {
            "Name": self.name,
            "Made": self._created.strftime("%Y-%m-%d %H:%M UTC"),
            "Samples": f"{self.n_samples:,}",
            "Classes": f"{len(self.classes):,}",
            "Scores": self._predictions.score_note,
            "Sample weights": "none" if self.sample_weight is None else f"sum {count_text(self.sample_weight.sum())}",
            "Estimator": self._estimator or "not known: made from predictions",
            "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        }
        for package in _PACKAGES:
            with suppress(PackageNotFoundError):
                said[package] = version(package)
        return said

    def __repr__(self) -> str:
        n_classes = len(self.classes)
        lines = [f"{type(self).__name__}: {label_text(self.name)}"]
        lines += [self.summary, ""]
        width = max(map(len, self.headline_labels.values()))
        for figure, label in self.headline_labels.items():
            lines.append(f"{label:<{width}}  {figure_text(self.headline[figure]):>6}")
        table = self.classification_frame
        if n_classes > _ROWS_PRINTED:
            table = table.sort_values("f1", kind="stable").head(_ROWS_PRINTED)
            lines += ["", f"The {_ROWS_PRINTED} classes of lowest F1 (classification_frame has all {n_classes:,}):"]
        lines += ["", _printed(table)]
        pairs = self.most_confused(5)
        if not pairs.empty:
            lines += ["", "Most confused:"]
            lines += [
                f"  {_quoted(pair.true)} taken for {_quoted(pair.predicted)}: {count_text(pair[2])} ({pair.rate:.1%})"
                for pair in pairs.itertuples(index=False)
            ]
        if self.notes:
            lines += ["", "Notes:", *(f"  {note}" for note in self.notes)]
        return "\n".join(lines)

    @cached_property
    def _headline_frame(self) -> pd.DataFrame:
        return headline_of(self._predictions, self.classification_frame, self._top_k_asked)


def _name_of(estimator: Any) -> str:
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)]) if step not in (None, "passthrough")]
    return " + ".join(type(step).__name__ for step in steps)


def _quoted(label: Any) -> str:
    return f"\u201c{label_text(label)}\u201d"


def _printed(table: pd.DataFrame) -> str:
    written = table.map(figure_text)
    written["support"] = table["support"].map(count_text)
    written.index = pd.Index([label_text(label, 32) for label in table.index], name="class")
    return written.reset_index().to_string(index=False, justify="right")
