"""TripletEmbedding: a network whose vectors of images of one person are near each other."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn._training import SCHEDULES, Progress, Weights, keras_as_data, keras_from_data
from skcnn.backbones import as_backbone
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import RESIZE_RULES, as_image_size, fetched_once, warn_if_shrunk
from skcnn.metric_learning._identities import checked_identities
from skcnn.metric_learning._losses import LOSSES, MININGS
from skcnn.metric_learning._network import Design, apply_head, initial_head
from skcnn.metric_learning._phases import Examples, check_people, train_embedding
from skcnn.metrics import identity_pairs

if TYPE_CHECKING:
    import keras

    from skcnn.backbones import Backbone
    from skcnn.backbones import Weights as BackboneWeights
    from skcnn.cache import FeatureCache

#: Components that a file may ask for.
_MAX_COMPONENTS = 2**14

#: Variance of unit vectors below which they are all the same.
_COLLAPSED = 0.05


class TripletEmbedding(ImageInputMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Embedding of images, learned with identities: images of one person get near vectors, those of others far ones.

    A pretrained network gets a head that gives unit vectors. Each batch has a few images each of a few people, and the
    loss asks that an image is nearer to others of its person than to those of all others, by a margin. In the first
    phase the head is trained, on features that are computed once per image; in the second layers are unfrozen, and the
    layers before them run once per image as well. The head begins with the principal axes of the centred features: so
    an embedding that is not trained at all compares features by their centred cosine.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="MobileNetV2"
        The network, see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        Its initial weights.
    layer : str, int or None, default=None
        Last layer of the network that is used; None is the last one before the classifier. For what the network was not
        trained for, such as faces, earlier layers may be better.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to. None is the size that the network was trained at.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios.
    pooling : {"avg", "max"} or None, default="avg"
        Pooling of the layer's feature map; None flattens it.
    n_components : int, default=128
        Length of the vectors.
    loss : {"triplet", "contrastive"}, default="triplet"
        ``"triplet"`` compares an anchor's distances to an image of the same person and to one of another.
        ``"contrastive"`` draws pairs of one person together, and pushes those of two apart up to the margin.
    mining : {"semi-hard", "hard"}, default="semi-hard"
        Which triplets of a batch count. ``"semi-hard"``: of each pair of one person the nearest other image that is
        farther than that [1]_. ``"hard"``: of each image the farthest one of its person and the nearest one of others
        [2]_; vectors may collapse. Without effect on ``"contrastive"``.
    margin : float, default=0.2
        How much nearer: of squared distances, as published [1]_. With ``"contrastive"`` the distance up to which pairs
        are pushed apart; 1 is usual there.
    head_epochs : int, default=20
        Epochs of the first phase.
    head_learning_rate : float, default=1e-3
        Learning rate of the first phase.
    epochs : int, default=20
        Epochs of the second phase. They are short: frozen layers run once per image.
    learning_rate : float, default=1e-4
        Learning rate of the second phase.
    unfreeze : str, int, float or None, default=0.5
        Layers that are trained in the second phase: see :class:`~skcnn.neural_network.CNNClassifier`. Those behind
        ``layer`` are left out.
    identities_per_batch : int, default=8
        People per batch, >= 2.
    images_per_identity : int, default=4
        Images of each, >= 2; fewer where a person has fewer.
    learning_rate_schedule : {"constant", "cosine", "plateau"}, default="cosine"
        Schedule within a phase.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        Each phase starts with a new one of this configuration.
    cache : "memory", path or None, default="memory"
        Where to cache features: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    on_error : {"raise", "nan"}, default="raise"
        How to handle rows without an image: raise an error that names them all; or warn, train without them, and give
        vectors of NaN for them.
    max_pixels : int or None, default=None
        Images with more pixels are bad rows; None is Pillow's limit.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights and batches. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook where a phase takes longer than 5 seconds. 0 shows
        nothing, 1 Keras's progress bar, 2 one line per epoch.

    Attributes
    ----------
    history_ : DataFrame of shape (n_epochs, 5)
        One row per epoch: "phase" ("head" or "fine"), "epoch" (from 1), "loss", "spread" (variance of the unit vectors
        of a batch, in [0, 1]: 0 where all are the same) and "learning_rate" at the end of the epoch.
    n_iter_ : int
        Number of epochs, of both phases.
    n_identities_ : int
        People in the training set.
    model_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255] to unit vectors: scaling is inside. Built at each access.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    Warns
    -----
    UserWarning
        If there are fewer people than ``identities_per_batch``.
    ConvergenceWarning
        If the vectors of all images become the same (collapse).

    See Also
    --------
    FaceVerifier : Learns a threshold of the distances.

    Notes
    -----
    Some dozens of people are few: the head learns whom it is shown, and may be worse on others than it began. Compare
    with ``head_epochs=0, epochs=0``, by cross-validation over people; ``benchmarks/README.md`` does.

    References
    ----------
    .. [1] F. Schroff, D. Kalenichenko and J. Philbin, "FaceNet: a unified embedding for face recognition and
       clustering", CVPR 2015, section 3.
    .. [2] A. Hermans, L. Beyer and B. Leibe, "In defense of the triplet loss for person re-identification",
       arXiv:1703.07737, 2017, section 2.
    .. [3] R. Hadsell, S. Chopra and Y. LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006,
       section 2.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.metric_learning import TripletEmbedding
    >>> X, y = load_digit_images(return_X_y=True)
    >>> embedding = TripletEmbedding("ResNet20", n_components=16, head_epochs=5, epochs=0, random_state=0)
    >>> embedding.fit(X[:200], y[:200]).transform(X[200:203]).shape
    (3, 16)
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "backbone": "no_validation",  # resolved by as_backbone, with better messages
        "weights": "no_validation",
        "layer": [str, Integral, None],
        "image_size": "no_validation",
        "resize": [StrOptions(set(RESIZE_RULES))],
        "pooling": [StrOptions({"avg", "max"}), None],
        "n_components": [Interval(Integral, 1, _MAX_COMPONENTS, closed="both")],
        "loss": [StrOptions(set(LOSSES))],
        "mining": [StrOptions(set(MININGS))],
        "margin": [Interval(Real, 0, None, closed="neither")],
        "head_epochs": [Interval(Integral, 0, None, closed="left")],
        "head_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "epochs": [Interval(Integral, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "unfreeze": "no_validation",
        "identities_per_batch": [Interval(Integral, 2, None, closed="left")],
        "images_per_identity": [Interval(Integral, 2, None, closed="left")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "optimizer": "no_validation",
        "cache": "no_validation",
        "root": "no_validation",
        "on_error": [StrOptions({"raise", "nan"})],
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    _weights: Weights
    _history: list[dict[str, Any]]

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
        *,
        weights: BackboneWeights = "pretrained",
        layer: str | int | None = None,
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        pooling: str | None = "avg",
        n_components: int = 128,
        loss: str = "triplet",
        mining: str = "semi-hard",
        margin: float = 0.2,
        head_epochs: int = 20,
        head_learning_rate: float = 1e-3,
        epochs: int = 20,
        learning_rate: float = 1e-4,
        unfreeze: str | float | None = 0.5,
        identities_per_batch: int = 8,
        images_per_identity: int = 4,
        learning_rate_schedule: str = "cosine",
        optimizer: str | keras.optimizers.Optimizer = "adam",
        cache: str | os.PathLike[str] | FeatureCache | None = "memory",
        root: str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        max_pixels: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = "auto",
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.image_size = image_size
        self.resize = resize
        self.pooling = pooling
        self.n_components = n_components
        self.loss = loss
        self.mining = mining
        self.margin = margin
        self.head_epochs = head_epochs
        self.head_learning_rate = head_learning_rate
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.unfreeze = unfreeze
        self.identities_per_batch = identities_per_batch
        self.images_per_identity = images_per_identity
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizer = optimizer
        self.cache = cache
        self.root = root
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Train head, then open layers.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,)
            Identities.

        Returns
        -------
        TripletEmbedding
            Itself.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        ValueError
            If a parameter or X is invalid, there are fewer than two people, none has two images, or training diverged.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            for name in ("_token", "_trained_features"):
                self.__dict__.pop(name, None)
            names, codes = checked_identities(images, y)
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            design = self._design()
            if self.image_size is None:
                warn_if_shrunk(images, design.image_size, design.backbone.name)
            features = self._extractor(self.on_error).transform(images)
            rows = np.flatnonzero(~np.isnan(features).all(axis=1))
            check_people(codes[rows], int(self.identities_per_batch))
            progress = Progress(weights={"head": initial_head(features[rows], design.n_components, self._seed)})
            examples = Examples(images, features, codes, rows)
            train_embedding(self, examples, design, self._extractor("nan"), self._seed, progress)
            self._weights, self._history = progress.weights, progress.history
            self._form, self.n_identities_, self.n_iter_ = self._shape(design), len(names), len(progress.history)
            self._token = uuid.uuid4().hex
        if self._history and (last := self._history[-1]["spread"]) < _COLLAPSED:
            warnings.warn(
                f"The vectors collapsed: after the last epoch their variance is {last:.2g}, of at most 1. Use "
                "mining='semi-hard', a smaller learning rate, or more people per batch.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the vectors of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples, n_components), float32
            Of length 1; NaN for rows without an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        ValueError
            If a parameter that determines the network was changed after ``fit``.
        """
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        if "base" in self._weights:
            return np.asarray(self._trained().transform(images))
        design = self._design()
        for name, value in self._shape(design).items():
            if value != self._form[name]:
                raise ValueError(
                    f"{name} was changed after fit to {getattr(self, name)!r}; the trained weights are those of "
                    "another network. Call fit again, or restore the parameter."
                )
        return apply_head(self._extractor(self.on_error).transform(images), self._weights["head"])

    def score(self, X: Any, y: Any) -> float:
        """Return the area under the ROC curve of all pairs of images: whether both are of one person.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,)
            Identities.

        Returns
        -------
        float
            In [0, 1]; 0.5 is chance.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        ValueError
            If shapes differ, or there are no pairs of one person or of two.
        """
        vectors = self.transform(X)
        _, codes = checked_identities(vectors, y)
        kept = ~np.isnan(vectors).any(axis=1)
        pairs, is_same = identity_pairs(codes[kept])
        if not 0 < is_same.sum() < len(is_same):
            raise ValueError("y has no pairs of one person, or none of two; expected both.")
        found = vectors[kept]
        return float(roc_auc_score(is_same, np.einsum("ij,ij->i", found[pairs[:, 0]], found[pairs[:, 1]])))

    @property
    def model_(self) -> Any:
        """A plain Keras model with the trained weights, from raw pixels to unit vectors."""
        check_is_fitted(self)
        return self._design().plain(self._weights.get("base"), self._weights["head"])

    @property
    def history_(self) -> pd.DataFrame:
        """One row per epoch: phase, epoch, loss, spread of the vectors and learning rate."""
        check_is_fitted(self)
        return pd.DataFrame(self._history)

    @property
    def _n_features_out(self) -> int:
        return len(self._weights["head"][1])

    def _design(self) -> Design:
        size = None if self.image_size is None else as_image_size(self.image_size)
        backbone = as_backbone(self.backbone, image_size=size)
        return Design(
            backbone=backbone,
            weights=self.weights,
            layer=backbone.layers[-1].name if self.layer is None else backbone.layer_name(self.layer),
            image_size=size or backbone.image_size,
            pooling=self.pooling,
            n_components=int(self.n_components),
            seed=self._seed,
        )

    @staticmethod
    def _shape(design: Design) -> dict[str, Any]:
        """Return the parameters that features depend on."""
        return {
            "backbone": design.backbone.name,
            "weights": design.backbone.weights_id(design.weights, design.seed),
            "layer": design.layer,
            "image_size": list(design.image_size),
            "pooling": design.pooling,
        }

    def _extractor(self, on_error: str) -> BottleneckFeatures:
        """Return the transformer that computes the features of the untrained network."""
        features = BottleneckFeatures(
            self.backbone,
            weights=self.weights,
            layers=None if self.layer is None else self.layer,
            pooling=self.pooling,
            image_size=self.image_size,
            resize=self.resize,
            cache=self.cache,
            on_error=on_error,
            max_pixels=self.max_pixels,
            random_state=self._seed,
            verbose="auto" if self.verbose == "auto" else min(int(self.verbose), 1),
        )
        return features.set_output(transform="default")

    def _trained(self) -> BottleneckFeatures:
        """Return the transformer that runs the trained network: with engines and cache, as any network."""
        if "_trained_features" not in self.__dict__:
            self._trained_features = BottleneckFeatures(self.model_).set_output(transform="default")
        return self._trained_features.set_params(
            resize=self.resize,
            cache=self.cache,
            on_error=self.on_error,
            max_pixels=self.max_pixels,
            verbose="auto" if self.verbose == "auto" else min(int(self.verbose), 1),
        )

    def _stored_features(self) -> BottleneckFeatures:
        """Return a transformer with the parameters that are stored as its own are."""
        return BottleneckFeatures(self.backbone, weights=self.weights, image_size=self.image_size, cache=self.cache)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and for a saved file: without the network, which the weights are of."""
        return {name: value for name, value in super().__getstate__().items() if name != "_trained_features"}

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise; what they stand for goes into ``members``."""
        stored = {"optimizer": keras_as_data(self.optimizer, "optimizer"), "_trained_features": None}
        return self._stored_features().__skcnn_pack__(members) | stored

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were, once the sizes are known to fit."""
        if self.__sklearn_is_fitted__():
            head = self._weights["head"]
            sizes = [part.shape for part in head]
            if len(head) != 2 or len(sizes[0]) != 2 or sizes[1] != sizes[0][1:] or sizes[0][1] > _MAX_COMPONENTS:
                raise ValueError(f"the head of the embedding has the sizes {sizes}; expected a kernel and a bias")
            if type(self.n_components) is not int or self.n_components != sizes[0][1]:
                raise ValueError(f"n_components is {self.n_components!r}, and the head has {sizes[0][1]}")
        given = self._stored_features().__skcnn_unpack__(members)
        return given | {"optimizer": keras_from_data(self.optimizer, "optimizer")}

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there are weights, for scikit-learn."""
        return hasattr(self, "_token")

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        tags.transformer_tags.preserves_dtype = []
        tags.target_tags.required = True
        return tags
