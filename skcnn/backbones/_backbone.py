"""What a backbone is: a convolutional network, mostly without its classifier, and all that belongs to it."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._keras import building, copy_model, import_keras, model_digest
from skcnn._text import listing
from skcnn.backbones._layers import BottleneckLayer, layers_hint, located
from skcnn.backbones._pixels import PREPROCESSING, Preprocessing
from skcnn.backbones._published import PublishedFile, fetch, published_file
from skcnn.backbones._weights import (
    PartialWeights,
    UnsavedWeights,
    WeightsFile,
    as_weights_path,
    carry_weights,
    explained_loading,
    file_sha256,
    fold_efficientnet_rescaling,
    load_weights,
    reset_other_layers,
    weights_path,
)
from skcnn.images import as_image_size

if TYPE_CHECKING:
    import keras

#: Weights of a network, or of several ones by name.
Weights = str | os.PathLike[str] | WeightsFile | PartialWeights | Mapping[str, Any] | None

#: What weights that were trained on ImageNet are called, and the number of its classes.
IMAGENET, N_CLASSES = "imagenet", 1000
#: Networks whose classifier stands on a flattened map, the size of which is that of the image.
_FIXED_SIZE = ("keras.applications.VGG16", "keras.applications.VGG19")


@dataclass(frozen=True)
class Backbone:
    """A convolutional network without its classifier.

    Parameters
    ----------
    name : str
        Its usual name, such as ``"MobileNetV2"``.
    image_size : tuple of (height, width)
        The size in pixels that the network was made for.
    preprocessing : {"none", "tf", "torch", "caffe"}
        The ``mode`` of :func:`scale_pixels` that goes before the network.
    layers : tuple of BottleneckLayer
        Where features come from, shallow to deep; the last is the default.
    n_parameters : int
        Number of weights, without the classifier.
    weights : tuple of str
        Names of published weights; the first is what ``"pretrained"`` means. Empty if there are none.
    builder : callable or str
        Makes the network: a function of ``keras.applications`` by its dotted name, or a callable with the same
        signature: ``builder(include_top=False, weights=None, input_shape=(height, width, 3))``, where ``weights`` may
        also be one of the names above. For legacy files with a classifier it is called with ``include_top=True`` and
        ``classes`` too.
    has_classifier : bool, default=False
        Whether the network is built with the classifier that its weights were trained with: see
        :meth:`with_classifier`.

    Raises
    ------
    ValueError
        If fields contradict each other.

    See Also
    --------
    get_backbone : Get a backbone by its name.
    register_backbone : Add one.

    Examples
    --------
    >>> from skcnn.backbones import get_backbone
    >>> backbone = get_backbone("MobileNetV2")
    >>> backbone.image_size, backbone.preprocessing, backbone.n_features
    ((224, 224), 'tf', 1280)
    >>> [layer.name for layer in backbone.layers]
    ['block_2_add', 'block_5_add', 'block_12_add', 'out_relu']
    """

    name: str
    image_size: tuple[int, int]
    preprocessing: Preprocessing
    layers: tuple[BottleneckLayer, ...]
    n_parameters: int
    weights: tuple[str, ...]
    builder: Callable[..., Any] | str
    has_classifier: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"layers of {self.name!r} are named {names}; at least one, and each name once")
        if self.preprocessing not in PREPROCESSING:
            raise ValueError(
                f"preprocessing={self.preprocessing!r} of {self.name!r}; expected {', '.join(map(repr, PREPROCESSING))}"
            )
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(f"image_size={self.image_size!r} of {self.name!r}; expected (height, width) in pixels")

    @property
    def n_features(self) -> int:
        """Number of channels of the default layer."""
        return self.layers[-1].n_features

    @property
    def identity(self) -> str:
        """What the network is, beside its weights, for the key of a cache."""
        # A builder from elsewhere may change under the same name: it is known by what it builds.
        code = self.builder if isinstance(self.builder, str) else self.builder.__module__
        if not isinstance(self.builder, str) and not code.startswith("skcnn."):
            code = _built_digest(self)
        whole = ("with its classifier",) if self.has_classifier else ()
        return repr((self.name, self.preprocessing, self.layers, code, *whole))

    @property
    def network(self) -> Any:
        """The Keras model that this backbone is, where it was made from one; None otherwise."""
        return None

    @property
    def published_file(self) -> PublishedFile | None:
        """The weights file that Keras publishes for this network: ``path`` on this machine, and ``url``.

        The file without a classifier, unless :attr:`has_classifier`.

        None where skcnn does not know of one: for networks that ``keras.applications`` lacks, and other builders.
        """
        return published_file(self.builder, with_classifier=self.has_classifier)

    def with_classifier(self) -> Backbone:
        """Return the network with its classifier of the 1,000 classes of ImageNet.

        Returns
        -------
        Backbone
            Its one layer, ``"predictions"``, gives the 1,000 probabilities. Its weights are in another file:
            ``published_file``.

        Raises
        ------
        ValueError
            If the network was not trained on ImageNet.

        Examples
        --------
        >>> from skcnn.backbones import get_backbone
        >>> backbone = get_backbone("MobileNetV2").with_classifier()
        >>> backbone.n_features, backbone.published_file.path.name
        (1000, 'mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5')
        """
        if IMAGENET not in self.weights:
            raise ValueError(
                f"{self.name} has no classifier of the classes of ImageNet; expected a network of keras.applications, "
                "such as MobileNetV2, or a Keras model with 1,000 outputs."
            )
        return replace(self, layers=(BottleneckLayer("predictions", -1, N_CLASSES),), has_classifier=True)

    def choose_weights(self, weights: Weights) -> Weights:
        """Select the weights of this network from a dict of several networks.

        Parameters
        ----------
        weights : dict, str, path-like, WeightsFile or None
            A dict maps names of backbones to weights; anything else applies to every network.

        Returns
        -------
        str, path-like, WeightsFile or None
            Weights of this network: see :meth:`build`.

        Raises
        ------
        ValueError
            If it is a dict without this network.

        Examples
        --------
        >>> from skcnn.backbones import get_backbone
        >>> get_backbone("VGG16").choose_weights({"VGG16": "vgg16.h5", "ResNet20": "pretrained"})
        'vgg16.h5'
        """
        if not isinstance(weights, Mapping):
            return weights
        if self.name not in weights:
            raise ValueError(
                f"weights has no entry for {self.name!r}; it has {listing(map(repr, weights)) or 'none'}. Add one: a "
                'path, "pretrained", or None for random weights.'
            )
        return weights[self.name]

    def build(
        self,
        *,
        image_size: int | tuple[int, int] | None = None,
        weights: Weights = "pretrained",
        random_state: int = 0,
    ) -> keras.Model:
        """Build the network.

        Parameters
        ----------
        image_size : int, tuple of (height, width) or None, default=None
            In pixels. None is the backbone's own.
        weights : {"pretrained"}, str, path-like, WeightsFile, dict or None, default="pretrained"
            ``"pretrained"`` or one of ``self.weights``: the published ones, always those of the backbone's own size,
            whatever ``image_size`` is. A path (``.h5`` or ``.weights.h5``): a file that Keras saved from this network,
            with or without its classifier (with it if :attr:`has_classifier`). None: random ones. A dict: any of these,
            by the name of the backbone. :class:`PartialWeights`: those of some layers.
        random_state : int, default=0
            Seed of ``weights=None``.

        Returns
        -------
        keras.Model
            From float pixels (n, height, width, 3), scaled by ``scale_pixels(..., self.preprocessing)``, to the last
            feature map; or to the probabilities if :attr:`has_classifier`.

        Raises
        ------
        ValueError
            If the network has no such weights, if a file holds those of another one, or if the network cannot take
            images of this size.
        OSError
            If a file is missing or cannot be read, or if a download failed (:class:`WeightsDownloadError`).

        Examples
        --------
        >>> from skcnn.backbones import get_backbone
        >>> get_backbone("ResNet20").build(weights=None).output_shape
        (None, 8, 8, 64)
        """
        if isinstance(weights, PartialWeights):
            network = copy_model(self.build(image_size=image_size, weights=weights.weights, random_state=random_state))
            fresh = copy_model(network, copy_weights=False, seed=random_state)
            reset_other_layers(network, fresh, weights.layers, self.name)
            return network
        source = self._resolve_weights(weights)
        size = self.image_size if image_size is None else as_image_size(image_size)
        if self.has_classifier and self.builder in _FIXED_SIZE and size != self.image_size:
            raise ValueError(
                f"image_size={image_size!r}; the classifier of {self.name} takes images of {self.image_size[0]} x "
                f"{self.image_size[1]} pixels only: leave image_size=None."
            )
        if isinstance(source, str) and (file := self.published_file) is not None:
            fetch({self.name: file}, with_classifier=self.has_classifier)
        with building(random_state):
            if source is None:
                return self._build_network(size)
            if isinstance(source, str):
                return self._build_published(source, size)
            with weights_path(source) as path:
                return self._build_from_file(path, size)

    def weights_id(self, weights: Weights, random_state: int = 0) -> str:
        """Identify weights, for the key of a cache; neither builds the network nor imports Keras.

        Parameters
        ----------
        weights : {"pretrained"}, str, path-like, WeightsFile, dict or None
            Weights of the network: see :meth:`build`.
        random_state : int, default=0
            Seed of ``weights=None``.

        Returns
        -------
        str
            The name of published weights, ``"sha256:..."`` of a file's bytes, or ``"random:<seed>"``.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If the network has no such weights.

        Examples
        --------
        >>> from skcnn.backbones import get_backbone
        >>> get_backbone("VGG16").weights_id("pretrained"), get_backbone("VGG16").weights_id(None, 3)
        ('imagenet', 'random:3')
        """
        if isinstance(weights, PartialWeights):
            return repr((self.weights_id(weights.weights, random_state), weights.layers, random_state))
        source = self._resolve_weights(weights)
        if source is None:
            return f"random:{random_state}"
        if isinstance(source, str):
            return source
        return f"sha256:{source.sha256 if isinstance(source, WeightsFile) else file_sha256(source)}"

    def layer_name(self, layer: str | int) -> str:
        """Return the name of a layer that features may be taken from.

        Parameters
        ----------
        layer : str or int
            A name of ``self.layers``; or any layer of the Keras network: its name, or its index in ``model.layers``.
            ``"operation[<position>]"`` stands for what the network computes at a place that may have no layer, such as
            a sum: its position in ``model.operations``.

        Returns
        -------
        str
            The name, or ``"layer[<index>]"``.

        Raises
        ------
        TypeError
            If it is neither a name nor an index.
        """
        if isinstance(layer, str):
            return layer
        try:
            return f"layer[{operator.index(layer)}]"
        except TypeError:
            raise TypeError(f"layer={layer!r}; expected {layers_hint(self.layers)}") from None

    def layer_output(self, model: keras.Model, name: str) -> keras.KerasTensor:
        """Return the output of a bottleneck layer in a network of :meth:`build`.

        Parameters
        ----------
        model : keras.Model
            The network.
        name : str
            A name as :meth:`layer_name` gives it.

        Returns
        -------
        keras.KerasTensor of shape (n, height, width, n_features) or (n, n_features)

        Raises
        ------
        ValueError
            If the network has no such layer, if its output is not features, or if this version of Keras orders layers
            differently.
        """
        return located(model, name, self.layers, self.name)[1]

    def pooled_output(self, model: keras.Model, name: str, pooling: str | None) -> keras.KerasTensor:
        """Return the features of a bottleneck layer: its output, pooled over the image.

        The same as ``keras.applications`` gives with ``include_top=False`` and this ``pooling``. Mostly that is
        :meth:`layer_output` pooled; ConvNeXt normalises after the pooling, which gives other values.

        Parameters
        ----------
        model : keras.Model
            The network.
        name : str
            A name as :meth:`layer_name` gives it.
        pooling : {"avg", "max"} or None
            None leaves the feature map as it is.

        Returns
        -------
        keras.KerasTensor of shape (n, n_features) or (n, height, width, n_features)
            Pooled in float32, whatever the network computes in: a mean in bfloat16 would lose precision.

        Raises
        ------
        ValueError
            If ``pooling`` is none of these, or for the reasons of :meth:`layer_output`.
        """
        layers = import_keras().layers
        kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
        if pooling is not None and pooling not in kinds:
            raise ValueError(f"pooling={pooling!r}; expected 'avg', 'max' or None")
        operation, output = located(model, name, self.layers, self.name)
        if pooling is None or len(output.shape) == 2:
            return output
        pool = kinds[pooling](dtype="float32", data_format="channels_last")
        if any(layer.pool_first for layer in self.layers if layer.name == name):
            return operation(pool(operation.input))
        return pool(output)

    def _build_network(self, size: tuple[int, int], **options: Any) -> Any:
        builder = self._resolve_builder()
        given = {"include_top": self.has_classifier, "weights": None, "input_shape": (*size, 3)}
        return builder(**{**given, **options})

    def _build_published(self, name: str, size: tuple[int, int]) -> Any:
        # Keras chooses the file of some networks by the size asked for: hence at the own size first, then carried.
        with explained_loading(self.name, name, self.published_file, with_classifier=self.has_classifier):
            published = self._build_network(self.image_size, weights=name)
        if size == self.image_size and not self._is_efficientnet:
            return published
        model = self._build_network(size)
        carry_weights(published, model)
        return model

    def _build_from_file(self, path: Path, size: tuple[int, int]) -> Any:
        model = self._build_network(size)

        def build_with_top(n_classes: int) -> Any:
            return self._build_network(self.image_size, include_top=True, classes=n_classes)

        load_weights(model, path, self.name, None if self.has_classifier else build_with_top, self.published_file)
        if self._is_efficientnet:
            fold_efficientnet_rescaling(model, path, self._resolve_builder())
        return model

    @property
    def _is_efficientnet(self) -> bool:
        return isinstance(self.builder, str) and self.builder.startswith("keras.applications.EfficientNetB")

    def _resolve_builder(self) -> Callable[..., Any]:
        if callable(self.builder):
            return self.builder
        return operator.attrgetter(self.builder.removeprefix("keras."))(import_keras())

    def _resolve_weights(self, weights: Any) -> str | Path | WeightsFile | None:
        """Tell published weights (their name), files, and random ones (None) apart."""
        weights = self.choose_weights(weights)
        if weights is None or isinstance(weights, WeightsFile):
            return weights
        if isinstance(weights, UnsavedWeights):
            raise ValueError(
                "A saved model that was fine-tuned holds its trained weights, not its initial ones. To fit it again, "
                f"set the parameter weights: to the file with the SHA-256 {weights.sha256}, or to other weights."
            )
        if weights == "pretrained" and self.weights:
            return self.weights[0]
        if isinstance(weights, str) and weights in self.weights:
            return weights
        if (path := as_weights_path(weights)) is not None:
            return path
        published = [f'"pretrained" (or {" or ".join(map(repr, self.weights))})'] if self.weights else []
        accepted = "; ".join([*published, "the path of a .weights.h5 or .h5 file", "None for random ones"])
        raise ValueError(f"{self.name} has no weights {weights!r}; expected {accepted}.")


# Remembered, as building takes seconds and transformers ask every time.
@lru_cache(maxsize=32)
def _built_digest(backbone: Backbone) -> str:
    return model_digest(backbone.build(weights=None))
