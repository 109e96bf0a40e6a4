"""ClassifierReport: the tables and images of one classifier on one test set, as one object."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from skcnn.images import as_images
from skcnn.metrics._calibration import calibration_of
from skcnn.metrics._confusion import confusion_of, most_confused_of
from skcnn.metrics._image_grid_display import root_of
from skcnn.metrics._intervals import bootstrap_intervals_of
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._provenance import digest_of_input, digest_of_predictions, parameters_of, versions
from skcnn.metrics._report_comparison import ReportComparison
from skcnn.metrics._report_displays import ReportDisplays
from skcnn.metrics._report_text import summary_of, text_of
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES
from skcnn.metrics._tables import (
    class_figures_of,
    headline_of,
    top_k_frame_of,
    top_k_of,
    undefined_notes,
)
from skcnn.metrics._text import count_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class ClassifierReport(ReportDisplays):
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
    estimator : estimator, default=None
        What made the predictions, if that is known.
    X : array-like of shape (n_samples, ...), default=None
        What they were made from, if that is known.

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
    calibration_frame : DataFrame of shape (1 + n_classes, 5) or None
        How far probabilities are from what happens. See the function `calibration_frame`.
    top_k_frame : DataFrame of shape (n_k, 2) or None
        How often the true class is among the k highest scores. See the function `top_k_frame`.
    notes : list of str
        Why figures are NaN, and what else one has to know about them: a sentence each.
    summary : str
        The report in two sentences.
    provenance : dict of str to str
        How the report was made: time, samples, scores, estimator, digests of the data, versions.
    parameters : dict of str to str
        All parameters of the estimator, by name; empty where it is not known.

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
       true  predicted  count   share
    0     1          2      5  0.3125
    """

    def __init__(
        self, predictions: Predictions, *, name: str, top_k: int = 5, estimator: Any = None, X: Any = None
    ) -> None:
        self._predictions = predictions
        self._top_k_asked = top_k
        # As text: a report does not keep a model in memory.
        self._estimator = "" if estimator is None else repr(estimator)
        self.parameters = parameters_of(estimator)
        self._X, self._root = X, root_of(estimator)
        self._frames: dict[Any, pd.DataFrame] = {}
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
        top_k: int = 5,
        name: str | None = None,
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
            Whatever the estimator predicts from. The report refers to it: where it holds images (see
            :func:`skcnn.images.as_images`), the page shows some of them.
        y : array-like of shape (n_samples,)
            True labels. They may lack classes that the estimator knows, not the other way round.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights >= 0, for every figure, curve and count.
        top_k : int, default=5
            A sample counts for "top_k_accuracy" if its true class is among the ``top_k`` highest scores; 5 is the
            custom of image classification. `headline_frame` says what happens with no more classes than that.
        name : str, default=None
            What the report calls the classifier. None takes the name of its class, or of the steps of a pipeline.

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
            If ``y`` holds a label that the estimator does not know, shapes do not fit, or ``top_k`` is less than 1.
        """
        predictions = Predictions.from_estimator(estimator, X, y, sample_weight=sample_weight)
        return cls(predictions, name=name or _name_of(estimator), top_k=top_k, estimator=estimator, X=X)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike | None = None,
        *,
        y_pred: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        X: Any = None,
        top_k: int = 5,
        name: str | None = None,
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
        X : array-like of n_samples images, default=None
            The images in the same order, of which the page then shows some: see :func:`skcnn.images.as_images`.
        top_k : int, default=5
            As in `from_estimator`.
        name : str, default=None
            What the report calls the classifier. None says "Classifier".

        Returns
        -------
        ClassifierReport
            The report.

        Raises
        ------
        ValueError
            If labels are missing or not among the classes, scores are not finite, shapes do not fit, or ``top_k`` is
            less than 1.
        """
        predictions = Predictions.from_arrays(
            y_true, y_score, y_pred=y_pred, classes=classes, sample_weight=sample_weight
        )
        images = None if X is None else as_images(X)
        if images is not None and len(images) != predictions.n_samples:
            raise ValueError(
                f"X has {len(images)} images, and there are {predictions.n_samples} labels; they must be as many."
            )
        return cls(predictions, name=name or "Classifier", top_k=top_k, X=images)

    @staticmethod
    def compare(
        reports: Sequence[ClassifierReport],
        *,
        confidence_level: float = 0.95,
        n_resamples: int = 1000,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> ReportComparison:
        """Compare classifiers on the same samples.

        Parameters
        ----------
        reports : sequence of ClassifierReport
            Two or more, of the same samples in the same order. The others are compared with the first.
        confidence_level, n_resamples, random_state, n_jobs
            As in `frame`.

        Returns
        -------
        ReportComparison
            Has a ``frame()``, a ``plot()`` and a ``to_html(path)`` of its own; `print` it.

        Raises
        ------
        ValueError
            If there are less than two reports, if they are not of the same samples (the true labels, the weights or,
            where both were made from files, the names of the files differ), or if their ``top_k`` differ.
        """
        return ReportComparison(
            reports,
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            random_state=random_state,
            n_jobs=n_jobs,
        )

    def frame(
        self,
        *,
        confidence_level: float = CONFIDENCE_LEVEL,
        n_resamples: int = N_RESAMPLES,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> pd.DataFrame:
        """Return the figures about all classes together, each with an interval and a note.

        Parameters
        ----------
        confidence_level, n_resamples, n_jobs
            As in `bootstrap_intervals`.
        random_state : int or None, default=0
            Seed of the draws. An int where `bootstrap_intervals` has None, so that the frame of a report and its page
            say the same, today and tomorrow; None draws anew.

        Returns
        -------
        DataFrame of shape (7, 4)
            Index "metric" as in `headline_frame`; columns "value", "low", "high" and "note". ``headline`` has the
            values alone, at once.

        Raises
        ------
        ValueError
            If ``confidence_level`` or ``n_resamples`` is out of range.
        """
        asked = (confidence_level, n_resamples, random_state)
        if asked not in self._frames or random_state is None:
            self._frames[asked] = bootstrap_intervals_of(
                self._predictions,
                self._headline_frame,
                top_k=self._top_k_asked,
                confidence_level=confidence_level,
                n_resamples=n_resamples,
                random_state=random_state,
                n_jobs=n_jobs,
            )
        return self._frames[asked].copy()

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

    def to_text(self) -> str:
        """Return the report as lines for a terminal: as it is printed, with the intervals of `frame`.

        Returns
        -------
        str
            Lines. To `print` the report itself leaves the intervals out, and is done at once.
        """
        return text_of(self, self.frame())

    def to_html(self, path: str | os.PathLike[str], *, n_images: int = 12) -> Path:
        """Write the report as one HTML page that loads nothing from elsewhere.

        Images are inlined. The page is whole without JavaScript; with it, a click on the header of a column sorts
        its table, and from 8 classes on a field filters by class.

        Parameters
        ----------
        path : str or path-like
            The file. One that exists is replaced, at once: whoever reads it meanwhile sees the old or the new page.
        n_images : int, default=12
            How many images at most of the worst errors, and of what the classifier is surest of. 0 leaves images
            out: a page that is passed on takes no image along.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        from skcnn.metrics._page import write_page
        from skcnn.metrics._report_page import render_report

        return write_page(path, render_report(self, n_images=n_images))

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

    @cached_property
    def calibration_frame(self) -> pd.DataFrame | None:
        """How far probabilities are from what happens, of all classes and of each; None where there are none."""
        return calibration_of(self._predictions) if self._predictions.is_probability else None

    @cached_property
    def top_k_frame(self) -> pd.DataFrame | None:
        """How often the true class is among the k highest scores; None where there are no scores."""
        return top_k_frame_of(self._predictions) if self._predictions.score is not None else None

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
        return self._notes_on(self._headline_frame)

    def _notes_on(self, headline: pd.DataFrame) -> list[str]:
        figures: dict[str, list[str]] = {}
        for figure, note in headline["note"].items():
            figures.setdefault(note, []).append(self.headline_labels[figure])
        said = [f"{', '.join(labels)}: {note}." for note, labels in figures.items() if note]
        return said + undefined_notes(self.classification_frame, self._predictions)

    @property
    def summary(self) -> str:
        """The report in two sentences."""
        return summary_of(self, int((self._predictions.true == self._predictions.predicted).sum()))

    @property
    def provenance(self) -> dict[str, str]:
        """How the report was made."""
        return {
            "Name": self.name,
            "Made": self._created.strftime("%Y-%m-%d %H:%M UTC"),
            "Samples": f"{self.n_samples:,}",
            "Classes": f"{len(self.classes):,}",
            "Scores": self._predictions.score_note,
            "Sample weights": "none" if self.sample_weight is None else f"sum {count_text(self.sample_weight.sum())}",
            "Estimator": self._estimator or "not known: made from predictions",
            "Digest of X": self._digest_of_input,
            "Digest of predictions": (
                f"SHA-256 {digest_of_predictions(self._predictions)} of classes, true and predicted labels, scores and "
                "weights"
            ),
            **versions(),
        }

    def __repr__(self) -> str:
        return text_of(self)

    @cached_property
    def _digest_of_input(self) -> str:
        return "none: X was not given" if self._X is None else digest_of_input(self._X)

    @cached_property
    def _headline_frame(self) -> pd.DataFrame:
        return headline_of(self._predictions, self.classification_frame, self._top_k_asked)


def _name_of(estimator: Any) -> str:
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = [step for _, step in getattr(estimator, "steps", [("", estimator)]) if step not in (None, "passthrough")]
    return " + ".join(type(step).__name__ for step in steps)
