"""One object per image: its class and its box."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.utils._param_validation import Interval, StrOptions

from skcnn._keras import import_keras
from skcnn._training import Objective
from skcnn.backbones import Backbone, Weights
from skcnn.boxes import COORDINATES, BoxArrays
from skcnn.cache import FeatureCache
from skcnn.detection._base import BaseBoxNetwork
from skcnn.detection._examples import Objects
from skcnn.detection._heads import LocalizerHead
from skcnn.detection._losses import BOX_LOSSES, box_similarity
from skcnn.metrics import localization_accuracy

if TYPE_CHECKING:
    import keras

#: Least side of a predicted box, in pixels of the upright image.
_LEAST_SIDE = 1.0

#: Maps that the head takes: as coarse as there are, which have seen the most of an image.
_N_MAPS = 2


class CNNLocalizer(BaseBoxNetwork):
    """Class and box of the one object of an image, by a new head on a pretrained network.

    Every cell of the network's last maps guesses the box, and the guesses are averaged with weights that are learned as
    well (attention), so that the cells that see the object decide. The network stays as it is unless ``epochs`` > 0:
    each image, and its mirror image, goes through it once, however many epochs, folds and candidates of a search there
    are.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="MobileNetV2"
        The network: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        Its weights: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to. None is the size that the network was trained at.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios: see :func:`skcnn.images.resize_image`. ``"stretch"`` cuts nothing off.
    n_channels : int, default=128
        Channels of the head's convolutions.
    box_loss : {"mse", "mae", "iou", "giou", "diou", "ciou"}, default="giou"
        Error of boxes: of the centre and the square root of width and height, all in [0, 1], or by the intersection
        over union: see Notes.
    box_weight : float in [0, 1], default=0.8
        Weight of the loss of boxes; that of classes has the rest.
    head_epochs : int, default=40
        Epochs that train the head, with the network frozen.
    head_learning_rate : float, default=1e-3
        Learning rate of these epochs.
    epochs : int, default=0
        Epochs that train the open layers of the network as well.
    learning_rate : float, default=3e-5
        Learning rate of these epochs.
    unfreeze : str, int, float or None, default=0.5
        Layers that are open in these epochs: see :class:`~skcnn.neural_network.CNNClassifier`.
    learning_rate_schedule : {"constant", "cosine", "plateau", "warmup_cosine"}, default="cosine"
        How learning rates decay within a phase.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        Without a learning rate schedule of its own.
    flips : {"horizontal", "both"} or None, default="horizontal"
        Mirror images that are trained on as well: left and right, or also top and bottom. They go through the frozen
        layers once each.
    augmentation : {"light", "standard"}, keras layer, list of layers or None, default=None
        Random changes of images in training, which move boxes, too. The network then runs in every epoch, unless
        ``augmentation_views`` is given.
    augmentation_views : int or None, default=None
        Number of changed views of each image, which are kept, so that frozen layers run once per view. None changes
        images again in each epoch.
    early_stopping : bool, default=False
        Split off a validation set, end a phase when its loss has not fallen for ``n_iter_no_change`` epochs, and
        restore the weights of the best epoch.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the images in the validation set. Only used if ``early_stopping=True``.
    n_iter_no_change : int, default=5
        Number of epochs without improvement before a phase ends.
    batch_size : int, default=16
        Images per step.
    test_time_flips : bool, default=False
        Whether ``predict`` averages over the mirror images of ``flips``.
    cache : "memory", path, FeatureCache or None, default="memory"
        Where results of fits are kept, so that the same fit, with an integer ``random_state``, is not repeated. What
        frozen layers give is in :func:`~skcnn.cache.activation_cache`; with None it is forgotten after the fit.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    max_pixels : int or None, default=None
        Images with more pixels are refused; None is Pillow's limit.
    checkpoint : path-like or None, default=None
        Folder where a run saves its state after every epoch, so that a killed one resumes when ``fit`` is called again
        with the same parameters and data. Needs an int as ``random_state``.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, order, augmentation and the validation set. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar where a phase takes longer than 5 seconds. 0 shows nothing, 1 Keras's progress bar,
        2 one line per epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), object
        Labels of boxes.
    image_size_ : tuple of (height, width)
        Size in pixels that images are resized to.
    model_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255] to (n, 4 + n_classes): centre and square root of width and
        height in [0, 1], and logits of the classes; one more for "no object" if ``fit`` saw images without one. Built
        at each access.
    history_ : DataFrame of shape (n_epochs, n_columns)
        One row per epoch: ``phase`` ("head", "fine"), ``epoch`` (from 1), ``loss``, ``learning_rate`` at the end of the
        epoch, and with early stopping ``val_loss``.
    n_iter_ : int
        Number of epochs, of all phases.
    best_epoch_ : int
        Number of the epoch that the weights are from.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    CNNDetector : Any number of objects per image.
    skcnn.metrics.mean_iou : How well boxes lie; :func:`skcnn.metrics.box_scorers` has it as a scorer.

    Notes
    -----
    Width and height are learned by their square roots, as in [1]_, where an error of a small box counts for more than
    the same error of a large one. Losses of the intersection over union do that by themselves.

    References
    ----------
    .. [1] J. Redmon, S. Divvala, R. Girshick and A. Farhadi, "You Only Look Once: Unified, Real-Time Object Detection",
       CVPR 2016, section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skcnn.detection import CNNLocalizer
    >>> X = np.zeros((12, 32, 32, 3), np.uint8)
    >>> corners = np.random.default_rng(0).integers(0, 17, (12, 2))
    >>> for image, (x, y) in zip(X, corners):
    ...     image[y : y + 16, x : x + 16] = 255
    >>> y = pd.DataFrame(np.hstack([corners, corners + 16]), columns=["xmin", "ymin", "xmax", "ymax"])
    >>> y.insert(0, "label", "square")
    >>> localizer = CNNLocalizer("ResNet20", head_epochs=60, head_learning_rate=0.01, random_state=0).fit(X, y)
    >>> list(localizer.predict(X[:2]).columns)
    ['label', 'xmin', 'ymin', 'xmax', 'ymax', 'score']
    """

    _of_prediction = ("test_time_flips",)

    # On heads of pets the mean IoU was 0.69, and 0.68 with the narrower ones.
    _takes_wide_maps = True

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **BaseBoxNetwork._parameter_constraints,
        "box_loss": [StrOptions({"mse", "mae", *BOX_LOSSES})],
        "box_weight": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
        *,
        weights: Weights = "pretrained",
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        n_channels: int = 128,
        box_loss: str = "giou",
        box_weight: float = 0.8,
        head_epochs: int = 40,
        head_learning_rate: float = 1e-3,
        epochs: int = 0,
        learning_rate: float = 3e-5,
        unfreeze: str | float | None = 0.5,
        learning_rate_schedule: str = "cosine",
        optimizer: str | keras.optimizers.Optimizer = "adam",
        flips: str | None = "horizontal",
        augmentation: str | keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        augmentation_views: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        batch_size: int = 16,
        test_time_flips: bool = False,
        cache: str | os.PathLike[str] | FeatureCache | None = "memory",
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = "auto",
    ):
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.resize = resize
        self.n_channels = n_channels
        self.box_loss = box_loss
        self.box_weight = box_weight
        self.head_epochs = head_epochs
        self.head_learning_rate = head_learning_rate
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.unfreeze = unfreeze
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizer = optimizer
        self.flips = flips
        self.augmentation = augmentation
        self.augmentation_views = augmentation_views
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.batch_size = batch_size
        self.test_time_flips = test_time_flips
        self.cache = cache
        self.root = root
        self.max_pixels = max_pixels
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X: Any) -> pd.DataFrame:
        """Return the class and the box of each image.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        DataFrame of shape (n_samples, 6)
            ``label, xmin, ymin, xmax, ymax, score``: boxes in pixels of the upright image; scores are the probability
            of the class, in [0, 1]. Without an object the label is None and the box NaN, and the score is the
            probability of that. :func:`~sklearn.model_selection.cross_val_predict` makes it an object array of the same
            columns, which metrics take as well.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If ``weights`` was changed after ``fit``.
        """
        images, sizes = self._checked(X)
        height, width = self.image_size_
        full = np.array([width, height, width, height], float)
        boxes, scores = np.full((len(images), 4), np.nan), np.empty(len(images))
        labels = np.full(len(images), None, dtype=object)
        for row, outputs, views in self._outputs(images):
            n = views.n_views
            seen = [
                views.boxes(row * n + view, _decoded(values[None, :4]) * full) for view, values in enumerate(outputs)
            ]
            probabilities = np.mean([softmax(values[4:].astype(float)) for values in outputs], axis=0)
            code = int(probabilities.argmax())
            scores[row] = probabilities[code]
            if code < len(self.classes_):
                box = self._geometry(sizes[row]).back(np.mean(seen, axis=0))[0]
                labels[row], boxes[row] = self.classes_[code], _inside(box, tuple(sizes[row]))
        table = {"label": pd.Series(labels, dtype=object), **dict(zip(COORDINATES, boxes.T, strict=True))}
        return pd.DataFrame({**table, "score": scores})

    def score(self, X: Any, y: Any) -> float:
        """Return the fraction of images whose label is right and whose box has an IoU of at least 0.5.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            True boxes, at most one per image.

        Returns
        -------
        float
            In [0, 1]: see :func:`skcnn.metrics.localization_accuracy`.

        Raises
        ------
        BadImageError
            If rows have no image.
        """
        return localization_accuracy(y, self.predict(X))

    def _check_boxes(self, boxes: BoxArrays) -> BoxArrays:
        counts = np.bincount(boxes.image, minlength=boxes.n_images)
        if (counts > 1).any():
            row = int(np.argmax(counts > 1))
            raise ValueError(
                f"Image {row} of y has {counts[row]} boxes; expected at most one per image. CNNDetector finds any "
                "number."
            )
        return boxes

    def _learn_form(self, objects: Objects) -> None:
        self._has_empty = len(objects.codes) < len(objects)
        self._maps = self._strides()[-_N_MAPS:]
        if not self._maps:
            raise ValueError(
                f"The network {self._backbone().name!r} has no feature map that divides images of {self.image_size_} "
                "evenly; expected another image_size, or another backbone."
            )

    def _map_strides(self) -> tuple[int, ...]:
        return self._maps

    def _head(self, image_size: tuple[int, int]) -> LocalizerHead:
        return LocalizerHead(len(self.classes_) + self._has_empty, int(self.n_channels))

    def _check_head(self, n_weights: int) -> None:
        if 9 * self.n_channels**2 > n_weights:
            raise ValueError(f"n_channels={self.n_channels} asks for more than the {n_weights:,} weights of the head")

    def _encoder(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        height, width = self.image_size_
        no_object = len(self.classes_)

        def encode(boxes: np.ndarray, codes: np.ndarray) -> np.ndarray:
            if not len(boxes):
                return np.array([0, 0, 0, 0, no_object, 0], np.float32)
            left, top, right, bottom = boxes[0] / [width, height, width, height]
            size = np.sqrt([right - left, bottom - top])
            return np.array([(left + right) / 2, (top + bottom) / 2, *size, codes[0], 1], np.float32)

        return encode

    def _objective(self) -> Objective:
        kind, weight = self.box_loss, float(self.box_weight)

        def loss(true: Any, outputs: Any) -> Any:
            keras = import_keras()
            ops = keras.ops
            if kind in BOX_LOSSES:
                error = 1 - box_similarity(kind, _corners(outputs[:, :4]), _corners(true[:, :4]))[1]
            else:
                apart = outputs[:, :4] - true[:, :4]
                error = ops.mean(ops.square(apart) if kind == "mse" else ops.abs(apart), axis=-1)
            of_class = keras.losses.sparse_categorical_crossentropy(true[:, 4], outputs[:, 4:], from_logits=True)
            return weight * true[:, 5] * error + (1 - weight) * of_class

        return Objective(loss, ("localizer", kind, weight, self.image_size_))


def _corners(boxes: Any) -> Any:
    """Return ``xmin, ymin, xmax, ymax`` of boxes by centre and square root of width and height, as tensors."""
    ops = import_keras().ops
    half = ops.square(boxes[:, 2:]) / 2
    return ops.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=-1)


def _decoded(values: np.ndarray) -> np.ndarray:
    """Return the same of arrays, cut off at the image: in [0, 1]."""
    half = values[:, 2:].astype(float) ** 2 / 2
    return np.clip(np.hstack([values[:, :2] - half, values[:, :2] + half]), 0, 1)


def _inside(box: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return a box cut off at the edges of an image, of a side of a pixel at least."""
    edges = np.array([size[1], size[0]], float)
    low = np.clip(box[:2], 0, np.maximum(edges - _LEAST_SIDE, 0))
    return np.concatenate([low, np.clip(box[2:], low + np.minimum(_LEAST_SIDE, edges), edges)])
