"""The features of an estimator's network: what lies before everything that is fitted to classes or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier, CNNRegressor


def bottleneck_features(estimator: Any, X: Any) -> np.ndarray:
    """Return the features that an estimator's network gives for images.

    Parameters
    ----------
    estimator : estimator
        Fitted: a pipeline that begins with :class:`~skcnn.feature_extraction.BottleneckFeatures`, a
        :class:`~skcnn.neural_network.CNNClassifier` or a :class:`~skcnn.neural_network.CNNRegressor`; also in a search,
        a calibration or with a threshold.
    X : array-like of n_samples images
        See :func:`skcnn.images.as_images`.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        What ``BottleneckFeatures.transform`` or ``CNNClassifier.features`` give.

    Raises
    ------
    TypeError
        If it has no such network.
    BadImageError
        If rows give no image, unless the estimator gives rows of NaN for these.
    """
    first = first_network(estimator)
    return np.asarray(first.transform(X) if isinstance(first, BottleneckFeatures) else first.features(X))


def first_network(estimator: Any) -> BottleneckFeatures | CNNClassifier | CNNRegressor:
    """Return the step of an estimator that takes images.

    Raises
    ------
    TypeError
        If it has no features.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    while not isinstance(estimator, (BottleneckFeatures, CNNClassifier, CNNRegressor)):
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[0][1]
        elif isinstance(estimator, ColumnTransformer) and len(estimator.transformers_) == 1:
            estimator = estimator.transformers_[0][1]
        elif hasattr(estimator, "calibrated_classifiers_"):
            estimator = estimator.calibrated_classifiers_[0].estimator
        else:
            inner = (getattr(estimator, name, None) for name in ("best_estimator_", "estimator_", "estimator"))
            inside = next((part for part in inner if part is not None), None)
            if inside is None:
                raise TypeError(
                    f"A {type(estimator).__name__} has no features of images; expected CNNClassifier, CNNRegressor or "
                    "a pipeline that begins with BottleneckFeatures."
                )
            estimator = inside
    return estimator


def with_features(model: Any) -> Any:
    """Return the network of a CNNClassifier or CNNRegressor that also gives, before its output, the features."""
    keras = import_keras()
    # The dense layers are those of the head: the base is a layer of its own, and dropout does nothing here.
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    return keras.Model(model.inputs, [first.input, model.outputs[0]])
