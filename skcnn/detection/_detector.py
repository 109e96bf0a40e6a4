"""All objects of an image, in one pass of a network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._keras import import_keras
from skcnn._training import Objective
from skcnn.backbones import Backbone, Weights
from skcnn.boxes import box_table
from skcnn.cache import FeatureCache
from skcnn.detection._base import BaseBoxNetwork
from skcnn.detection._decoding import best_boxes, candidates, decoded_boxes
from skcnn.detection._examples import Objects
from skcnn.detection._form import chosen_strides, coverage, grid_of
from skcnn.detection._grid import Grid
from skcnn.detection._heads import CLASS_SCORES, DetectorHead
from skcnn.detection._losses import BOX_LOSSES, SCORE_LOSSES, box_similarity, score_loss
from skcnn.detection._targets import RADIUS, slot_targets
from skcnn.metrics import average_precision

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

#: Longer side of images whose size is not given, in pixels; both sides are multiples of the coarsest stride.
_LONGER_SIDE, _COARSEST = 384, 32

#: Maps coarser than the coarsest level that the head takes as well: they have seen more of the image.
_COARSER_MAPS = 2


class CNNDetector(BaseBoxNetwork):
    """Detector of objects: one pass of a pretrained network, whose maps a new head turns into boxes.

    The image is a grid of cells. Each says whether there is an object, where exactly its box is, and of which class it
    is, as YOLO does [1]_. The network stays as it is unless ``epochs`` > 0: each image, and each of its mirror images,
    goes through it once, and the whole training, with all folds and candidates of a search, runs on what it gave.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="MobileNetV2"
        The network: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        Its weights: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to; multiples of 32 suit most networks. None has 384 pixels on the longer
        side and the median aspect ratio of the images. Small objects need more.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios: see :func:`skcnn.images.resize_image`. ``"stretch"`` cuts nothing off.
    levels : "auto", int or sequence of int, default="auto"
        Strides of the grid: sides of its cells, in pixels of the resized image. ``"auto"`` goes by the sizes of the
        boxes: cells of at most half of the typical box of each class, and further levels while the typical box of a
        class is longer than 16 cells.
    anchors : int, array-like of shape (n_anchors, 2) or None, default=None
        None: an object is found by the cells around its centre [2]_. An int: so many sizes of boxes, by k-means on
        those of y; the anchor of the most similar size in the cell of its centre finds an object [3]_. An array: these
        widths and heights, in pixels of the resized image. None was a little better on blood cells (AP 0.52, and
        0.51 with six anchors), and trains faster.
    radius : float, default=1.0
        Without anchors: how many cells from its centre an object is found, >= 0.5. 1 stands for two by two cells, 1.5
        for three by three.
    class_scores : {"cell", "anchor", "sigmoid"}, default="sigmoid"
        ``"cell"``: the anchors of a cell share their class [1]_. ``"anchor"``: each has its own, one of all [3]_.
        ``"sigmoid"``: each class is scored by itself [4]_.
    n_channels : int, default=96
        Channels of the head's convolutions.
    n_convolutions : int, default=3
        Convolutions of three by three cells in the head: each sees further. With 3 in place of 2 the AP of blood cells
        was 0.03 higher.
    box_loss : {"iou", "giou", "diou", "ciou"}, default="giou"
        How the error of boxes is measured.
    score_loss : {"binary_crossentropy", "focal", "quality_focal"}, default="quality_focal"
        Loss of whether there is an object. With ``"quality_focal"`` the score learns how well the box lies, so that of
        several boxes of an object the best one stays.
    loss_weights : (float, float, float), default=(4.0, 1.0, 0.5)
        Of boxes, objects and classes.
    head_epochs : int, default=20
        Epochs that train the head, with the network frozen.
    head_learning_rate : float, default=4e-3
        Learning rate of these epochs.
    epochs : int, default=0
        Epochs that train the open layers of the network as well.
    learning_rate : float, default=1e-4
        Learning rate of these epochs.
    unfreeze : str, int, float or None, default=0.5
        Layers that are open in these epochs: see :class:`~skcnn.neural_network.CNNClassifier`.
    learning_rate_schedule : {"constant", "cosine", "plateau", "warmup_cosine"}, default="warmup_cosine"
        How learning rates change within a phase. The default rises from 0 in the first twentieth, since the first
        losses of a grid are large, and decays to 0.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        Without a learning rate schedule of its own.
    flips : {"horizontal", "both"} or None, default="horizontal"
        Mirror images that are trained on as well: left and right, or also top and bottom, which suits images that have
        no upright position, such as those of a microscope.
    augmentation : {"light", "standard"}, keras layer, list of layers or None, default=None
        Random changes of images in training, which move boxes, too. The network then runs in every epoch, unless
        ``augmentation_views`` is given.
    augmentation_views : int or None, default=None
        Number of changed views of each image, which are kept, so that frozen layers run once per view. None changes
        images again in each epoch.
    mosaic : float in [0, 1], default=0.0
        Fraction of images that are replaced by a mosaic of parts of four, in other ways in each epoch [6]_: objects in
        other surroundings, and at edges. The network then runs in every epoch.
    early_stopping : bool, default=False
        Split off a validation set, end a phase when its loss has not fallen for ``n_iter_no_change`` epochs, and
        restore the weights of the best epoch.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the images in the validation set. Only used if ``early_stopping=True``.
    n_iter_no_change : int, default=5
        Number of epochs without improvement before a phase ends.
    batch_size : int, default=8
        Images per step.
    score_threshold : float in [0, 1], default=0.05
        Least score of a box in ``predict``. Average precision wants it low; to show boxes, 0.3 to 0.5 suits.
    iou_threshold : float in [0, 1], default=0.5
        Of boxes of a class that overlap by more than this intersection over union, ``predict`` keeps the best one.
    max_detections : int, default=100
        Number of boxes per image in ``predict``, at most; COCO's metrics look at no more.
    suppression : {"hard", "linear", "gaussian"}, default="hard"
        What happens to boxes that overlap a better one: see :func:`skcnn.boxes.non_max_suppression`.
    voting : float in [0, 1] or None, default=0.65
        A box that stays becomes the mean of those of its class that overlap it by this intersection over union or more,
        weighted by score [5]_. None leaves boxes as they are.
    test_time_flips : bool, default=False
        Whether ``predict`` also looks at the mirror images of ``flips``, which takes two or four times as long.
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
        Seed of initial weights, order, augmentation, anchors and the validation set. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar where a phase takes longer than 5 seconds. 0 shows nothing, 1 Keras's progress bar,
        2 one line per epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), object
        Labels of boxes.
    image_size_ : tuple of (height, width)
        Size in pixels that images are resized to.
    levels_ : tuple of int
        Strides of the grid's levels, finest first.
    anchors_ : list of ndarray of shape (n_anchors, 2), or None
        Widths and heights of each level's anchors, in pixels of the resized image. None without anchors.
    anchor_coverage_ : float
        Fraction of the training boxes that a place in the grid can find, and whose size an anchor has roughly (by an
        intersection over union of 0.5); in [0, 1].
    model_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255] to (n, n_slots, 5 + n_classes): for each level, row, column
        and anchor the offset of the centre in cells, the logarithms of the size by that of the anchor, and logits of
        whether there is an object, and of the classes. Built at each access.
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
    CNNLocalizer : One object per image.
    CalibratedDetector : Scores that are probabilities of being right.
    skcnn.metrics.box_scorers : Scorers for cross-validation.
    skcnn.report.DetectionReport : What a detector finds and misses.

    Notes
    -----
    ``score_threshold``, ``iou_threshold``, ``max_detections``, ``suppression``, ``voting`` and ``test_time_flips``
    change nothing in training: a search over them, with an integer ``random_state``, trains once per fold.

    References
    ----------
    .. [1] J. Redmon, S. Divvala, R. Girshick and A. Farhadi, "You Only Look Once: Unified, Real-Time Object Detection",
       CVPR 2016, section 2.
    .. [2] Z. Tian, C. Shen, H. Chen and T. He, "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019,
       section 3.1.
    .. [3] J. Redmon and A. Farhadi, "YOLO9000: Better, Faster, Stronger", CVPR 2017, section 2.
    .. [4] J. Redmon and A. Farhadi, "YOLOv3: An Incremental Improvement", arXiv:1804.02767, section 2.
    .. [5] S. Gidaris and N. Komodakis, "Object detection via a multi-region and semantic segmentation-aware CNN model",
       ICCV 2015, section 4.3.
    .. [6] A. Bochkovskiy, C.-Y. Wang and H.-Y. M. Liao, "YOLOv4: Optimal Speed and Accuracy of Object Detection",
       arXiv:2004.10934, section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skcnn.detection import CNNDetector
    >>> X = np.zeros((12, 32, 32, 3), np.uint8)
    >>> corners = np.random.default_rng(0).integers(0, 17, (12, 2))
    >>> for image, (x, y) in zip(X, corners):
    ...     image[y : y + 16, x : x + 16] = 255
    >>> y = [[[x, y, x + 16, y + 16]] for x, y in corners]
    >>> detector = CNNDetector("ResNet20", image_size=32, head_epochs=5, random_state=0).fit(X, y)
    >>> detector.levels_, detector.anchor_coverage_
    ((4,), 1.0)
    >>> list(detector.predict(X)[0].columns)
    ['label', 'xmin', 'ymin', 'xmax', 'ymax', 'score']
    """

    _of_prediction = (
        "score_threshold",
        "iou_threshold",
        "max_detections",
        "suppression",
        "voting",
        "test_time_flips",
    )

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **BaseBoxNetwork._parameter_constraints,
        "levels": "no_validation",
        "anchors": "no_validation",
        "radius": [Interval(Real, 0.5, None, closed="left")],
        "class_scores": [StrOptions(set(CLASS_SCORES))],
        "n_convolutions": [Interval(Integral, 0, 16, closed="both")],
        "box_loss": [StrOptions(set(BOX_LOSSES))],
        "score_loss": [StrOptions(set(SCORE_LOSSES))],
        "loss_weights": "no_validation",
        "mosaic": [Interval(Real, 0, 1, closed="both")],
        "score_threshold": [Interval(Real, 0, 1, closed="both")],
        "iou_threshold": [Interval(Real, 0, 1, closed="both")],
        "max_detections": [Interval(Integral, 1, None, closed="left")],
        "suppression": [StrOptions({"hard", "linear", "gaussian"})],
        "voting": [Interval(Real, 0, 1, closed="both"), None],
    }

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
        *,
        weights: Weights = "pretrained",
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        levels: str | int | Sequence[int] = "auto",
        anchors: int | ArrayLike | None = None,
        radius: float = RADIUS,
        class_scores: str = "sigmoid",
        n_channels: int = 96,
        n_convolutions: int = 3,
        box_loss: str = "giou",
        score_loss: str = "quality_focal",
        loss_weights: tuple[float, float, float] = (4.0, 1.0, 0.5),
        head_epochs: int = 20,
        head_learning_rate: float = 4e-3,
        epochs: int = 0,
        learning_rate: float = 1e-4,
        unfreeze: str | float | None = 0.5,
        learning_rate_schedule: str = "warmup_cosine",
        optimizer: str | keras.optimizers.Optimizer = "adam",
        flips: str | None = "horizontal",
        augmentation: str | keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        augmentation_views: int | None = None,
        mosaic: float = 0.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        batch_size: int = 8,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        suppression: str = "hard",
        voting: float | None = 0.65,
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
        self.levels = levels
        self.anchors = anchors
        self.radius = radius
        self.class_scores = class_scores
        self.n_channels = n_channels
        self.n_convolutions = n_convolutions
        self.box_loss = box_loss
        self.score_loss = score_loss
        self.loss_weights = loss_weights
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
        self.mosaic = mosaic
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.batch_size = batch_size
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.suppression = suppression
        self.voting = voting
        self.test_time_flips = test_time_flips
        self.cache = cache
        self.root = root
        self.max_pixels = max_pixels
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X: Any) -> np.ndarray:
        """Return the boxes of objects.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), object
            DataFrames with the columns ``label, xmin, ymin, xmax, ymax, score``, the best first: pixels of the upright
            image, and scores in [0, 1], the probability of an object times that of its class.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If a parameter is invalid, or ``weights`` was changed after ``fit``.
        """
        images, sizes = self._checked(X)
        grid = self._grid
        slots = grid.slots()
        found = np.empty(len(images), object)
        for row, outputs, views in self._outputs(images):
            n = views.n_views
            seen = []
            for view, values in enumerate(outputs):
                boxes, scores, codes = candidates(values, slots, self._class_scores, self.score_threshold)
                seen.append((views.boxes(row * n + view, boxes), scores, codes))
            boxes, scores, codes = best_boxes(
                *(np.concatenate(parts) for parts in zip(*seen, strict=True)),
                iou_threshold=self.iou_threshold,
                method=self.suppression,
                score_threshold=self.score_threshold,
                max_detections=self.max_detections,
                voting=self.voting,
            )
            height, width = sizes[row]
            boxes = np.clip(self._geometry(sizes[row]).back(boxes), 0, [width, height, width, height])
            there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not cut off as a whole
            found[row] = box_table(self.classes_[codes[there]], boxes[there], scores[there])
        return found

    def score(self, X: Any, y: Any) -> float:
        """Return COCO's average precision of the boxes: see :func:`skcnn.metrics.average_precision`.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            True boxes.

        Returns
        -------
        float
            In [0, 1]; NaN if there is no true box.

        Raises
        ------
        ImportError
            If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
        BadImageError
            If rows have no image.
        """
        return average_precision(y, self.predict(X))

    @property
    def anchors_(self) -> list[np.ndarray] | None:
        """Widths and heights of the anchors of each level, in pixels of the resized image; None without anchors."""
        check_is_fitted(self)
        return [np.array(sizes) for sizes in self._priors] if self._has_anchors else None

    @property
    def _mosaic(self) -> float:  # type: ignore[override]
        return float(self.mosaic)

    @property
    def _grid(self) -> Grid:
        return Grid(self.image_size_, self.levels_, self._priors, self._has_anchors)

    def _default_size(self, sizes: np.ndarray, own: tuple[int, int]) -> tuple[int, int]:
        if max(own) < _COARSEST * 2:  # a network for thumbnails
            return own
        ratio = float(np.median(sizes[:, 0] / sizes[:, 1]))
        height, width = (
            max(1, round(_LONGER_SIDE * part / _COARSEST)) * _COARSEST
            for part in (min(1.0, ratio), min(1.0, 1 / ratio))
        )
        return height, width

    def _learn_form(self, objects: Objects) -> None:
        weights = self.loss_weights
        if np.shape(weights) != (3,) or not all(np.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError(
                f"loss_weights={weights!r}; expected three numbers >= 0: of boxes, of objects and of classes"
            )
        available = self._strides()
        self.levels_ = chosen_strides(self.levels, available, objects)
        last = available.index(self.levels_[-1])
        finer = [stride for stride in available[: last + 1] if stride >= self.levels_[0]]
        self._maps = (*finer, *available[last + 1 : last + 1 + _COARSER_MAPS])
        grid = grid_of(self.anchors, self.levels_, self.image_size_, objects, self._seed)
        self._priors, self._has_anchors = grid.priors, grid.has_anchors
        self._class_scores = self.class_scores
        self.anchor_coverage_ = coverage(grid, objects, float(self.radius))

    def _map_strides(self) -> tuple[int, ...]:
        return self._maps

    def _head(self, image_size: tuple[int, int]) -> DetectorHead:
        return DetectorHead(
            self._grid, len(self.classes_), self._class_scores, int(self.n_channels), int(self.n_convolutions)
        )

    def _check_head(self, n_weights: int) -> None:
        self._head(self.image_size_)  # its grid is checked
        if 9 * self.n_channels**2 * self.n_convolutions > n_weights:
            raise ValueError(
                f"n_channels={self.n_channels} and n_convolutions={self.n_convolutions} ask for more than the "
                f"{n_weights:,} weights of the head"
            )

    def _encoder(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        grid, radius = self._grid, float(self.radius)
        return lambda boxes, codes: slot_targets(grid, boxes, codes, radius)

    def _objective(self) -> Objective:
        slots, n_classes = self._grid.slots(), len(self.classes_)
        of_boxes, of_objects, of_classes = map(float, self.loss_weights)
        box_kind, score_kind, class_kind = self.box_loss, self.score_loss, self._class_scores

        def loss(true: Any, outputs: Any) -> Any:
            ops = import_keras().ops
            finds = ops.cast(true[..., 5] > 0, "float32")
            counts = ops.cast(true[..., 5] >= 0, "float32")
            # Per object, not per image: an image of many objects has as much to say as they are.
            per_image = ops.maximum(ops.mean(ops.sum(finds, axis=-1)), 1e-3)
            iou, similarity = box_similarity(box_kind, decoded_boxes(outputs[..., :4], slots), true[..., :4])
            wanted = finds * ops.stop_gradient(ops.maximum(iou, 0.0)) if score_kind == "quality_focal" else finds
            total = of_boxes * ops.sum(finds * (1 - similarity), axis=-1)
            total += of_objects * ops.sum(counts * score_loss(score_kind, wanted, outputs[..., 4]), axis=-1)
            classes = ops.one_hot(ops.cast(true[..., 4], "int32"), n_classes)
            logits = outputs[..., 5:]
            if class_kind == "sigmoid":
                error = ops.sum(score_loss("binary_crossentropy", classes, logits), axis=-1)
            else:
                error = -ops.sum(classes * ops.log_softmax(logits, axis=-1), axis=-1)
            return (total + of_classes * ops.sum(finds * error, axis=-1)) / per_image

        return Objective(
            loss,
            ("detector", box_kind, score_kind, of_boxes, of_objects, of_classes),
        )
