"""A network for classification: pixels, scaling, backbone, pooling, head; and which of its layers are trained."""

from __future__ import annotations

import difflib
import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import building, copy_model, import_keras, is_keras_model, set_weights
from skcnn.backbones import Backbone, as_backbone, scale_pixels
from skcnn.images import as_image_size
from skcnn.neural_network._augmentation import augmented
from skcnn.neural_network._loss import as_objective


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
    activation : {"softmax", "sigmoid"}
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
    """The initial weights of a backbone; a digest of the constants of compiled graphs; and if it has BatchNorm."""

    weights: list[np.ndarray]
    constants: str
    has_batch_norm: bool


_initial: OrderedDict[tuple[Any, ...], InitialBase] = OrderedDict()


def initial_base(design: Design) -> InitialBase:
    """Return the initial weights of a design's backbone. The last three are cached."""
    layers = import_keras().layers
    given = design.backbone if design.backbone.network is None else "a model"
    key = (given, design.backbone.weights_id(design.weights, design.seed), design.image_size)
    with building():
        if key not in _initial:
            network = _build_network(design, design.weights)
            digest = hashlib.sha256()
            for layer in network.layers:
                if isinstance(layer, layers.Normalization):  # computes with copies of its weights
                    for value in layer.get_weights():
                        digest.update(value.tobytes())
            has_batch_norm = any(isinstance(layer, layers.BatchNormalization) for layer in network.layers)
            _initial[key] = InitialBase(network.get_weights(), digest.hexdigest(), has_batch_norm)
            while len(_initial) > 3:
                _initial.popitem(last=False)
        _initial.move_to_end(key)
        return _initial[key]


def initial_head(n_features: int, units: Sequence[int], seed: int) -> list[np.ndarray]:
    """Return the initial weights of a head: kernels by Glorot's rule, biases zero.

    References
    ----------
    X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010,
    section 4.2.1.
    """
    generator = np.random.default_rng((seed, 0x68656164))
    weights: list[np.ndarray] = []
    for fan_in, fan_out in zip([n_features, *units], units, strict=False):
        limit = np.sqrt(6 / (fan_in + fan_out))
        weights += [generator.uniform(-limit, limit, (fan_in, fan_out)).astype("float32"), np.zeros(fan_out, "float32")]
    return weights


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
    return [*hidden, dense(design.n_outputs, activation=design.activation, dtype="float32", name="probabilities")]


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


@lru_cache(maxsize=1)
def in_inference_mode() -> Any:
    """Return a layer that runs another one in inference mode, whatever mode it is run in itself.

    ``base(x, training=False)`` alone does not: Keras 3 has the outer model's ``training=True`` win over it.
    """
    keras = import_keras()

    # Registered, and with a configuration, for callbacks that copy the model or write it down.
    @keras.saving.register_keras_serializable("skcnn")
    class InInferenceMode(keras.layers.Layer):  # type: ignore[name-defined]
        def __init__(self, inner: Any, name: str | None = None, trainable: bool = True, dtype: Any = None):
            super().__init__(name=name, trainable=trainable, dtype=dtype)
            self.inner = inner

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> InInferenceMode:
            return cls(**{**config, "inner": keras.saving.deserialize_keras_object(config["inner"])})

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

        def call(self, x: Any) -> Any:
            return self.inner(x, training=False)

    return InInferenceMode


def open_layers(design: Design, network: Any, unfreeze: Any) -> None:
    """Make the layers of a backbone that ``unfreeze`` names trainable, and the others not."""
    first = first_open_layer(design, network, unfreeze)
    for index, layer in enumerate(network.layers):
        layer.trainable = index >= first


def freeze_batch_norm(network: Any) -> None:
    """Freeze BatchNorm layers: only frozen ones stay in inference mode while a model is trained."""
    for layer in network.layers:
        if isinstance(layer, import_keras().layers.BatchNormalization):
            layer.trainable = False
        elif hasattr(layer, "layers"):
            freeze_batch_norm(layer)


def first_open_layer(design: Design, network: Any, unfreeze: Any) -> int:
    """Return the index of the first layer that ``unfreeze`` makes trainable; the number of layers if there is none."""
    n_layers = len(network.layers)
    if unfreeze is None:
        return n_layers
    if unfreeze == "all":
        return 0
    if isinstance(unfreeze, float):
        return min(round(n_layers * (1 - unfreeze)), n_layers - 1)
    if isinstance(unfreeze, int):
        if not -n_layers <= unfreeze < n_layers:
            raise ValueError(
                f"unfreeze={unfreeze}; expected an index of the {n_layers} layers of {design.backbone.name}."
            )
        return int(unfreeze) % n_layers
    names = [layer.name for layer in network.layers]
    if unfreeze in names:
        return names.index(unfreeze)
    for layer in design.backbone.layers:
        if layer.name == unfreeze:
            operation = design.backbone.layer_output(network, unfreeze)._keras_history.operation
            operations = getattr(network, "operations", network.layers)  # a Sequential has layers alone
            later = operations[operations.index(operation) :]
            return next((names.index(o.name) for o in later if o.name in names), n_layers)
    close = difflib.get_close_matches(unfreeze, names, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(f"unfreeze={unfreeze!r}; expected a layer of {design.backbone.name}.{hint}")


def check_unfreeze(unfreeze: Any) -> Any:
    """Return ``unfreeze`` in its canonical form, or raise an error."""
    if unfreeze is None or (isinstance(unfreeze, str) and unfreeze):
        return unfreeze
    if isinstance(unfreeze, Integral) and not isinstance(unfreeze, bool):
        return "all" if unfreeze == 0 else int(unfreeze)
    if isinstance(unfreeze, (float, np.floating)) and 0 < unfreeze <= 1:
        return "all" if unfreeze == 1 else float(unfreeze)
    raise ValueError(
        f"unfreeze={unfreeze!r}; expected None, 'all', the name of the first layer to open, its index (-20: the last "
        "20 layers), or the fraction of the layers to open, a float in (0, 1]"
    )


def plain_model(
    design: Design, dropout: float, base: list[np.ndarray], head: list[np.ndarray], unfreeze: Any = "all"
) -> Any:
    """Return a Keras model of standard layers from pixels (n, height, width, 3) in [0, 255] to the head's output."""
    keras = import_keras()
    with building(design.seed):
        parts = build_parts(design)
        open_layers(design, parts.network, unfreeze)
        if design.batch_norm == "inference":
            freeze_batch_norm(parts.network)
        pixels = keras.Input((*design.image_size, 3), name="pixels")
        features = apply_base(pixels, design, parts.base, [])
        make_dropout = (lambda number: keras.layers.Dropout(dropout)) if dropout else None
        model = keras.Model(pixels, apply_head(features, parts.dense, make_dropout), name="cnn")
    set_weights(parts.base, base)
    for layer, start in zip(parts.dense, range(0, len(head), 2), strict=False):
        layer.set_weights(head[start : start + 2])
    return model


def build_cnn(
    meta: dict[str, Any],
    compile_kwargs: dict[str, Any] | None = None,
    *,
    backbone: Any = "MobileNetV2",
    weights: Any = "pretrained",
    image_size: int | tuple[int, int] | None = None,
    pooling: str | None = "avg",
    hidden_layer_sizes: Sequence[int] = (),
    dropout: float = 0.0,
    unfreeze: str | float | None = None,
    batch_norm: str = "inference",
    random_state: int = 0,
) -> Any:
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
    objective = as_objective(loss, int(meta["n_classes_"]))
    size = None if image_size is None else as_image_size(image_size)
    found = as_backbone(backbone_of(backbone, int(meta["n_classes_"])), image_size=size)
    design = Design(
        found, weights, random_state, size or found.image_size, pooling, tuple(hidden_layer_sizes),
        objective.n_outputs, objective.activation, "float32", batch_norm,
    )  # fmt: skip
    base = initial_base(design).weights
    model = plain_model(design, dropout, base, [], check_unfreeze(unfreeze))
    if compile_kwargs is not None:
        model.compile(**compile_kwargs)
    return model


@dataclass(frozen=True)
class MetaBuilder:
    """A builder by SciKeras's contract, ``build(meta, ...)``, as a backbone: a callable of ``input_shape``."""

    build: Callable[..., Any]
    n_classes: int

    def __call__(self, input_shape: tuple[int, int, int]) -> Any:
        """Return the network for images of this shape."""
        return self.build(
            meta={
                "n_classes_": self.n_classes,
                "classes_": np.arange(self.n_classes),
                "target_type_": "binary" if self.n_classes == 2 else "multiclass",
                "X_shape_": (None, *input_shape),
                "n_outputs_": 1,
                "n_outputs_expected_": 1,
            }
        )

    @property
    def __name__(self) -> str:
        return getattr(self.build, "__name__", type(self.build).__name__)


def backbone_of(backbone: Any, n_classes: int) -> Any:
    """Return the parameter ``backbone`` for :func:`skcnn.backbones.as_backbone`."""
    if isinstance(backbone, Backbone) or not callable(backbone) or is_keras_model(backbone):
        return backbone
    if "meta" in inspect.signature(backbone).parameters:
        return MetaBuilder(backbone, n_classes)
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


@lru_cache(maxsize=1)
def variable_dropout() -> Any:
    """Return a dropout layer whose rate is a variable, so that candidates of a search share a compiled graph."""
    keras = import_keras()

    @keras.saving.register_keras_serializable("skcnn")
    class VariableDropout(keras.layers.Layer):  # type: ignore[name-defined]
        def __init__(self, name: str | None = None, trainable: bool = True, dtype: Any = "float32") -> None:
            super().__init__(name=name, trainable=trainable, dtype=dtype)
            self.seed_generator = keras.random.SeedGenerator(0)

        def build(self, input_shape: Any) -> None:
            self.rate = self.add_weight(shape=(), initializer="zeros", trainable=False, name="rate")

        def call(self, x: Any, training: bool = False) -> Any:
            if not training:
                return x
            keep = 1 - self.rate
            # Uniform numbers lie in [0, 1): a rate of 0 keeps every value as it is.
            drawn = keras.random.uniform(keras.ops.shape(x), seed=self.seed_generator)
            return keras.ops.where(drawn < keep, x / keep, 0.0)

    return VariableDropout
