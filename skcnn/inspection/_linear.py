"""Steps behind features as one linear map, found by trying them out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

_BLOCK = 256
_N_PROBES = 8


def is_linear_classifier(estimator: Any) -> bool:
    """Tell whether a classifier scores each class by ``X @ coef_.T + intercept_``."""
    coef, classes = getattr(estimator, "coef_", None), getattr(estimator, "classes_", None)
    # The coefficients of a support vector machine are those of pairs of classes.
    if coef is None or classes is None or hasattr(estimator, "support_vectors_"):
        return False
    return len(coef) == (1 if len(classes) == 2 else len(classes))


def linear_scores(steps: Sequence[Any], classifier: Any, n_features: int) -> list[np.ndarray]:
    """Return the scores of a linear classifier behind affine steps, as a function of the features before these.

    Whether a step is affine, and which affine map it is, shows in what it makes of the unit vectors: so scalers,
    projections and selections of features all do, also of other packages.

    Parameters
    ----------
    steps : sequence of transformers
        Fitted, from the features on.
    classifier : estimator
        Fitted, with ``coef_`` and ``intercept_``.
    n_features : int
        Number of features.

    Returns
    -------
    list of two ndarrays of shapes (n_features, n_outputs) and (n_outputs,), float32
        Weights and biases; ``n_outputs`` is 1 for two classes.

    Raises
    ------
    ValueError
        If the steps are not affine.
    """
    coef, intercept = np.asarray(classifier.coef_, np.float64), np.asarray(classifier.intercept_, np.float64)

    def score(rows: np.ndarray) -> np.ndarray:
        for step in steps:
            rows = _transformed(step, rows)
        return np.asarray(rows @ coef.T + intercept)

    if not steps:
        return [coef.T.astype(np.float32), np.broadcast_to(intercept, len(coef)).astype(np.float32)]
    bias = score(np.zeros((1, n_features)))[0]
    weights = np.empty((n_features, len(coef)))
    for rows in gen_batches(n_features, _BLOCK):
        units = np.zeros((rows.stop - rows.start, n_features))
        units[np.arange(len(units)), np.arange(rows.start, rows.stop)] = 1
        weights[rows] = score(units) - bias
    probes = np.random.default_rng(0).normal(size=(_N_PROBES, n_features))
    expected, found = probes @ weights + bias, score(probes)
    if not np.allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max()):
        names = ", ".join(type(step).__name__ for step in steps)
        raise ValueError(
            f"The steps between the features and the classifier ({names}) are not affine, so that the classifier's "
            "coefficients do not apply to the features; expected scalers, projections (PCA) or selections "
            "of features."
        )
    return [weights.astype(np.float32), bias.astype(np.float32)]


def _transformed(step: Any, rows: np.ndarray) -> np.ndarray:
    names = getattr(step, "feature_names_in_", None)
    # NaN is found by the comparison.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        out = step.transform(rows if names is None else pd.DataFrame(rows, columns=names))
    return out.toarray() if hasattr(out, "toarray") else np.asarray(out)
