"""A fitted classifier of two classes with another threshold."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.utils.validation import check_is_fitted

from skcnn._labels import as_label
from skcnn._text import values_text


def with_threshold(estimator: Any, threshold: float, *, pos_label: Any = None) -> FixedThresholdClassifier:
    """Change the threshold of a fitted classifier of two classes, without another fit.

    A sample is predicted as the positive class if its score is at or above the threshold, as in
    :func:`skcnn.metrics.threshold_table`. The score is the probability of the positive class, or the value of
    ``decision_function`` where there are no probabilities.

    Parameters
    ----------
    estimator : estimator
        A fitted classifier, pipeline or search with two classes and ``predict_proba`` or ``decision_function``. It is
        neither copied nor changed. One that this function returned gets the new threshold in place of the old one.
    threshold : float
        Lowest score of a sample that is predicted positive. Of probabilities the usual one is 0.5, of other scores 0.
    pos_label : label or None, default=None
        The positive class. None takes the second of the two, as :class:`skcnn.report.ClassifierReport` and
        ``predict_proba(X)[:, 1]`` do.

    Returns
    -------
    FixedThresholdClassifier
        scikit-learn's, around a :class:`~sklearn.frozen.FrozenEstimator`. It is fitted: ``predict`` uses the
        threshold, and ``predict_proba`` returns what it did before. ``fit`` trains nothing. :func:`skcnn.save` takes
        it.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is not a classifier, or has neither ``predict_proba`` nor ``decision_function``.
    ValueError
        If it does not have two classes, ``pos_label`` is not one of them, or the threshold is not a finite number.

    See Also
    --------
    skcnn.metrics.operating_point : Finds the threshold for a minimum recall or precision, or for given costs.
    sklearn.model_selection.TunedThresholdClassifierCV : Chooses a threshold by cross-validation, and fits.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.metrics import recall_score
    >>> from skcnn.metrics import operating_point
    >>> from skcnn.model_selection import with_threshold
    >>> X, y = make_classification(600, weights=[0.8], flip_y=0.1, random_state=0)
    >>> classifier = LogisticRegression().fit(X[:200], y[:200])
    >>> point = operating_point(y[200:400], classifier.predict_proba(X[200:400])[:, 1], min_recall=0.9)
    >>> careful = with_threshold(classifier, point["threshold"])
    >>> [round(recall_score(y[400:], model.predict(X[400:])), 2) for model in (classifier, careful)]
    [0.59, 0.89]
    """
    if isinstance(estimator, FixedThresholdClassifier) and isinstance(estimator.estimator, FrozenEstimator):
        estimator = estimator.estimator.estimator
    name = type(estimator).__name__
    check_is_fitted(estimator)
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise TypeError(f"{name} is not a classifier: it has no `classes_`. Expected a fitted classifier.")
    if isinstance(classes, list) or len(classes) != 2:
        several = "of several targets" if isinstance(classes, list) else f"with {len(classes):,} classes"
        raise ValueError(
            f"Got a {name} {several}; expected two classes, which a threshold separates. Train it to distinguish one "
            "class from the rest."
        )
    if not hasattr(estimator, "predict_proba") and not hasattr(estimator, "decision_function"):
        raise TypeError(
            f"{name} has neither predict_proba nor decision_function; expected a classifier with scores, to which a "
            "threshold applies."
        )
    if not isinstance(threshold, Real) or not np.isfinite(threshold):
        raise ValueError(f"Got threshold={threshold!r}; expected a finite number, such as 0.3.")
    labels = np.asarray(classes).tolist()
    positive = labels[1] if pos_label is None else as_label(pos_label)
    if positive not in labels:
        raise ValueError(f"Got pos_label={pos_label!r}; expected one of the classes, {values_text(labels)}.")
    fixed = FixedThresholdClassifier(
        FrozenEstimator(estimator), threshold=float(threshold), pos_label=labels[labels.index(positive)]
    )
    # Its fit only looks at the type of the labels: what is frozen stays as it is.
    return fixed.fit(np.zeros((2, 1)), classes)
