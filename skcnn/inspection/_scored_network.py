"""From a fitted estimator to a network whose scores can be differentiated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.utils.validation import check_is_fitted

from skcnn._keras import building, gradient_of, import_keras
from skcnn._text import listing
from skcnn.backbones import Backbone, scale_pixels
from skcnn.feature_extraction import BottleneckFeatures, feature_network
from skcnn.inspection._linear import is_linear_classifier, linear_scores
from skcnn.neural_network import CNNClassifier, trained_network

_ACCEPTED = (
    "Accepted: a fitted CNNClassifier; or a fitted pipeline of BottleneckFeatures, affine steps (StandardScaler, PCA, "
    "a selection of features) and a linear classifier with coef_ (LogisticRegression, SGDClassifier, "
    "BaggedSGDClassifier); or a search over one of these, or one of these with another threshold."
)


@dataclass(frozen=True)
class ScoredNetwork:
    """A network from scaled pixels to features, and a head from features to the scores of the classes."""

    backbone: Backbone
    """What the network is."""
    network: Any
    """Its Keras model, in inference mode and float32."""
    features: Any
    """KerasTensor (n, n_features): what the head sees."""
    head: list[np.ndarray]
    """Weights and biases of dense layers, with a ReLU between two of them: the scores come before any softmax."""
    classes: np.ndarray
    """Labels of the classes. Two of them may have one score, that of the second."""
    reader: BottleneckFeatures | CNNClassifier
    """Says how images are read: resize, root, max_pixels."""
    image_size: tuple[int, int]
    """Height and width that the network takes."""

    def codes(self, labels: Any) -> np.ndarray:
        """Return the numbers of the classes that bear these labels."""
        codes = pd.Index(self.classes).get_indexer(pd.Index(labels))
        if (codes < 0).any():
            unknown = pd.unique(pd.Series(np.asarray(labels, dtype=object)[codes < 0])).tolist()
            known = listing(map(repr, self.classes.tolist()))
            raise ValueError(f"target names {listing(map(repr, unknown))}; the classes are {known}.")
        return codes

    def selection(self, codes: np.ndarray) -> np.ndarray:
        """Return what to multiply the head's outputs by for the score of a class a row, (n, n_outputs) float32."""
        if len(self.head[-1]) == 1:
            return (2 * codes[:, None] - 1).astype(np.float32)
        return np.eye(len(self.classes), dtype=np.float32)[codes]

    def scores(self, features: Any) -> Any:
        """Return the head's outputs (n, n_outputs) for features (n, n_features), as tensors."""
        ops = import_keras().ops
        x = features
        for number in range(0, len(self.head), 2):
            x = ops.add(ops.matmul(ops.relu(x) if number else x, self.head[number]), self.head[number + 1])
        return x


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
    if isinstance(first, CNNClassifier):
        return _of_cnn(first)
    built = feature_network(first)
    return ScoredNetwork(built.backbone, built.network, built.features, head, classes, first, built.image_size)


def _parts(estimator: Any) -> tuple[BottleneckFeatures | CNNClassifier, list[np.ndarray], np.ndarray]:
    """Return what has the network, the linear scores behind it (a CNNClassifier has its own) and the classes."""
    check_is_fitted(estimator)
    steps = _steps(estimator)
    first, last = steps[0], steps[-1]
    if len(steps) == 1 and isinstance(first, CNNClassifier):
        return first, [], first.classes_
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


def _of_cnn(classifier: CNNClassifier) -> ScoredNetwork:
    trained = trained_network(classifier)
    return ScoredNetwork(
        trained.backbone, trained.network, trained.features, trained.head, classifier.classes_, classifier,
        trained.image_size,
    )  # fmt: skip


class FeatureMap:
    """A feature map in a scored network, and the gradient of a class's score with respect to it.

    Parameters
    ----------
    scored : ScoredNetwork
    layer : str, int or None
        The layer: see :meth:`GradCAMDisplay.from_estimator`.

    Attributes
    ----------
    name : str
        Of the layer.
    """

    def __init__(self, scored: ScoredNetwork, layer: str | int | None):
        keras = import_keras()
        self._scored = scored
        with building():
            pixels = scored.network.inputs[0]
            base = keras.Model(pixels, scored.features)
            for self.name, feature_map in _candidates(scored, base, layer):
                try:
                    # The pixels too: there may be ways around the map.
                    rest = keras.Model([feature_map, pixels], scored.features)
                    break
                except ValueError:  # a layer that is used several times
                    continue
            else:
                asked = "no feature map larger than 1 x 1" if layer is None else f"no single use of {layer!r}"
                raise ValueError(f"{scored.backbone.name} has {asked} on the way to the features of this classifier.")
            self._shape = tuple(feature_map.shape[1:])
            forward = keras.Model(pixels, feature_map)

        def selected_score(shift: Any, pixels: Any, selection: Any) -> Any:
            maps = forward(pixels, training=False)
            outputs = scored.scores(rest([maps + shift, pixels], training=False))
            scores = keras.ops.sum(outputs * selection, axis=1)
            # A row's score depends on that row alone, so that the gradient of the sum has that of each.
            return keras.ops.sum(scores), (maps, scores)

        self._gradient_of_score = gradient_of(selected_score)

    def look(self, pixels: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return feature maps, gradients of the scores of classes with respect to them, and these scores.

        Parameters
        ----------
        pixels : ndarray of shape (n, height, width, 3), uint8
        codes : ndarray of shape (n,), int
            Numbers of classes.

        Returns
        -------
        maps, gradients : ndarray of shape (n, rows, columns, channels), float32
        scores : ndarray of shape (n,), float32
        """
        scaled = import_keras().ops.convert_to_numpy(scale_pixels(pixels, self._scored.backbone.preprocessing))
        # The gradient with respect to something added to the maps is the one with respect to the maps.
        shift = np.zeros((len(pixels), *self._shape), np.float32)
        gradients, maps, scores = self._gradient_of_score(shift, scaled, self._scored.selection(codes))
        return maps, gradients, scores


def _candidates(scored: ScoredNetwork, base: Any, layer: str | int | None) -> Iterator[tuple[str, Any]]:
    """Yield names of layers and their outputs, KerasTensors (n, rows, columns, channels), the best ones first."""
    backbone = scored.backbone
    name = None if layer is None else backbone.layer_name(layer)
    # Of a normalisation behind the pooling, what there is to see is the map before it: the last one.
    if name is not None and not any(listed.name == name and listed.pool_first for listed in backbone.layers):
        output = backbone.layer_output(scored.network, name)
        if len(output.shape) != 4:
            raise ValueError(
                f"Layer {name!r} of {backbone.name} gives a vector; expected one that gives a feature map."
            )
        if output._keras_history.operation not in base.operations:
            raise ValueError(
                f"layer={layer!r} is not on the way to the features of this classifier: give an earlier one."
            )
        yield name, output
        return
    # Where Keras made a name up, it differs from build to build, and the table's own does not.
    known = {
        backbone.layer_output(scored.network, listed.name)._keras_history.operation: listed.name
        for listed in backbone.layers
    }
    for operation in reversed(base.operations):
        shape = getattr(operation.output, "shape", ())
        if len(shape) == 4 and tuple(shape[1:3]) != (1, 1):
            yield name or known.get(operation, operation.name), operation.output
