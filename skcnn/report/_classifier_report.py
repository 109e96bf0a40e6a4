"""ClassifierReport: the tables and images of one classifier on one test set, as one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn.metrics.parts import Predictions, bootstrap_intervals_of
from skcnn.report._classifier_displays import ClassifierDisplays
from skcnn.report._classifier_findings import ClassifierFindings
from skcnn.report._classifier_text import tables_of
from skcnn.report._origin import images_of, name_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class ClassifierReport(ClassifierDisplays):
    """The evaluation of a classifier on a test set.

    Make it with :meth:`from_estimator` or :meth:`from_predictions`; ``print`` it, show it in a notebook, take its
    tables, draw it, or write it as one HTML page. Works with any scikit-learn classifier. Every metric is
    scikit-learn's; one that is not defined is NaN, and ``notes`` says why.

    Parameters
    ----------
    predictions : Predictions
        Checked predictions, as the two constructors make them.
    name : str
        Name of the classifier in the report.
    top_k : int
        See :meth:`from_estimator`.
    estimator : estimator or None, default=None
        The estimator that made the predictions, if it is known.
    X : array-like of shape (n_samples, ...) or None, default=None
        The input that they were made from, if it is known.
    features : array-like of shape (n_samples, n_features) or None, default=None
        The features of the samples, as :func:`skcnn.exporting.bottleneck_features` gives them. With them, the page
        shows how far the samples lie from the training set. That needs an estimator with the attribute
        ``training_features_``, which :func:`skcnn.load` sets.

    Attributes
    ----------
    name : str
        Name of the classifier in the report.
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
        The metrics about all classes together, by name. :func:`headline_frame` describes them.
    headline_labels : dict of str to str
        What the metrics of ``headline`` are called in print.
    classification_frame : DataFrame of shape (n_classes, 6)
        The metrics of each class. See the function :func:`classification_frame`.
    confusion_frame : DataFrame of shape (n_classes, n_classes)
        Counts: rows are true classes, columns predicted ones. See the function :func:`confusion_frame`.
    calibration_frame : DataFrame of shape (1 + n_classes, 5) or None
        Calibration of the probabilities. See the function :func:`calibration_frame`.
    top_k_frame : DataFrame of shape (n_k, 2) or None
        How often the true class is among the k highest scores. See the function :func:`top_k_frame`.
    distance_frame : DataFrame of shape (6, 3) or None
        Distances to the training set, if features were given. See the function :func:`distance_frame`.
    notes : list of str
        Why metrics are NaN, and other remarks: a sentence each.
    summary : str
        Accuracy, lowest recall and most confused classes, in a sentence each.
    provenance : dict of str to str
        How the report was made: time, samples, scores, estimator, digests of the data, versions.
    parameters : dict of str to str
        All parameters of the estimator, by name; empty where it is not known.

    See Also
    --------
    compare_reports : Compares the reports of several classifiers on the same samples.
    sklearn.metrics.classification_report : Precision, recall and F1 as text.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn.report import ClassifierReport
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
       true  predicted  count  fraction
    0     1          2      5    0.3125
    """

    def __init__(
        self,
        predictions: Predictions,
        *,
        name: str,
        top_k: int = 5,
        estimator: Any = None,
        X: Any = None,
        features: ArrayLike | None = None,
    ) -> None:
        super().__init__()
        self._findings = ClassifierFindings.about(
            predictions, name=name, top_k=top_k, estimator=estimator, X=X, features=features
        )

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
            highest score. An image goes through a network of skcnn once for both.
        X : array-like of shape (n_samples, ...)
            Whatever the estimator predicts from. The report refers to it: where it holds images (see
            :func:`skcnn.images.as_images`), the page shows some of them.
        y : array-like of shape (n_samples,)
            True labels. They may lack classes that the estimator knows, not the other way round.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights >= 0, for every metric, curve and count.
        top_k : int, default=5
            A sample counts for "top_k_accuracy" if its true class is among the ``top_k`` highest scores; 5 is the
            custom of image classification. :func:`headline_frame` says what happens with no more classes than that.
        name : str or None, default=None
            Name of the classifier in the report. None takes the name of its class, or of the steps of a pipeline.

        Returns
        -------
        ClassifierReport
            The report.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is not a classifier, or predicts several targets.
        ValueError
            If ``y`` holds a label that the estimator does not know, shapes do not fit, or ``top_k`` is less than 1.
        """
        predictions = Predictions.from_estimator(estimator, X, y, sample_weight=sample_weight)
        return cls(predictions, name=name or name_of(estimator), top_k=top_k, estimator=estimator, X=X)

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
        y_score : array-like of shape (n_samples, n_classes) or (n_samples,) or None, default=None
            Scores, a column per class. They are taken for probabilities where all lie in [0, 1] and rows sum to 1.
            With two classes, the scores of the second may be given alone: they are taken for probabilities where all
            lie in [0, 1], and else for values of a decision function, positive for the second class. The columns of a
            DataFrame are the classes. None leaves everything undefined that needs scores.
        y_pred : array-like of shape (n_samples,) or None, default=None
            Predicted labels. None takes the class of the highest score, the first among equals.
        classes : array-like of shape (n_classes,) or None, default=None
            Labels of the columns of ``y_score``, in order, such as ``estimator.classes_``. None takes the sorted labels
            of ``y_true`` and ``y_pred``, which is an error if there are not as many as columns.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights >= 0, for every metric, curve and count.
        X : array-like of n_samples images or None, default=None
            The images in the same order, of which the page then shows some: see :func:`skcnn.images.as_images`.
        top_k : int, default=5
            The k of the top-k accuracy: see :meth:`from_estimator`.
        name : str or None, default=None
            Name of the classifier in the report. None says "Classifier".

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
        images = images_of(X, predictions.n_samples)
        return cls(predictions, name=name or "Classifier", top_k=top_k, X=images)

    def most_confused(self, k: int = 10) -> pd.DataFrame:
        """Return the most confused pairs of classes.

        Parameters
        ----------
        k : int, default=10
            How many pairs of classes at most.

        Returns
        -------
        DataFrame of shape (n_pairs, 4)
            The table of :func:`skcnn.metrics.most_confused`.
        """
        return self._findings.most_confused(k)

    @property
    def classes(self) -> np.ndarray:
        """Labels, in the order of the tables."""
        return self._findings.classes

    @property
    def top_k(self) -> int:
        """Number of highest scores that "top_k_accuracy" looks at."""
        return self._findings.top_k

    @property
    def classification_frame(self) -> pd.DataFrame:
        """The metrics of each class."""
        return self._findings.classification_frame

    @property
    def confusion_frame(self) -> pd.DataFrame:
        """Counts: rows are true classes, columns predicted ones."""
        return self._findings.confusion_frame

    @property
    def calibration_frame(self) -> pd.DataFrame | None:
        """Calibration of the probabilities, of all classes and of each; None where there are none."""
        return self._findings.calibration_frame

    @property
    def top_k_frame(self) -> pd.DataFrame | None:
        """How often the true class is among the k highest scores; None where there are no scores."""
        return self._findings.top_k_frame

    @property
    def distance_frame(self) -> pd.DataFrame | None:
        """Distances to the training set; None where they are not known."""
        distances = self._findings.distances
        return None if distances is None else distances.frame

    def _intervals(
        self, *, confidence_level: float, n_resamples: int, random_state: int | None, n_jobs: int | None
    ) -> pd.DataFrame:
        return bootstrap_intervals_of(
            self._findings.predictions,
            self._findings.headline_frame,
            top_k=self._findings.top_k_asked,
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            random_state=random_state,
            n_jobs=n_jobs,
        )

    def _tables(self) -> list[str]:
        return tables_of(self._findings)

    def _page(self, frame: pd.DataFrame, n_images: int) -> str:
        from skcnn.report._classifier_page import render_classifier_report

        return render_classifier_report(self._findings, self, frame, n_images=n_images)

    def _part(self, frame: pd.DataFrame) -> str:
        from skcnn.report._classifier_notebook import render_classifier_for_notebook

        return render_classifier_for_notebook(self._findings, self, frame)
