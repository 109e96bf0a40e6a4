"""From a fitted estimator to a network whose scores can be differentiated."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.utils.validation import check_is_fitted

from skcnn.feature_extraction import BottleneckFeatures, feature_network
from skcnn.inspection._linear import is_linear_classifier, linear_scores
from skcnn.inspection._scored_classes import ClassScores
from skcnn.inspection._scored_masks import MaskScores
from skcnn.inspection._scored_network import ScoredNetwork
from skcnn.inspection._scored_vectors import SimilarityScores
from skcnn.metric_learning import TripletEmbedding, trained_embedding
from skcnn.neural_network import CNNClassifier, trained_network
from skcnn.segmentation import CNNSegmenter, trained_maps

_ACCEPTED = (
    "Accepted: a fitted CNNClassifier, CNNSegmenter or TripletEmbedding; or a fitted pipeline of BottleneckFeatures, "
    "affine steps (StandardScaler, PCA, a selection of features) and a linear classifier with coef_ "
    "(LogisticRegression, SGDClassifier, BaggedSGDClassifier); or a search over one of these, or one of these with "
    "another threshold."
)


def check_explainable(estimator: Any) -> None:
    """Raise if :class:`GradCAMDisplay` cannot explain a fitted estimator; no network is built, and Keras not imported.

    Parameters
    ----------
    estimator : estimator
        See :meth:`GradCAMDisplay.from_estimator`.

    Raises
    ------
    TypeError
        If gradients cannot be computed for it; the message says what is accepted.
    ValueError
        If steps between features and classifier are not affine.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> from skcnn.inspection import check_explainable
    >>> X, y = load_digit_images(return_X_y=True)
    >>> pipe = make_pipeline(BottleneckFeatures("ResNet20"), KNeighborsClassifier()).fit(X[:20], y[:20])
    >>> check_explainable(pipe)
    Traceback (most recent call last):
    ...
    TypeError: The estimator is BottleneckFeatures + KNeighborsClassifier, and KNeighborsClassifier is not a ...
    """
    _parts(estimator)


def scored_network(estimator: Any) -> ScoredNetwork:
    """Take a fitted estimator apart.

    Raises
    ------
    TypeError
        If gradients cannot be computed for it; the message says what is accepted.
    ValueError
        If steps between features and classifier are not affine.
    """
    first, head, classes = _parts(estimator)
    if isinstance(first, CNNSegmenter):
        maps = trained_maps(first)
        return MaskScores(maps.backbone, maps.network, maps.maps, first, maps.image_size, maps.head, first.classes_)
    if isinstance(first, TripletEmbedding):
        trained = trained_embedding(first)
        return SimilarityScores(
            trained.backbone, trained.network, trained.features, first, trained.image_size, trained.head
        )
    if isinstance(first, CNNClassifier):
        of_cnn = trained_network(first)
        return ClassScores(
            of_cnn.backbone, of_cnn.network, of_cnn.features, first, of_cnn.image_size, of_cnn.head, first.classes_
        )
    built = feature_network(first)
    return ClassScores(built.backbone, built.network, built.features, first, built.image_size, head, classes)


def _parts(estimator: Any) -> tuple[Any, list[np.ndarray], np.ndarray]:
    """Return what has the network, and of BottleneckFeatures the linear scores behind it and the classes."""
    check_is_fitted(estimator)
    steps = _steps(estimator)
    first, last = steps[0], steps[-1]
    if len(steps) == 1 and isinstance(first, (CNNClassifier, CNNSegmenter, TripletEmbedding)):
        return first, [], np.empty(0)
    names = " + ".join(type(step).__name__ for step in steps)
    if not isinstance(first, BottleneckFeatures) or len(steps) == 1:
        raise TypeError(f"The estimator is {names}. {_ACCEPTED}")
    if not is_linear_classifier(last):
        raise TypeError(f"The estimator is {names}, and {type(last).__name__} is not a linear classifier. {_ACCEPTED}")
    return first, linear_scores(steps[1:-1], last, steps[1].n_features_in_), last.classes_


def _steps(estimator: Any) -> list[Any]:
    """Return the fitted steps of an estimator, also of a search, a chosen threshold, or a pipeline in a pipeline."""
    if hasattr(estimator, "best_estimator_"):
        return _steps(estimator.best_estimator_)
    if isinstance(estimator, FixedThresholdClassifier):  # The scores are the same at every threshold.
        return _steps(estimator.estimator_)
    if isinstance(estimator, FrozenEstimator):
        return _steps(estimator.estimator)
    if hasattr(estimator, "steps"):
        inner = [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
        return [step for part in inner for step in _steps(part)]
    return [estimator]
