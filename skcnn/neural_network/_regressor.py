"""CNNRegressor: images in, numbers out, by a pretrained network that is fine-tuned."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Tags

from skcnn.images import fetched_once
from skcnn.neural_network._cnn import BaseCNN
from skcnn.neural_network._loss import Objective, regressing
from skcnn.neural_network._recipe import phases_of
from skcnn.neural_network._rows import check_numbers, check_weights, split_validation

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

    from skcnn.backbones import Backbone, Weights
    from skcnn.cache import FeatureCache


class CNNRegressor(RegressorMixin, BaseCNN):
    """Regressor of images: a pretrained convolutional network with a new head, trained in two phases.

    It predicts numbers, such as an age, a weight or a place, one per image or several. Training goes as in
    :class:`CNNClassifier`: first the head alone, on features that are computed once; then layers of the network, at a
    small learning rate. Targets are scaled within, so that learning rates need not know their unit: ``predict`` and
    ``model_`` give numbers in the unit of y.

    Parameters
    ----------
    backbone : str, keras.Model, path or callable, default="MobileNetV2"
        The network, see :class:`~skcnn.feature_extraction.BottleneckFeatures`; a callable may also be a builder by
        SciKeras's contract, ``build(meta)``. Its output is the input of the head. A model is copied, never changed.
    weights : {"pretrained"}, str, path, dict or None, default="pretrained"
        Initial weights of the network, or a dict of them by the names of backbones. None draws weights at random: give
        ``head_epochs=0``, ``unfreeze="all"`` and ``batch_norm="train"`` to train from scratch.
    weight_layers : str, list of str or None, default=None
        Names of the layers to take from ``weights``, or patterns of names such as ``"conv*"``; the others are drawn at
        random. None takes all.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to. None is the size that the network was trained at.
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios.
    pooling : {"avg", "max"} or None, default="avg"
        Pooling of the last feature map; None flattens it.
    hidden_layer_sizes : sequence of int, default=()
        Units of the head's hidden layers (ReLU). Usually a head without hidden layers is enough.
    dropout : float in [0, 1), default=0.0
        Fraction of the inputs to drop in training, for each layer of the head.
    head_epochs : int, default=20
        Epochs of the first phase.
    head_learning_rate : float, default=1e-3
        Learning rate of the first phase.
    epochs : int, default=5
        Epochs of the second phase.
    learning_rate : float, default=3e-5
        Learning rate of the second phase: small, so that the pretrained weights are not destroyed.
    unfreeze : str, int, float or None, default=0.5
        Layers to fine-tune in the second phase: ``"all"``; the layers from one on (its name, or its index: -20 is the
        last 20); a fraction of the layers, from the end, as a float in (0, 1]; the layers whose names match a pattern,
        such as ``"dense*"``; or None, no layer. The first half is frozen by default: it finds edges and textures, which
        all images have, and it runs once per image instead of in every epoch.
    learning_rate_schedule : {"constant", "cosine", "plateau", "warmup_cosine"}, default="cosine"
        Schedule within a phase. ``"cosine"`` decays to 0 at its end. ``"plateau"`` halves the rate when the loss (on
        the validation set, if there is one) has not fallen for half of ``n_iter_no_change`` epochs.
        ``"warmup_cosine"`` rises from 0 in the first twentieth, and then decays.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        Each phase starts with a new optimizer of this configuration, at the phase's learning rate. Weight decay does
        not apply to biases and normalisation layers.
    loss : "auto", str or keras.losses.Loss, default="auto"
        ``"auto"`` is the mean squared error. ``"mean_absolute_error"`` and ``"huber"`` are less sensitive to outliers
        in y (the unit of Huber's ``delta`` is a standard deviation of y). ``"poisson"`` is for counts and other numbers
        >= 0, and predicts numbers > 0.
    batch_norm : {"inference", "train"}, default="inference"
        ``"inference"`` does not update the statistics of the network's BatchNorm layers, frozen or not: statistics of
        a few batches are worse. ``"train"`` updates those of unfrozen layers.
    augmentation : {"light", "standard"}, Keras layers or None, default=None
        Random changes of the training images. ``"light"`` mirrors, shifts and zooms; ``"standard"`` also rotates,
        changes contrast, brightness and colour, and adds noise. Or a layer, a list or a Sequential of layers that take
        and return pixels in [0, 255].
    augmentation_views : int or None, default=None
        Number of views to keep of each image, which differ by ``augmentation`` and are drawn from in each epoch. So
        frozen layers run once per view, and not in every epoch. None draws new changes in every epoch. Without effect
        in :meth:`partial_fit`, and where no layer is frozen.
    early_stopping : bool, default=False
        Split off a validation set, end a phase when the validation loss has not fallen for ``n_iter_no_change`` epochs,
        and restore the weights of the best epoch.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows in the validation set. Only used if ``early_stopping=True``.
    n_iter_no_change : int, default=5
        Number of epochs without improvement before a phase ends.
    batch_size : int, default=32
        Images per step.
    precision : {"float32", "bfloat16"}, default="float32"
        Precision of the network's computations; the weights and the head are always float32.
    cache : "memory", path or None, default="memory"
        Where to cache features of the frozen network: see :class:`~skcnn.feature_extraction.BottleneckFeatures`.
        Results of fits are kept there as well, so that the same fit, with an integer ``random_state``, is not repeated.
        The outputs of the layers before the open ones are in :func:`~skcnn.cache.activation_cache`; with None they are
        forgotten after the fit.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    on_error : {"raise", "nan"}, default="raise"
        How to handle rows without an image. ``"raise"``: raise a :class:`~skcnn.images.BadImageError` that names them
        all, before training begins. ``"nan"``: warn, train without them, and predict probabilities of NaN for them.
        For a cross-validation, leave such rows out first with :func:`skcnn.images.drop_bad_images`.
    max_pixels : int or None, default=None
        Images with more pixels are bad rows; None is Pillow's limit.
    checkpoint : path-like or None, default=None
        Folder where a run saves its state after every epoch. A run that was killed resumes when ``fit`` is called again
        with the same parameters and data, and ends with the same result. Every run has its own file, so that the fits
        of a search can use one folder; delete it afterwards. Needs an int as ``random_state``, and a named loss or a
        Loss instance. Callbacks are not part of the run's fingerprint.
    callbacks : sequence of callables or None, default=None
        Each is called without arguments, once per phase, and returns a new ``keras.callbacks.Callback``: a class or a
        function, because a callback itself would be shared between fits. Callbacks that set the learning rate raise an
        error: use ``learning_rate_schedule``. A ``ModelCheckpoint`` saves what ``model_`` would be after that epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, order, dropout, augmentation and the validation set. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook where a phase takes longer than 5 seconds. 0 shows
        nothing, 1 Keras's progress bar, 2 one line per epoch.

    Attributes
    ----------
    n_outputs_ : int
        Number of targets per image.
    model_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255] to numbers (n, n_targets): scaling is inside, so that
        ``model_.save("x.keras")`` can be used without skcnn. Built at each access.
    history_ : DataFrame of shape (n_epochs, n_columns)
        One row per epoch: ``phase`` ("head", "fine", or "partial" for those of :meth:`partial_fit`), ``epoch`` (from
        1), ``loss`` (of scaled targets), ``r2_score``, ``learning_rate`` at the end of the epoch, and with early
        stopping ``val_loss`` and ``val_r2_score``.
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
    skcnn.feature_extraction.BottleneckFeatures : The same networks as transformers. With
        :class:`sklearn.linear_model.Ridge` on their features a search takes seconds: begin there.
    CNNClassifier : Classes in place of numbers.
    skcnn.metrics.TrainingCurveDisplay : Draws ``history_``.

    References
    ----------
    J. Yosinski, J. Clune, Y. Bengio, H. Lipson, "How transferable are features in deep neural networks?", NeurIPS 2014,
    section 4.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.neural_network import CNNRegressor
    >>> X, y = load_digit_images(return_X_y=True)
    >>> ink = X.mean(axis=(1, 2, 3))
    >>> regressor = CNNRegressor("ResNet20", head_epochs=20, head_learning_rate=0.01, epochs=0, random_state=0)
    >>> regressor.fit(X[:200], ink[:200]).predict(X[200:203]).shape
    (3,)
    """

    def __init__(
        self,
        backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model] = "MobileNetV2",
        *,
        weights: Weights = "pretrained",
        weight_layers: str | Sequence[str] | None = None,
        image_size: int | tuple[int, int] | None = None,
        resize: str = "stretch",
        pooling: str | None = "avg",
        hidden_layer_sizes: Sequence[int] = (),
        dropout: float = 0.0,
        head_epochs: int = 20,
        head_learning_rate: float = 1e-3,
        epochs: int = 5,
        learning_rate: float = 3e-5,
        unfreeze: str | float | None = 0.5,
        learning_rate_schedule: str = "cosine",
        optimizer: str | keras.optimizers.Optimizer = "adam",
        loss: str | keras.losses.Loss = "auto",
        batch_norm: str = "inference",
        augmentation: str | keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        augmentation_views: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        batch_size: int = 32,
        precision: str = "float32",
        cache: str | os.PathLike[str] | FeatureCache | None = "memory",
        root: str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        max_pixels: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        callbacks: Sequence[Callable[[], keras.callbacks.Callback]] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = "auto",
    ):
        self.backbone = backbone
        self.weights = weights
        self.weight_layers = weight_layers
        self.image_size = image_size
        self.resize = resize
        self.pooling = pooling
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dropout = dropout
        self.head_epochs = head_epochs
        self.head_learning_rate = head_learning_rate
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.unfreeze = unfreeze
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizer = optimizer
        self.loss = loss
        self.batch_norm = batch_norm
        self.augmentation = augmentation
        self.augmentation_views = augmentation_views
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.batch_size = batch_size
        self.precision = precision
        self.cache = cache
        self.root = root
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> CNNRegressor:
        """Train head and network from the beginning, or from a checkpoint of the same run.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Numbers, in any unit.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows; rows of weight 0 are not used.

        Returns
        -------
        self : CNNRegressor

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        CheckpointError
            If the checkpoint is damaged, or belongs to another run.
        TypeError
            If a parameter, X or y has the wrong type.
        ValueError
            If a parameter, X, y or the weights are invalid, or if the loss becomes infinite.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            numbers = check_numbers(y, len(images))
            phases = phases_of(self._recipe())
            weights = check_weights(sample_weight, len(images))
            self._begin_with(numbers, weights)
            self._fit(images, self._scaled(numbers), weights, phases)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> CNNRegressor:
        """Train for one epoch on the given rows, at ``learning_rate``, with the layers of ``unfreeze`` trainable.

        The first call decides how targets are scaled, and should have typical ones.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Numbers.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        self : CNNRegressor

        Raises
        ------
        ValueError
            If y has another number of targets than at the first call, or for the reasons of :meth:`fit`.
        """
        is_first = not self.__sklearn_is_fitted__()
        images = self._check_input(X, reset=is_first)
        numbers = check_numbers(y, len(images))
        weights = check_weights(sample_weight, len(images))
        if is_first:
            self._begin_with(numbers, weights)
        elif numbers.shape[1:] != self._shape:
            raise ValueError(f"y has shape {numbers.shape}; expected {(len(numbers), *self._shape)} as on first call.")
        self._fit_epoch(images, self._scaled(numbers), weights, is_first=is_first)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the numbers of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets), float64
            In the unit of y, and of its number of dimensions. NaN for rows without an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        ValueError
            If a parameter that determines the architecture was changed after ``fit``.
        """
        outputs = self._outputs(X, self.on_error)
        scale, offset = self._scaling()
        return (outputs * scale + offset).reshape(len(outputs), *self._shape)

    def _begin_with(self, numbers: np.ndarray, weights: np.ndarray) -> None:
        self._begin()
        self._shape = numbers.shape[1:]
        table = numbers.reshape(len(numbers), -1)
        self.n_outputs_ = table.shape[1]
        objective = self._objective()
        if objective.activation == "exponential":
            if (table < 0).any():
                raise ValueError(f"loss={self.loss!r} is for numbers >= 0; the least of y is {table.min():g}.")
            scale = np.average(table, axis=0, weights=weights)
            self._offset = np.zeros(self.n_outputs_)
        else:
            self._offset = np.average(table, axis=0, weights=weights)
            scale = np.sqrt(np.average((table - self._offset) ** 2, axis=0, weights=weights))
        # Where all targets are the same there is nothing to scale, but for rounding.
        self._scale = np.where(scale > 1e-12 * np.abs(table).max(axis=0), scale, 1.0)

    def _scaled(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers.reshape(len(numbers), -1) - self._offset) / self._scale

    def _scaling(self) -> tuple[np.ndarray, np.ndarray]:
        return self._scale, self._offset

    def _objective(self) -> Objective:
        return regressing(self.loss, self.n_outputs_)

    def _typical_y(self) -> np.ndarray:
        return np.full((2, *self._shape), 0.5)

    def _split(self, rows: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return split_validation(rows, None, np.empty(0), self.validation_fraction, self._seed)

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the regressor."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
