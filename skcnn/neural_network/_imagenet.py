"""ImageNetClassifier: a published network with the classifier that it was trained with, which needs no fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions

from skcnn._image_input import ImageInputMixin
from skcnn._keras import import_keras, pinned
from skcnn._labels import accuracy
from skcnn._text import did_you_mean, listing
from skcnn._training import shared_features
from skcnn.backbones import as_backbone, scale_pixels
from skcnn.feature_extraction import BottleneckFeatures, feature_network
from skcnn.images import RESIZE_RULES, Images, as_image_size, remembered
from skcnn.neural_network._imagenet_classes import imagenet_classes
from skcnn.neural_network._predictions import a_class_for_each_row, check_k, top_k
from skcnn.neural_network._rows import check_labels

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

    from skcnn.backbones import Backbone, Weights
    from skcnn.cache import FeatureCache

#: How far the probabilities of an image may be from 1 in sum, as bfloat16 rounds them.
_TOLERANCE = 0.1


class ImageNetClassifier(ImageInputMixin, ClassifierMixin, BaseEstimator):
    """Classifier of images into the 1,000 classes of ImageNet, by a published network as it is.

    It needs no ``fit``: the network of ``keras.applications`` is used with the classifier that it was trained with. For
    classes of your own, use :class:`~skcnn.feature_extraction.BottleneckFeatures` or :class:`CNNClassifier`.

    Parameters
    ----------
    backbone : str, keras.Model or path, default="MobileNetV2"
        A network of ``keras.applications`` by its name in :func:`skcnn.backbones.list_backbones`; or a Keras model,
        or the path of one (``.keras``), from pixels in [0, 255] to the probabilities of the 1,000 classes, in Keras's
        order. The default is small (14 MB) and quick on a CPU.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        ``"pretrained"`` or ``"imagenet"``: the published ones, downloaded at first use. The file is the one with the
        classifier, and another one than that of :class:`~skcnn.feature_extraction.BottleneckFeatures`. The path of a
        ``.h5`` or ``.weights.h5`` file, saved with the classifier. None: random ones, for tests. A dict has these by
        the names of backbones.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to. None is the size that the network was trained at. The classifiers of
        VGG16 and VGG19 take no other one.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios: see :func:`skcnn.images.resize_image`. ``"stretch"`` keeps all of the
        image and all of the network's input.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from. None is the current folder.
    batch_size : int or None, default=None
        Images that go through the network together. None is 32 on a CPU; on a GPU it is found by trial.
    precision : {"float32", "bfloat16"}, default="float32"
        What the network computes in. ``"bfloat16"`` is faster on processors that support it, but less precise:
        MobileNetV2's highest probability changes by about 0.03.
    engine : {"auto", "keras", "openvino"}, default="auto"
        What runs the network: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    cache : {"memory"}, path-like, FeatureCache or None, default="memory"
        Where probabilities are kept by the content of the image, so that an image goes through the network once: see
        :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    on_error : {"raise", "nan"}, default="raise"
        How ``predict_proba`` handles rows without an image. ``"raise"``: a :class:`~skcnn.images.BadImageError` that
        names them all. ``"nan"``: a row of NaN each, and one :class:`~skcnn.images.BadImageWarning`. The other methods
        raise in any case.
    max_pixels : int or None, default=None
        Images with more pixels are rejected before they are decoded. None is Pillow's limit, about 89 million.
    n_jobs : int or None, default=None
        Number of processes: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar of the images that go through the network. "auto" shows one in a terminal or a
        notebook where the job takes longer than 5 seconds, 1 from the first image on, 0 never.

    Attributes
    ----------
    classes_ : ndarray of shape (1000,), str
        Names of the classes, in the order of the network's outputs: the first word of each class in WordNet, such as
        "great white shark". Two names belong to two classes each: the identifier follows in brackets there, as in
        "crane (n02012849)", the bird, and "crane (n03126707)", the machine.
    wnids_ : ndarray of shape (1000,), str
        WordNet identifiers of the classes, such as "n01484850", in the same order.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.
    model_ : keras.Model
        The network, from pixels (n, height, width, 3) in [0, 255] to probabilities (n, 1000). Built at each access.

    See Also
    --------
    skcnn.backbones.fetch_weights : Download weights before they are needed.
    CNNClassifier : A network with classes of your own.

    References
    ----------
    O. Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", International Journal of Computer
    Vision 115, 2015, section 3.1 (the classes).

    Examples
    --------
    >>> from skcnn.neural_network import ImageNetClassifier
    >>> classifier = ImageNetClassifier("MobileNetV2")
    >>> [str(name) for name in classifier.classes_[:3]]
    ['tench', 'goldfish', 'great white shark']

    With its weights (here random ones):

    >>> import numpy as np
    >>> images = np.zeros((2, 32, 32, 3), dtype="uint8")
    >>> classifier = ImageNetClassifier("MobileNetV3Small", weights=None, image_size=32)
    >>> classifier.predict_proba(images).shape
    (2, 1000)
    >>> classifier.predict_top_k(images, k=3).columns.tolist()
    ['wnid', 'class', 'probability']
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "backbone": "no_validation",  # as_backbone says more
        "weights": "no_validation",
        "image_size": "no_validation",
        "resize": [StrOptions(set(RESIZE_RULES))],
        "root": "no_validation",
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "precision": "no_validation",  # these three are checked by BottleneckFeatures
        "engine": "no_validation",
        "cache": "no_validation",
        "on_error": [StrOptions({"raise", "nan"})],
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
        *,
        weights: Weights = "pretrained",
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        root: str | os.PathLike[str] | None = None,
        batch_size: int | None = None,
        precision: str = "float32",
        engine: str = "auto",
        cache: str | os.PathLike[str] | FeatureCache | None = "memory",
        on_error: str = "raise",
        max_pixels: int | None = None,
        n_jobs: int | None = None,
        verbose: int | str = "auto",
    ):
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.resize = resize
        self.root = root
        self.batch_size = batch_size
        self.precision = precision
        self.engine = engine
        self.cache = cache
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.n_jobs = n_jobs
        self.verbose = verbose

    @property
    def classes_(self) -> np.ndarray:
        """Names of the classes, in the order of the network's outputs."""
        return imagenet_classes()[0]

    @property
    def wnids_(self) -> np.ndarray:
        """WordNet identifiers of the classes, in the order of the network's outputs."""
        return imagenet_classes()[1]

    def fit(self, X: Any, y: Any = None) -> ImageNetClassifier:
        """Check the parameters and the form of X; nothing is learned and no image is decoded.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : ignored
            For the API of scikit-learn: the classes are those of ImageNet.

        Returns
        -------
        self : ImageNetClassifier

        Raises
        ------
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter or X is invalid, or if the network was not trained on ImageNet.
        """
        images = self._check_input(X, reset=True)
        self._network("raise").fit(images)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples, 1000), float64
            Columns in the order of ``classes_``; rows sum to 1. NaN for rows without an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter or X is invalid, if the network was not trained on ImageNet, or if a Keras model of the
            user's gives something else than probabilities.
        OSError
            If weights are missing; the message says which file, and where it is looked for.
        """
        return self._probabilities(X, self.on_error)

    def predict(self, X: Any) -> np.ndarray:
        """Return the name of the most probable class.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), str
            Names of ``classes_``.

        Raises
        ------
        BadImageError
            If rows have no image, whatever ``on_error`` is: there is no class for "no image".
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter or X is invalid, if the network was not trained on ImageNet, or if a Keras model of the
            user's gives something else than probabilities.
        OSError
            If weights are missing; the message says which file, and where it is looked for.
        """
        return self.classes_[self._probabilities_of_all(X).argmax(axis=1)]

    def predict_top_k(self, X: Any, k: int = 5) -> pd.DataFrame:
        """Return the k most probable classes of each image.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        k : int, default=5
            Number of classes. 5 is the usual number for ImageNet.

        Returns
        -------
        DataFrame of shape (n_samples * k, 3)
            Columns ``wnid``, ``class`` (the name in ``classes_``) and ``probability``; the index has the levels ``row``
            (the index of X where it is a frame or a Series, its position otherwise) and ``rank`` (from 1).

        Raises
        ------
        BadImageError
            If rows have no image, whatever ``on_error`` is.
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If ``k`` is less than 1, if a parameter or X is invalid, if the network was not trained on ImageNet, or if a
            Keras model of the user's gives something else than probabilities.
        OSError
            If weights are missing; the message says which file, and where it is looked for.
        """
        check_k(k)
        return top_k(X, self._probabilities_of_all(X), k, {"wnid": self.wnids_, "class": self.classes_})

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of :meth:`predict`.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,)
            True classes: names of ``classes_``, or identifiers of ``wnids_``.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the samples.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        BadImageError
            If rows have no image, whatever ``on_error`` is.
        ValueError
            If y does not fit X or has other classes than those of ImageNet, and as :meth:`predict_proba` does.
        """
        names = self._names(check_labels(y, len(self._check_input(X, reset=False))))
        return accuracy(names, self.predict(X), sample_weight)

    def _names(self, y: np.ndarray) -> np.ndarray:
        """Return true classes as names."""
        name_of = dict(zip(self.wnids_.tolist(), self.classes_.tolist(), strict=True))
        name_of |= {name: name for name in self.classes_.tolist()}
        given = y.tolist()
        if unknown := sorted({str(label) for label in given if label not in name_of}):
            names = self.classes_.tolist()
            same_word = " or ".join(repr(name) for name in names if name.startswith(f"{unknown[0]} ("))
            hint = f" Did you mean {same_word}?" if same_word else did_you_mean(unknown[0], names)
            raise ValueError(
                f"y contains classes that ImageNet does not have. Got {listing(map(repr, unknown))}; expected names of "
                f"classes_, or identifiers of wnids_.{hint}"
            )
        return np.array([name_of[label] for label in given])

    @property
    def model_(self) -> keras.Model:
        """A plain Keras model, from raw pixels to probabilities."""
        network = feature_network(self._network("raise"))
        with pinned():
            pixels = import_keras().Input((*network.image_size, 3), name="pixels")
            whole = import_keras().Model(network.network.inputs, network.features)
            return import_keras().Model(pixels, whole(scale_pixels(pixels, network.backbone.preprocessing)))

    def _network(self, on_error: str) -> BottleneckFeatures:
        """Return the network with its classifier, as a transformer from images to probabilities."""
        size = None if self.image_size is None else as_image_size(self.image_size)
        network = BottleneckFeatures(
            as_backbone(self.backbone, image_size=size).with_classifier(),
            weights=self.weights,
            pooling=None,
            image_size=self.image_size,
            resize=self.resize,
            batch_size=self.batch_size,
            precision=self.precision,
            engine=self.engine,
            cache=self.cache,
            on_error=on_error,
            max_pixels=self.max_pixels,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        return network.set_output(transform="default")

    def _probabilities(self, X: Any, on_error: str) -> np.ndarray:
        images = self._check_input(X, reset=False)
        return remembered(self, images, lambda: self._computed_probabilities(images, on_error))

    def _computed_probabilities(self, images: Images, on_error: str) -> np.ndarray:
        outputs = self._network(on_error).transform(images).astype(np.float64)
        sums = outputs.sum(axis=1, keepdims=True)
        known = ~np.isnan(sums[:, 0])
        if (np.abs(sums[known] - 1) > _TOLERANCE).any() or (outputs[known] < 0).any():
            raise ValueError(
                f"backbone={self.backbone!r} does not give probabilities: outputs are negative, or do not sum to 1; "
                "expected a model that ends in a softmax."
            )
        return outputs / sums

    def _probabilities_of_all(self, X: Any) -> np.ndarray:
        """Return probabilities for a method that has no answer for a row without an image, whatever ``on_error`` is."""
        with a_class_for_each_row():
            return self._probabilities(X, "raise")

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise; what they stand for goes into ``members``."""
        return shared_features(self.get_params(deep=False)).__skcnn_pack__(members)

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were."""
        return shared_features(self.get_params(deep=False)).__skcnn_unpack__(members)

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that nothing needs a ``fit``."""
        return True

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that tell scikit-learn that it needs no ``fit`` and no y, and learns nothing from them."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.target_tags.required = False
        tags.classifier_tags.poor_score = True
        return tags
