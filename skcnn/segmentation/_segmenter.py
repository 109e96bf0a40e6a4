"""The class of each pixel, by a head on the feature maps of a pretrained network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from skcnn._text import counted, listing
from skcnn._training import FLIPS, Head, MapDesign, MapParts, Objective
from skcnn.backbones import Backbone, Weights
from skcnn.cache import FeatureCache
from skcnn.images import (
    BadImageError,
    BadRow,
    Colors,
    Geometry,
    Images,
    as_image_size,
    as_masks,
    bad_rows_frame,
)
from skcnn.metrics import mask_iou
from skcnn.segmentation._base import BaseSegmenter
from skcnn.segmentation._class_weights import class_weights
from skcnn.segmentation._heads import FCN_MAPS, FCNHead, UNetHead
from skcnn.segmentation._losses import LOSSES, mask_loss
from skcnn.segmentation._scores import mask_of, probabilities_of, whole_of
from skcnn.segmentation._windows import cut_windows, windows_of

if TYPE_CHECKING:
    import keras

#: Images that go through the network together in ``predict``, and pixels of windows, of one at least.
_AT_ONCE, _PIXELS_AT_ONCE = 8, 2**20

#: Least side of windows of images as they are.
_TILE = 768

_AXES = {"vertical": 0, "horizontal": 1}


class CNNSegmenter(BaseSegmenter):
    """Segmenter of images: the class of each pixel, by a new head on the feature maps of a pretrained network.

    The network itself is frozen unless ``epochs`` > 0: each image, and each of its mirror images, goes through it once,
    and the whole training, with all folds and candidates of a search, uses the stored maps.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="MobileNetV2"
        The network: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        Its weights: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    architecture : {"unet", "fcn8", "fcn16", "fcn32"}, default="unet"
        The head. ``"unet"`` joins all maps from the coarsest to the finest by convolutions [1]_. ``"fcn32"`` enlarges
        scores on the coarsest map, which has a stride of 32 in most networks; ``"fcn16"`` adds scores on the next finer
        map, and ``"fcn8"`` those on the one after [2]_. These are faster, but their edges are coarser.
    n_classes : int or None, default=None
        Number of classes: labels are 0 to ``n_classes - 1``, and others raise an error. None takes the labels in y,
        which may differ between folds.
    colors : mapping or sequence or None, default=None
        The colour of each class, if masks in y hold colours, or numbers that are not labels: see
        :func:`skcnn.images.as_masks`.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to for training; multiples of 32 suit most networks. None is the default
        size of the network.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios: see :func:`skcnn.images.resize_image`. Masks are resized in the same way,
        with nearest-neighbour interpolation. With ``"crop"``, ``predict`` still sees the whole image, in several
        windows.
    n_channels : int, default=64
        Channels of the head's convolutions; the U-Net has half of them at a stride of 2.
    n_convolutions : int, default=2
        3 x 3 convolutions at each stride of the U-Net: more of them enlarge the receptive field.
    loss : str, default="cross_entropy"
        ``"cross_entropy"``, ``"dice"``, ``"focal"``, ``"tversky"``, or a sum of them, such as ``"cross_entropy+dice"``.
        Losses of overlap (Dice, Tversky) suit small objects on a large background.
    class_weight : {"balanced"}, dict or None, default=None
        Weight of each class, by label. ``"balanced"``: inversely proportional to the number of its pixels. None: all
        weights are the same.
    focal_gamma : float, default=2.0
        How strongly the focal loss reduces the weight of easy pixels.
    tversky_beta : float, default=0.7
        Weight of false negative pixels in the Tversky loss, in [0, 1]; false positive pixels have the weight
        ``1 - tversky_beta``. 0.5 is Dice.
    head_epochs : int, default=12
        Epochs that train the head, with the network frozen.
    head_learning_rate : float, default=2e-3
        Learning rate of these epochs.
    epochs : int, default=0
        Epochs that also train the unfrozen layers of the network.
    learning_rate : float, default=1e-4
        Learning rate of these epochs.
    unfreeze : str, int, float or None, default=0.5
        Layers that are trained in these epochs: see :class:`~skcnn.neural_network.CNNClassifier`.
    learning_rate_schedule : {"constant", "cosine", "plateau", "warmup_cosine"}, default="cosine"
        How learning rates change within a phase: ``"cosine"`` decays to 0.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        Without a learning rate schedule of its own.
    flips : {"horizontal", "both"} or None, default="horizontal"
        Also train on mirrored images: left to right, or also top to bottom, which suits images without a natural
        orientation, such as microscope images.
    augmentation : {"light", "standard"}, keras layer, list of layers or None, default=None
        Random changes of training images, which are applied to their masks, too. The network then runs in every epoch,
        unless ``augmentation_views`` is given.
    augmentation_views : int or None, default=None
        Number of random views of each image that are drawn once and kept, so that frozen layers run once per view. None
        draws new views in each epoch.
    early_stopping : bool, default=False
        Split off a validation set, end a phase when its loss has not fallen for ``n_iter_no_change`` epochs, and
        restore the weights of the best epoch.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the images in the validation set. Only used if ``early_stopping=True``.
    n_iter_no_change : int, default=5
        Number of epochs without improvement before a phase ends.
    batch_size : int, default=8
        Images per step.
    predict_size : {"trained", "original"}, default="trained"
        Size of the images in ``predict``. ``"trained"``: they are resized as in training, so that objects have the same
        size as there. ``"original"``: they are not resized, and images larger than ``tile_size`` are predicted in
        windows of this size. This suits a segmenter that was trained on crops of large images.
    tile_size : int or None, default=None
        Side in pixels of the windows into which ``predict`` divides images that do not fit into one window, a multiple
        of 32 for most networks. None is ``image_size_``, and at least 768 for ``predict_size="original"``, unless the
        network takes only one size.
    tile_overlap : int or None, default=None
        Pixels at the edges of a window that only serve as context, and are predicted by the next window; less than half
        of its sides. The larger it is, the closer are masks at the seams to those of a single window. None is a quarter
        of the side: with 768 pixels, 0.9 % of the pixels at the seams then differed.
    test_time_flips : bool, default=False
        Whether ``predict`` averages over the mirror images of ``flips``, which takes two or four times as long.
    cache : "memory", path, FeatureCache or None, default="memory"
        Where results of fits are kept, so that the same fit, with an integer ``random_state``, is not repeated. The
        outputs of frozen layers are kept in :func:`~skcnn.cache.activation_cache`; with None, they are deleted after
        the fit.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X and y start from.
    max_pixels : int or None, default=None
        Images and masks with more pixels are refused; None is Pillow's limit.
    checkpoint : path-like or None, default=None
        Folder where a run saves its state after every epoch, so that a killed one resumes when ``fit`` is called again
        with the same parameters and data. Needs an int as ``random_state``.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, order, augmentation and the validation set. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar if a phase takes longer than 5 seconds. 0 shows nothing, 1 Keras's progress bar,
        2 one line per epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), uint8
        Labels.
    class_weight_ : ndarray of shape (n_classes,), float64
        Weight of each class.
    image_size_ : tuple of (height, width)
        Size in pixels that images are resized to.
    model_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255] to logits (n, height, width, n_classes). Built at each access.
    history_ : DataFrame of shape (n_epochs, n_columns)
        One row per epoch: ``phase`` ("head", "fine"), ``epoch`` (from 1), ``loss``, ``learning_rate`` at the end of the
        epoch, and with early stopping ``val_loss``.
    n_iter_ : int
        Number of epochs, in all phases together.
    best_epoch_ : int
        Number of the epoch that the weights are from.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    skcnn.metrics.mask_scorers : Scorers for cross-validation.
    skcnn.report.SegmentationReport : Where a segmenter makes errors.
    skcnn.datasets.load_mask_folder : Images and masks from two folders.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
       MICCAI 2015, section 2.
    .. [2] J. Long, E. Shelhamer and T. Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
       section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.segmentation import CNNSegmenter
    >>> X, y = np.zeros((12, 32, 32, 3), np.uint8), np.zeros((12, 32, 32), np.uint8)
    >>> for image, mask, (top, left) in zip(X, y, np.random.default_rng(0).integers(0, 17, (12, 2))):
    ...     image[top : top + 16, left : left + 16] = 255
    ...     mask[top : top + 16, left : left + 16] = 1
    >>> segmenter = CNNSegmenter("ResNet20", n_channels=16, batch_size=2, random_state=0).fit(X, y)
    >>> segmenter.predict(X)[0].shape
    (32, 32)
    >>> bool(segmenter.score(X, y) > 0.8)
    True
    """

    _of_prediction = ("predict_size", "tile_size", "tile_overlap", "test_time_flips")

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **BaseSegmenter._parameter_constraints,
        "architecture": [StrOptions({"unet", *FCN_MAPS})],
        "n_convolutions": [Interval(Integral, 1, 8, closed="both")],
        "loss": [str],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
        "tversky_beta": [Interval(Real, 0, 1, closed="both")],
        "predict_size": [StrOptions({"trained", "original"})],
        "tile_size": [Interval(Integral, 1, None, closed="left"), None],
        "tile_overlap": [Interval(Integral, 0, None, closed="left"), None],
        "test_time_flips": ["boolean"],
    }

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
        *,
        weights: Weights = "pretrained",
        architecture: str = "unet",
        n_classes: int | None = None,
        colors: Colors | None = None,
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        n_channels: int = 64,
        n_convolutions: int = 2,
        loss: str = "cross_entropy",
        class_weight: str | Mapping[int, float] | None = None,
        focal_gamma: float = 2.0,
        tversky_beta: float = 0.7,
        head_epochs: int = 12,
        head_learning_rate: float = 2e-3,
        epochs: int = 0,
        learning_rate: float = 1e-4,
        unfreeze: str | float | None = 0.5,
        learning_rate_schedule: str = "cosine",
        optimizer: str | keras.optimizers.Optimizer = "adam",
        flips: str | None = "horizontal",
        augmentation: str | keras.layers.Layer | list[keras.layers.Layer] | None = None,
        augmentation_views: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        batch_size: int = 8,
        predict_size: str = "trained",
        tile_size: int | None = None,
        tile_overlap: int | None = None,
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
        self.architecture = architecture
        self.n_classes = n_classes
        self.colors = colors
        self.image_size = image_size
        self.resize = resize
        self.n_channels = n_channels
        self.n_convolutions = n_convolutions
        self.loss = loss
        self.class_weight = class_weight
        self.focal_gamma = focal_gamma
        self.tversky_beta = tversky_beta
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
        self.predict_size = predict_size
        self.tile_size = tile_size
        self.tile_overlap = tile_overlap
        self.test_time_flips = test_time_flips
        self.cache = cache
        self.root = root
        self.max_pixels = max_pixels
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X: Any) -> np.ndarray:
        """Return the masks of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), object
            Masks (height, width), uint8: the label of each pixel of the upright image.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If a parameter is invalid, or one that decides the network was changed after ``fit``.
        """
        images, sizes = self._checked(X)
        masks = np.empty(len(images), object)
        if not self._has_windows:
            for row, scores in self._scores(images):
                masks[row] = mask_of(scores, self._geometry(sizes[row]), self.classes_)
            return masks
        for row, size, parts in self._parts(images, sizes):
            mask = np.empty(size, np.uint8)
            for place, scores in parts:
                mask[place] = self.classes_[scores.argmax(axis=-1)]
            masks[row] = Geometry.of_resize(_pair(sizes[row]), size).back_mask(mask)
        return masks

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class for each pixel.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), object
            Arrays (height, width, n_classes), float32, of the sizes of the upright images; classes in the order of
            ``classes_``. They take ``4 * n_classes`` bytes per pixel.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If a parameter is invalid, or one that decides the network was changed after ``fit``.
        """
        images, sizes = self._checked(X)
        found = np.empty(len(images), object)
        if not self._has_windows:
            for row, scores in self._scores(images):
                found[row] = whole_of(scores, self._geometry(sizes[row]))
            return found
        for row, size, parts in self._parts(images, sizes):
            scores = np.empty((*size, len(self.classes_)), np.float32)
            for place, values in parts:
                scores[place] = values
            found[row] = whole_of(scores, Geometry.of_resize(_pair(sizes[row]), size))
        return found

    def score(self, X: Any, y: Any) -> float:
        """Return the mean intersection over union of the classes, over all pixels together.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            True masks; pixels labelled 255 are ignored.

        Returns
        -------
        float
            In [0, 1]: see :func:`skcnn.metrics.mask_iou`.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If masks do not fit.
        """
        return mask_iou(as_masks(y, colors=self.colors, root=self.root), self.predict(X))

    def _trained_parts(self) -> tuple[MapDesign, MapParts]:
        """Return what decides the network, and network and head with the weights learned."""
        self._check_unchanged()
        design = self._design()
        return design, design.trained_parts(self._weights)

    def _head(self, image_size: tuple[int, int]) -> Head:
        n_classes, n_channels = len(self.classes_), int(self.n_channels)
        if self.architecture == "unet":
            return UNetHead(image_size, n_classes, n_channels, int(self.n_convolutions))
        return FCNHead(image_size, n_classes, n_channels)

    def _chosen_strides(self, available: tuple[int, ...]) -> tuple[int, ...]:
        if not available:
            raise ValueError(
                f"{self._backbone().name} has no feature maps whose sizes are fractions of image_size="
                f"{self.image_size_}. Use another size, such as a multiple of 32, or another network."
            )
        if self.architecture == "unet":
            return available
        n_maps = FCN_MAPS[self.architecture]
        if len(available) < n_maps:
            raise ValueError(
                f"architecture={self.architecture!r} takes maps of {n_maps} strides, and {self._backbone().name} has "
                f"those of {listing(map(str, available))}. Use 'unet', or another network."
            )
        return available[-n_maps:]

    def _check_head(self, n_weights: int) -> None:
        # The widest convolution alone, and the scores.
        if 9 * self.n_channels**2 > 16 * n_weights or not 2 <= len(self.classes_) <= 255:
            raise ValueError(
                f"n_channels={self.n_channels} and {len(self.classes_)} classes ask for another head than one of "
                f"{counted(n_weights, 'weight')}"
            )

    def _learn_class_weight(self, n_pixels: np.ndarray) -> None:
        self.class_weight_ = class_weights(self.class_weight, self.classes_.tolist(), n_pixels)

    def _objective(self) -> Objective:
        names = tuple(name.strip() for name in self.loss.split("+"))
        if not set(names) <= set(LOSSES) or len(set(names)) < len(names):
            raise ValueError(
                f"loss={self.loss!r}; expected {', '.join(map(repr, LOSSES))}, or a sum of these, such as "
                "'cross_entropy+dice'"
            )
        weights = tuple(self.class_weight_.tolist())
        gamma, beta = float(self.focal_gamma), float(self.tversky_beta)
        loss = mask_loss(names, len(weights), class_weight=weights, gamma=gamma, beta=beta)
        return Objective(loss, ("segmenter", *names, weights, gamma, beta))

    @property
    def _has_windows(self) -> bool:
        """Whether an image may take several windows."""
        return self.resize == "crop" or self.predict_size == "original"

    def _scores(self, images: Images) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each row and the probabilities of its pixels, (height, width, n_classes) of the network's size."""
        for row, outputs, views in self._outputs(images):
            scores = probabilities_of(outputs)
            first = row * views.n_views
            yield row, np.mean([views.mask(first + view, values) for view, values in enumerate(scores)], axis=0)

    def _parts(
        self, images: Images, sizes: np.ndarray
    ) -> Iterator[tuple[int, tuple[int, int], Iterator[tuple[Any, np.ndarray]]]]:
        """Yield each row, the size at which it is seen, and its parts: where they are, and their probabilities."""
        tile = self._tile
        overlap = min(tile) // 4 if self.tile_overlap is None else int(self.tile_overlap)
        if 2 * overlap >= min(tile):
            raise ValueError(f"tile_overlap={overlap}; expected less than half of the tiles' sides, {tile}.")
        design = self._design(tile)
        for row in range(len(images)):
            size = self._seen_size(_pair(sizes[row]))
            try:
                pixels = images.decode(row, size, max_pixels=self.max_pixels)
            except (OSError, TypeError, ValueError) as error:
                bad = BadRow(row, images.path(row), str(error))
                raise BadImageError(bad_rows_frame([bad]), len(images)) from None
            yield row, size, self._windows(pixels, design, overlap)

    def _windows(self, pixels: np.ndarray, design: MapDesign, overlap: int) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield places in an image, and the probabilities of its pixels there."""
        tile = design.image_size
        windows = windows_of(pixels.shape[:2], tile, overlap)
        flips = [tuple(_AXES[axis] for axis in axes) for axes in FLIPS[self.flips if self.test_time_flips else None]]
        step = max(1, _PIXELS_AT_ONCE // (tile[0] * tile[1]))
        for start in range(0, len(windows), step):
            some = windows[start : start + step]
            cut = np.stack(list(cut_windows(pixels, some, tile)))
            scores: Any = 0
            with design.pixel_graph(None, None) as graph:
                self._put(graph, design)
                for axes in flips:
                    axes = tuple(axis + 1 for axis in axes)  # behind that of the windows
                    logits = graph.predict(np.flip(cut, axes))
                    scores += np.flip(probabilities_of(logits), axes)
            for window, values in zip(some, scores / len(flips), strict=True):
                yield (window.rows, window.columns), values[window.kept]

    @property
    def _tile(self) -> tuple[int, int]:
        """Height and width of windows."""
        if self.tile_size is not None:
            return as_image_size(self.tile_size)
        network = self._backbone().network
        has_fixed_size = network is not None and None not in network.input_shape[1:3]
        if has_fixed_size or self.predict_size != "original":
            return self.image_size_
        return max(_TILE, self.image_size_[0]), max(_TILE, self.image_size_[1])

    def _seen_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size at which the windows of an image are cut: its own, or that of training with nothing cut."""
        if self.predict_size == "original":
            return size
        scale = Geometry.of_resize(size, self.image_size_, self.resize).scale
        return max(1, round(size[0] * scale[0])), max(1, round(size[1] * scale[1]))


def _pair(size: np.ndarray) -> tuple[int, int]:
    return int(size[0]), int(size[1])
