"""What bags of linear classifiers predict, once they are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import gen_batches
from sklearn.utils.validation import check_is_fitted

from skcnn.ensemble._rows import checked
from skcnn.ensemble._softmax_sgd import log_softmax
from skcnn.ensemble._variance import BLOCK


class AveragedLinearClassifier(ClassifierMixin, BaseEstimator):
    """The half of an ensemble that predicts; a subclass trains it.

    It reads ``classes_``, ``estimators_features_``, ``estimators_coef_`` and ``estimators_intercept_``, or ``bagging_``
    where there is one.
    """

    classes_: np.ndarray
    estimators_features_: list[np.ndarray]
    estimators_coef_: np.ndarray
    estimators_intercept_: np.ndarray
    support_: np.ndarray
    _unit: float

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes: the mean over the bags.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, finite.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes), dtype float64
            Columns in the order of ``classes_``; rows sum to 1.
        """
        check_is_fitted(self)
        X = checked(self, X, reset=False)
        if hasattr(self, "bagging_"):
            return self.bagging_.predict_proba(self._in_units(X))
        proba = np.zeros((len(X), len(self.classes_)))
        for rows in gen_batches(len(X), BLOCK):
            block = X[rows].astype(np.float64)
            for features, coef, intercept in self._bags():
                proba[rows] += np.exp(log_softmax(block[:, features] @ coef.T + intercept))
        return proba / len(self.estimators_coef_)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of ``predict_proba``, finite.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, finite.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes), dtype float64
        """
        # A probability may be smaller than float64 can tell from 0.
        return np.log(np.maximum(self.predict_proba(X), np.finfo(np.float64).tiny))

    def decision_function(self, X: Any) -> np.ndarray:
        """Return scores that order rows and classes as ``predict_proba`` does.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, finite.

        Returns
        -------
        scores : ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes), dtype float64
            Two classes: the log-odds of the second. More: the log-probabilities.
        """
        log_proba = self.predict_log_proba(X)
        return log_proba[:, 1] - log_proba[:, 0] if len(self.classes_) == 2 else log_proba

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, finite.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    @property
    def coef_(self) -> np.ndarray:
        """Mean of the bags' coefficients, (n_outputs, n_features)."""
        check_is_fitted(self)
        mean = np.zeros((self.estimators_coef_.shape[1], self.n_features_in_))
        for features, coef, _ in self._bags():
            np.add.at(mean.T, features, coef.T / len(self.estimators_coef_))
        return mean

    @property
    def intercept_(self) -> np.ndarray:
        """Mean of the bags' intercepts, (n_outputs,)."""
        check_is_fitted(self)
        return self.estimators_intercept_.mean(axis=0)

    def _bags(self) -> Any:
        return zip(self.estimators_features_, self.estimators_coef_, self.estimators_intercept_, strict=True)

    def _in_units(self, X: np.ndarray) -> np.ndarray:
        """Return what ``bagging_`` takes: the kept features, in the unit that the variance filter found."""
        return X[:, self.support_] / X.dtype.type(self._unit)
