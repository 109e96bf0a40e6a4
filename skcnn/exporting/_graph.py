"""The graph of a fitted estimator: one Keras model, from 8-bit pixels to what it predicts.

An estimator is read from the outside in, a pipeline step by step. Steps that are affine maps of features are multiplied
into one, in float64, and become one dense layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import import_keras, pinned
from skcnn.backbones import scale_pixels
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.exporting._affine import Affine, linear, per_feature, transformer_as_affine
from skcnn.exporting._bottleneck import with_features
from skcnn.feature_extraction import BottleneckFeatures, feature_network
from skcnn.neural_network import CNNClassifier, CNNRegressor, ImageNetClassifier

#: Classes whose scores are lower by this much have probabilities below 1e-13.
_NO_PROBABILITY = 30.0


class Prediction(NamedTuple):
    """What is exported.

    Parameters
    ----------
    model : keras.Model
        From pixels (n, height, width, 3) uint8 to ``output``, float32.
    output : {"probabilities", "numbers"}
        Probabilities (n, n_classes), or numbers (n, n_targets).
    classes : ndarray of shape (n_classes,) or None
        In the order of the probabilities; None for numbers.
    image_size : tuple of (height, width)
        In pixels.
    resize : {"stretch", "crop", "pad"}
        How images are resized to it.
    features : tensor
        Of ``model``: what :func:`~skcnn.exporting.bottleneck_features` gives.
    feature_shapes : tuple of tuple of int or None
        The parts of the features, one per layer, if ``BottleneckFeatures`` gives them, the same to all that follows.
    """

    model: Any
    output: str
    classes: np.ndarray | None
    image_size: tuple[int, int]
    resize: str
    features: Any
    feature_shapes: tuple[tuple[int, ...], ...] | None

    def with_more(self, training_features: Any) -> Prediction:
        """Return what also gives, in columns behind the others, what a program needs.

        That is the distance to the training set, unless ``training_features`` are None, and then the features, if they
        have ``feature_shapes``.
        """
        keras = import_keras()
        with pinned():
            columns = [self.model.outputs[0]]
            if training_features is not None:
                columns.append(self._distance(training_features))
            if self.feature_shapes is not None:
                columns.append(keras.ops.cast(self.features, "float32"))
            if len(columns) == 1:
                return self
            output = keras.layers.Activation("linear", dtype="float32", name="outputs")(
                keras.ops.concatenate(columns, axis=1)
            )
            return self._replace(model=keras.Model(self.model.inputs, output))

    def _distance(self, training_features: Any) -> Any:
        ops = import_keras().ops
        mean, scale = (np.asarray(values, np.float32) for values in (training_features.mean, training_features.scale))
        if self.features.shape[1:] != mean.shape:
            raise ValueError(
                f"training_features are of {len(mean):,} features; expected the {self.features.shape[-1]:,} of the "
                "estimator's network."
            )
        standardised = (ops.cast(self.features, "float32") - mean) * (1 / scale)
        return ops.sqrt(ops.mean(standardised * standardised, axis=1, keepdims=True))


def prediction_of(estimator: Any) -> Prediction:
    """Build the graph of a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted; it takes images.

    Returns
    -------
    Prediction

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If a part of it has no graph; the message names it.
    """
    from sklearn.base import is_classifier
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(estimator)
    graph = _Graph()
    with pinned():
        if is_classifier(estimator):
            output, name, classes = graph.probabilities(estimator, None), "probabilities", estimator.classes_
        else:
            output, name, classes = graph.numbers(estimator, None), "numbers", None
        keras = import_keras()
        output = keras.layers.Activation("linear", dtype="float32", name=name)(output)
        model = keras.Model(graph.pixels, output)
    assert graph.image_size is not None
    return Prediction(model, name, classes, graph.image_size, graph.resize, graph.first_features, graph.feature_shapes)


class _Features(NamedTuple):
    """Features as a tensor of the graph, and an affine map of them that is still to be applied."""

    tensor: Any
    affine: Affine | None = None

    @property
    def n_features(self) -> int:
        return int(self.tensor.shape[-1]) if self.affine is None else self.affine.matrix.shape[1]

    def mapped(self, affine: Affine) -> _Features:
        return _Features(self.tensor, affine.after(self.affine))

    def evaluated(self) -> Any:
        """Return them as a tensor."""
        if self.affine is None:
            return self.tensor
        dense = import_keras().layers.Dense(self.affine.matrix.shape[1], dtype="float32")
        values = dense(self.tensor)
        dense.set_weights([part.astype(np.float32) for part in self.affine])
        return values


class _Graph:
    """Estimators applied to pixels, or to features of these: ``x`` is None for the former."""

    def __init__(self) -> None:
        self.pixels: Any = None
        self.image_size: tuple[int, int] | None = None
        self.resize = ""
        self.first_features: Any = None
        self.feature_shapes: tuple[tuple[int, ...], ...] | None = None
        self._networks: dict[str, Any] = {}

    def _pixels_for(self, image_size: tuple[int, int], resize: str) -> Any:
        if self.image_size is None:
            self.image_size, self.resize = image_size, resize
            self.pixels = import_keras().Input((*image_size, 3), dtype="uint8", name="pixels")
        elif (self.image_size, self.resize) != (image_size, resize):
            raise TypeError(
                f"Its networks take images of different sizes: {self.image_size} ({self.resize}) and {image_size} "
                f"({resize}). Give them the same image_size and resize, and fit again."
            )
        return self.pixels

    def features(self, transformer: Any, x: _Features | None) -> _Features:
        """Return what a transformer gives."""
        from sklearn.compose import ColumnTransformer
        from sklearn.pipeline import Pipeline

        if transformer is None or transformer == "passthrough":
            if x is None:
                raise TypeError("No step of the pipeline makes features of images; expected BottleneckFeatures.")
            return x
        if isinstance(transformer, Pipeline):
            for _, step in transformer.steps:
                x = self.features(step, x)
            return self.features("passthrough", x)
        if x is None:
            if isinstance(transformer, BottleneckFeatures):
                return _Features(self._network_features(transformer))
            if isinstance(transformer, ColumnTransformer):
                chosen = [step for _, step, columns in transformer.transformers_ if step != "drop" and len(columns)]
                if len(chosen) == 1:
                    return self.features(chosen[0], None)
            raise _no_graph(transformer, "takes images; expected BottleneckFeatures of one column")
        affine = transformer_as_affine(transformer, x.n_features)
        if affine is None:
            raise _no_graph(transformer, "is not an affine map of features")
        return x.mapped(affine)

    def _network_features(self, transformer: BottleneckFeatures) -> Any:
        network = feature_network(transformer)
        pixels = self._pixels_for(network.image_size, transformer.resize)
        # The members of an ensemble have a transformer each, and mostly the same network.
        weights_id = network.backbone.weights_id(transformer.weights, transformer.random_state)
        identity = repr((network.backbone.identity, weights_id, transformer.layers, transformer.pooling))
        if identity not in self._networks:
            model = import_keras().Model(network.network.inputs, network.features)
            # What follows gets the same features only from one network, in the precision of the graph.
            is_only_one = not self._networks and transformer.precision == "float32"
            self.feature_shapes = network.shapes if is_only_one else None
            self._networks[identity] = model(scale_pixels(pixels, network.backbone.preprocessing))
            if self.first_features is None:
                self.first_features = self._networks[identity]
        return self._networks[identity]

    def _network_output(self, estimator: Any) -> Any:
        model = estimator.model_
        pixels = import_keras().ops.cast(self._pixels_for(model.input_shape[1:3], estimator.resize), "float32")
        # A published network as it is was trained on other images: no distance to them is known.
        if self.first_features is not None or isinstance(estimator, ImageNetClassifier):
            return model(pixels)
        self.first_features, output = with_features(model)(pixels)
        return output

    def numbers(self, estimator: Any, x: _Features | None) -> Any:
        """Return what a regressor predicts, (n, n_targets)."""
        estimator, x = self._last(estimator, x)
        if x is None:
            if isinstance(estimator, CNNRegressor):
                return self._network_output(estimator)
            raise _no_graph(estimator, "takes images; expected CNNRegressor, or a pipeline that begins with features")
        if not hasattr(estimator, "coef_"):
            raise _no_graph(estimator, "is not a linear model")
        return x.mapped(linear(estimator.coef_, estimator.intercept_)).evaluated()

    def probabilities(self, estimator: Any, x: _Features | None) -> Any:
        """Return the probabilities that a classifier gives, (n, n_classes)."""
        from sklearn.calibration import CalibratedClassifierCV

        estimator, x = self._last(estimator, x)
        if isinstance(estimator, CalibratedClassifierCV):
            members = [self._calibrated(member, x) for member in estimator.calibrated_classifiers_]
            return sum(members[1:], members[0]) / len(members)
        if x is None:
            if isinstance(estimator, CNNClassifier):
                return _both(self._network_output(estimator), len(estimator.classes_))
            if isinstance(estimator, ImageNetClassifier):
                return self._network_output(estimator)
            raise _no_graph(estimator, "takes images; expected CNNClassifier, or a pipeline that begins with features")
        if isinstance(estimator, BaggedSGDClassifier):
            return self._bagged(estimator, x)
        return _linked(self.scores(estimator, x), _link_of(estimator), estimator.coef_.dtype)

    def scores(self, estimator: Any, x: _Features | None) -> Any:
        """Return what ``decision_function`` gives, or else ``predict_proba``; (n, 1) of two classes."""
        estimator, x = self._last(estimator, x)
        ops = import_keras().ops
        if x is None or isinstance(estimator, BaggedSGDClassifier):
            probabilities = self.probabilities(estimator, x)
            two = probabilities.shape[-1] == 2
            if not hasattr(estimator, "decision_function"):
                return probabilities[:, 1:] if two else probabilities
            logarithms = ops.log(ops.maximum(probabilities, np.finfo(np.float32).tiny))
            return logarithms[:, 1:] - logarithms[:, :1] if two else logarithms
        _link_of(estimator)  # says what is not linear
        return x.mapped(linear(estimator.coef_, estimator.intercept_)).evaluated()

    def _last(self, estimator: Any, x: _Features | None) -> tuple[Any, _Features | None]:
        """Return the estimator that predicts, and what it takes: out of pipelines, searches and frozen estimators."""
        from sklearn.frozen import FrozenEstimator
        from sklearn.pipeline import Pipeline

        while True:
            if isinstance(estimator, Pipeline):
                x = self.features(estimator[:-1], x) if len(estimator.steps) > 1 else x
                estimator = estimator.steps[-1][1]
            elif isinstance(estimator, FrozenEstimator):
                estimator = estimator.estimator
            elif hasattr(estimator, "best_estimator_"):
                estimator = estimator.best_estimator_
            else:
                return estimator, x

    def _bagged(self, estimator: BaggedSGDClassifier, x: _Features) -> Any:
        ops = import_keras().ops
        n_bags, n_outputs, _ = estimator.estimators_coef_.shape
        matrix = np.zeros((x.n_features, n_bags, n_outputs))
        parts = zip(estimator.estimators_features_, estimator.estimators_coef_, strict=True)
        for bag, (features, coef) in enumerate(parts):
            np.add.at(matrix[:, bag], features, coef.T)  # a feature may be drawn twice
        stacked = Affine(matrix.reshape(x.n_features, -1), estimator.estimators_intercept_.ravel())
        scores = ops.reshape(x.mapped(stacked).evaluated(), (-1, n_bags, n_outputs))
        if hasattr(estimator, "bagging_"):  # of classifiers of scikit-learn
            link, dtype = "one against the rest", estimator.bagging_.estimators_[0].coef_.dtype
        else:
            link, dtype = "softmax", scores.dtype
        return ops.mean(_linked(scores, link, dtype), axis=1)

    def _calibrated(self, member: Any, x: _Features | None) -> Any:
        if member.method != "sigmoid":
            raise TypeError(f"calibration by method={member.method!r} has no graph; expected method='sigmoid'.")
        scores = self.scores(member.estimator, x)
        slopes = np.array([calibrator.a_ for calibrator in member.calibrators])
        offsets = np.array([calibrator.b_ for calibrator in member.calibrators])
        calibrated = _Features(scores, per_feature(-slopes, -offsets, len(slopes))).evaluated()
        return _linked(calibrated, "one against the rest", np.float64)


def _link_of(estimator: Any) -> str:
    """Return how a linear classifier turns scores into probabilities.

    Raises
    ------
    TypeError
        If it is not a linear classifier, or gives no probabilities that are known here.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, SGDClassifier

    if isinstance(estimator, LinearDiscriminantAnalysis):
        return "softmax"
    if isinstance(estimator, LogisticRegression):  # LogisticRegressionCV is one
        one_against_rest = estimator.solver == "liblinear" or getattr(estimator, "multi_class", None) == "ovr"
        return "one against the rest" if one_against_rest else "softmax"
    if isinstance(estimator, SGDClassifier) and estimator.loss == "log_loss":
        return "one against the rest"
    if hasattr(estimator, "coef_") and not hasattr(estimator, "predict_proba"):
        return "none"  # such as LinearSVC, under a calibration
    raise _no_graph(estimator, "is not a linear classifier")


def _linked(scores: Any, link: str, dtype: Any) -> Any:
    """Return probabilities (..., n_classes) of scores (..., n_classes), or (..., 1) of the second of two classes.

    ``dtype`` is that of the estimator's scores.
    """
    ops = import_keras().ops
    if link == "none":
        raise TypeError("A classifier without predict_proba has no probabilities: calibrate it first.")
    if scores.shape[-1] == 1:
        return _both(ops.sigmoid(scores), 2)
    if link == "softmax":
        return ops.softmax(scores, axis=-1)
    # Sigmoids that are scaled to a sum of 1 are the softmax of their logarithms, which do not underflow.
    logarithms = ops.minimum(scores, 0.0) - ops.log(1.0 + ops.exp(-ops.abs(scores)))
    # In scikit-learn they do: 1 / (1 + exp(-score)) is 0 where exp overflows. Beside others such a class has no
    # probability; where all classes are 0, they are equally probable.
    least = -float(np.log(np.finfo(dtype).max))
    logarithms = ops.maximum(logarithms, least)
    return ops.softmax(logarithms + ops.minimum(1e6 * (logarithms - least), _NO_PROBABILITY), axis=-1)


def _both(probabilities: Any, n_classes: int) -> Any:
    """Return the probabilities of two classes where there is only that of the second."""
    if probabilities.shape[-1] == 1 and n_classes == 2:
        return import_keras().ops.concatenate([1 - probabilities, probabilities], axis=-1)
    return probabilities


def _no_graph(part: Any, why: str) -> TypeError:
    return TypeError(
        f"{type(part).__name__} cannot be exported: it {why}. What can: CNNClassifier, CNNRegressor, "
        "ImageNetClassifier, and pipelines of BottleneckFeatures, scalers, feature selection, PCA and a linear model "
        "(BaggedSGDClassifier, LogisticRegression, SGDClassifier(loss='log_loss'), LinearDiscriminantAnalysis, Ridge), "
        "also calibrated by method='sigmoid' and as the result of a search."
    )
