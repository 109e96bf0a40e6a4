"""A network with a new head: pixels, scaling, backbone, pooling, dense layers."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._keras import building, copy_model, import_keras, is_keras_model, set_weights
from skcnn._training import (
    Cut,
    augmented,
    check_unfreeze,
    freeze_batch_norm,
    in_inference_mode,
    open_layers,
    split_network,
)
from skcnn.backbones import Backbone, Weights, as_backbone, scale_pixels
from skcnn.images import as_image_size
from skcnn.neural_network._loss import Objective, classifying

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Design:
    """Everything that determines a network's architecture and its initial weights.

    Parameters
    ----------
    backbone : Backbone
        The convolutional network.
    weights : str, path-like, WeightsFile or None
        Weights of the backbone: see :meth:`skcnn.backbones.Backbone.build`.
    seed : int
        Seed of weights that are drawn at random.
    image_size : tuple of (height, width)
        In pixels.
    pooling : {"avg", "max"} or None
        Pooling of feature maps.
    hidden_layer_sizes : tuple of int
        Units of the head's hidden layers.
    n_outputs : int
        Units of the head's last layer.
    activation : {"softmax", "sigmoid", "linear", "exponential"}
        Activation of the head's last layer.
    precision : {"float32", "bfloat16"}
        Precision of the backbone; the head always computes in float32.
    batch_norm : {"inference", "train"}
        Mode of the backbone's BatchNorm layers in training.
    constants : str, default=""
        Digest of the weights that compiled graphs contain as constants: see :func:`initial_base`.
    """

    backbone: Backbone
    weights: Any
    seed: int
    image_size: tuple[int, int]
    pooling: str | None
    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str
    precision: str
    batch_norm: str
    constants: str = ""

    @property
    def identity(self) -> tuple[Any, ...]:
        """Key of the design's graph: the architecture without the weights, which are assigned."""
        # A model is identified by its content: the copies that a search makes of it share a graph.
        given = self.backbone if self.backbone.network is None else self.backbone.weights_id("pretrained")
        return (
            given,
            self.image_size,
            self.pooling,
            self.hidden_layer_sizes,
            self.n_outputs,
            self.activation,
            self.precision,
            self.batch_norm,
            self.constants,
        )


class InitialBase(NamedTuple):
    """A backbone with its initial weights, which is not changed; its features; the digest of its graphs' constants."""

    network: Any
    output: Any
    constants: str

    @property
    def weights(self) -> list[np.ndarray]:
        """Copies of the weights."""
        return list(self.network.get_weights())

    @property
    def has_batch_norm(self) -> bool:
        """Whether it has BatchNorm layers."""
        return any(isinstance(layer, import_keras().layers.BatchNormalization) for layer in self.network.layers)


_initial: OrderedDict[tuple[Any, ...], InitialBase] = OrderedDict()


def initial_base(design: Design) -> InitialBase:
    """Return a design's backbone with its initial weights. The last three are cached."""
    layers = import_keras().layers
    backbone = design.backbone
    given = backbone if backbone.network is None else "a model"
    weights_id = backbone.weights_id(design.weights, design.seed)
    key = (given, weights_id, design.image_size, design.pooling, design.precision)
    with building():
        if key not in _initial:
            network = _build_network(design, design.weights)
            output = backbone.pooled_output(network, backbone.layers[-1].name, design.pooling)
            digest = hashlib.sha256()
            for layer in network.layers:
                if isinstance(layer, layers.Normalization):  # computes with copies of its weights
                    for value in layer.get_weights():
                        digest.update(value.tobytes())
            _initial[key] = InitialBase(network, output, digest.hexdigest())
            while len(_initial) > 3:
                _initial.popitem(last=False)
        _initial.move_to_end(key)
        return _initial[key]


def open_names(design: Design, network: Any, unfreeze: Any) -> list[str]:
    """Return the names of the layers of a backbone that ``unfreeze`` opens."""
    is_open = open_layers(design.backbone, network, unfreeze)
    return [layer.name for layer, opened in zip(network.layers, is_open, strict=True) if opened]


def frozen_prefix(design: Design, unfreeze: Any) -> Cut | None:
    """Return where the network is cut if layers are opened, or None where the whole network has to run in training.

    That is so where the first layers are open, and where layers before the cut draw random numbers.
    """
    if unfreeze is None or unfreeze == "all":
        return None
    initial = initial_base(design)
    cut = split_network(
        initial.network, open_names(design, initial.network, unfreeze), initial.output, image_size=design.image_size
    )
    is_fixed = cut.is_deterministic or design.batch_norm == "inference"
    return cut if cut.positions and is_fixed and not cut.is_input and not cut.is_output else None


def initial_head(n_features: int, units: Sequence[int], seed: int) -> list[np.ndarray]:
    """Return the initial weights of a head: kernels of hidden layers by Glorot's rule, all others zero.

    With few images and many features, training changes the last kernel in some directions only. What lies in the others
    stays as it was drawn, and is noise in every prediction: with 259 images of 37 classes, accuracy was 0.69 instead of
    0.80.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    section 4.2.1.
    """
    generator = np.random.default_rng((seed, 0x68656164))
    weights: list[np.ndarray] = []
    for fan_in, fan_out in zip([n_features, *units], units[:-1], strict=False):
        limit = np.sqrt(6 / (fan_in + fan_out))
        weights += [generator.uniform(-limit, limit, (fan_in, fan_out)).astype("float32"), np.zeros(fan_out, "float32")]
    fan_in = [n_features, *units][-2]
    return [*weights, np.zeros((fan_in, units[-1]), "float32"), np.zeros(units[-1], "float32")]


class Parts(NamedTuple):
    """A network taken apart: ``network`` (the backbone's layers), ``base`` (scaled pixels to features), ``dense``."""

    network: Any
    base: Any
    dense: list[Any]


def build_parts(design: Design) -> Parts:
    """Build the layers of a design, with arbitrary weights."""
    keras = import_keras()
    backbone = design.backbone
    # Weights are put in later: published ones need not be available to use a fitted network.
    network = _build_network(design, design.weights if backbone.weights == ("pretrained",) else None)
    output = backbone.pooled_output(network, backbone.layers[-1].name, design.pooling)
    if len(output.shape) > 2:
        output = keras.layers.Flatten(dtype="float32")(output)
    return Parts(network, keras.Model(network.inputs[0], output, name="base"), head_layers(design))


def head_layers(design: Design) -> list[Any]:
    """Return the dense layers of a head, not built yet."""
    dense = import_keras().layers.Dense
    hidden = [
        dense(units, activation="relu", dtype="float32", name=f"hidden_{number}")
        for number, units in enumerate(design.hidden_layer_sizes, start=1)
    ]
    name = "probabilities" if design.activation in ("softmax", "sigmoid") else "outputs"
    return [*hidden, dense(design.n_outputs, activation=design.activation, dtype="float32", name=name)]


def apply_head(features: Any, dense: list[Any], make_dropout: Callable[[int], Any] | None) -> Any:
    """Return the head's output for features; dropout goes before every dense layer."""
    x = import_keras().ops.cast(features, "float32")
    for number, layer in enumerate(dense):
        x = layer(x if make_dropout is None else make_dropout(number)(x))
    return x


def apply_base(pixels: Any, design: Design, base: Any, augmentation: list[Any]) -> Any:
    """Return features for pixels (n, height, width, 3) in [0, 255], augmented in training."""
    return base(scale_pixels(augmented(pixels, augmentation), design.backbone.preprocessing))


def learning_base(design: Design, base: Any, unfreeze: Any) -> Any:
    """Return a base as it is in training: in inference mode, unless layers are open and ``batch_norm="train"``."""
    # Statistics of a few batches of other images are worse than those that the network was trained with.
    return base if design.batch_norm == "train" and unfreeze is not None else in_inference_mode()(base)


def open_network(design: Design, network: Any, unfreeze: Any) -> None:
    """Make the layers of a backbone that ``unfreeze`` names trainable, and the others not."""
    for layer, is_open in zip(network.layers, open_layers(design.backbone, network, unfreeze), strict=True):
        layer.trainable = is_open


def plain_model(
    design: Design,
    dropout: float,
    base: list[np.ndarray],
    head: list[np.ndarray],
    *,
    unfreeze: Any = "all",
    scaling: tuple[np.ndarray, np.ndarray] | None = None,
) -> Any:
    """Return a Keras model of standard layers from pixels (n, height, width, 3) in [0, 255] to the head's output.

    With ``scaling``, (scale, offset), the output is scaled, so that it is what the estimator predicts.
    """
    keras = import_keras()
    with building(design.seed):
        parts = build_parts(design)
        open_network(design, parts.network, unfreeze)
        if design.batch_norm == "inference":
            freeze_batch_norm(parts.network)
        pixels = keras.Input((*design.image_size, 3), name="pixels")
        features = apply_base(pixels, design, parts.base, [])
        make_dropout = (lambda number: keras.layers.Dropout(dropout)) if dropout else None
        outputs = apply_head(features, parts.dense, make_dropout)
        if scaling is not None:
            outputs = keras.layers.Rescaling(*(part.tolist() for part in scaling), dtype="float32", name="scaled")(
                outputs
            )
        model = keras.Model(pixels, outputs, name="cnn")
    set_weights(parts.base, base)
    for layer, start in zip(parts.dense, range(0, len(head), 2), strict=False):
        layer.set_weights(head[start : start + 2])
    return model


def build_cnn(
    meta: dict[str, Any],
    compile_kwargs: dict[str, Any] | None = None,
    *,
    backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
    weights: Weights = "pretrained",
    image_size: int | tuple[int, int] | None = None,
    pooling: str | None = "avg",
    hidden_layer_sizes: Sequence[int] = (),
    dropout: float = 0.0,
    unfreeze: str | float | None = None,
    batch_norm: str = "inference",
    random_state: int = 0,
) -> keras.Model:
    """Build a classifying network by the contract of SciKeras: for a plain ``scikeras.wrappers.KerasClassifier``.

    Parameters
    ----------
    meta : dict
        SciKeras's description of the task; ``n_classes_`` is used.
    compile_kwargs : dict or None, default=None
        Arguments of ``Model.compile``; None leaves the network uncompiled.
    backbone, weights, image_size, pooling, hidden_layer_sizes, dropout, unfreeze, batch_norm
        Parameters of the network: see :class:`CNNClassifier`. ``unfreeze=None`` trains the head alone.
    random_state : int, default=0
        Seed of weights that are drawn at random. An int: SciKeras calls the builder in every fit, and the fits of a
        search should start with the same weights.

    Returns
    -------
    keras.Model
        From pixels (n, height, width, 3) in [0, 255] to probabilities (n, n_classes), or (n, 1) of the second of two
        classes if the loss is a binary one.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter is invalid.

    Examples
    --------
    >>> from skcnn.neural_network import build_cnn
    >>> build_cnn({"n_classes_": 3}, backbone="ResNet20").output_shape
    (None, 3)
    """
    loss = (compile_kwargs or {}).get("loss") or "auto"
    if isinstance(loss, type):
        loss = loss()
    objective = classifying(loss, int(meta["n_classes_"]))
    size = None if image_size is None else as_image_size(image_size)
    found = as_backbone(backbone_of(backbone, objective), image_size=size)
    design = Design(
        found, weights, random_state, size or found.image_size, pooling, tuple(hidden_layer_sizes),
        objective.n_outputs, objective.activation, "float32", batch_norm,
    )  # fmt: skip
    base = initial_base(design).weights
    model = plain_model(design, dropout, base, [], unfreeze=check_unfreeze(unfreeze))
    if compile_kwargs is not None:
        model.compile(**compile_kwargs)
    return model


@dataclass(frozen=True)
class MetaBuilder:
    """A builder by SciKeras's contract, ``build(meta, ...)``, as a backbone: a callable of ``input_shape``."""

    build: Callable[..., Any]
    task: tuple[tuple[str, Any], ...]

    def __call__(self, input_shape: tuple[int, int, int]) -> Any:
        """Return the network for images of this shape."""
        return self.build(meta={**dict(self.task), "X_shape_": (None, *input_shape)})

    @property
    def __name__(self) -> str:
        return getattr(self.build, "__name__", type(self.build).__name__)


def backbone_of(backbone: Any, objective: Objective) -> Any:
    """Return the parameter ``backbone`` for :func:`skcnn.backbones.as_backbone`."""
    if isinstance(backbone, Backbone) or not callable(backbone) or is_keras_model(backbone):
        return backbone
    if "meta" in inspect.signature(backbone).parameters:
        return MetaBuilder(backbone, objective.meta)
    return backbone


def _build_network(design: Design, weights: Any) -> Any:
    """Build a backbone for a design: never the user's own model itself, which would be changed."""
    keras = import_keras()
    backbone = design.backbone
    with building():
        network = backbone.build(image_size=design.image_size, weights=weights, random_state=design.seed)
        if design.precision == "float32" and backbone.network is None:
            return network

        def with_policy(operation: Any) -> dict[str, Any]:
            return {"dtype": f"mixed_{design.precision}"} if isinstance(operation, keras.layers.Layer) else {}

        return copy_model(network) if design.precision == "float32" else copy_model(network, changed=with_policy)
