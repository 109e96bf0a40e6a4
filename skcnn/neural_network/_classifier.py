"""CNNClassifier: images in, classes out, by a pretrained network that is fine-tuned."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import StrOptions

from skcnn._labels import accuracy, as_labels
from skcnn._text import valid_labels
from skcnn.images import fetched_once
from skcnn.neural_network._cnn import BaseCNN
from skcnn.neural_network._loss import Objective, classifying
from skcnn.neural_network._predictions import a_class_for_each_row, check_k, top_k
from skcnn.neural_network._recipe import phases_of
from skcnn.neural_network._rows import (
    Labels,
    check_class_weights,
    check_indicators,
    check_labels,
    check_weights,
    split_validation,
)

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

    from skcnn.backbones import Backbone, Weights
    from skcnn.cache import FeatureCache


class CNNClassifier(ClassifierMixin, BaseCNN):
    """Classifier of images: a pretrained convolutional network with a new head, trained in two phases.

    In the first phase the network is frozen and only the head is trained. In the second, layers of the network are
    unfrozen and fine-tuned at a small learning rate. While the network is frozen and images are not augmented, the
    head is trained on features that :class:`~skcnn.feature_extraction.BottleneckFeatures` computes and caches: an
    image goes through the network once for the whole phase, and for all candidates of a search that share the
    network. In the second phase the same holds for the layers before the open ones, whose outputs are kept.

    The estimator owns the weights, and the process owns the compiled graph: the fits of a search share one, which
    keeps memory constant (Keras on TensorFlow does not free the memory of a fitted model).

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
    dropout : float in [0, 1), default=0.3
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
        ``"auto"`` is cross-entropy. The name of a loss determines whether it gets class indices, one-hot vectors (label
        smoothing, focal) or, with two classes, binary targets. Indicator matrices need a binary loss.
    batch_norm : {"inference", "train"}, default="inference"
        ``"inference"`` does not update the statistics of the network's BatchNorm layers, frozen or not: statistics of
        a few batches are worse. ``"train"`` updates those of unfrozen layers.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes; ``"balanced"`` makes rare ones count as much as frequent ones.
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
        Fraction of the rows in the validation set, stratified by class. Only used if ``early_stopping=True``.
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
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted; or the columns of an indicator matrix: their names in a frame, else their numbers.
    multilabel_ : bool
        Whether an image can have several classes: y was an indicator matrix.
    model_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255] to probabilities: scaling is inside, so that
        ``model_.save("x.keras")`` can be used without skcnn. Built at each access.
    history_ : DataFrame of shape (n_epochs, n_columns)
        One row per epoch: ``phase`` ("head", "fine", or "partial" for those of :meth:`partial_fit`), ``epoch`` (from
        1), ``loss``, ``accuracy``, ``learning_rate`` at the end of the epoch, and with early stopping ``val_loss`` and
        ``val_accuracy``.
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
    skcnn.feature_extraction.BottleneckFeatures : The same networks as transformers.
    skcnn.metrics.TrainingCurveDisplay : Draws ``history_``.

    References
    ----------
    J. Yosinski, J. Clune, Y. Bengio, H. Lipson, "How transferable are features in deep neural networks?", NeurIPS 2014,
    section 4.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.neural_network import CNNClassifier
    >>> X, y = load_digit_images(return_X_y=True)
    >>> classifier = CNNClassifier("ResNet20", head_epochs=20, head_learning_rate=0.01, epochs=0, random_state=0)
    >>> classifier.fit(X[:200], y[:200]).predict_proba(X[200:203]).shape
    (3, 10)
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **BaseCNN._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

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
        dropout: float = 0.3,
        head_epochs: int = 20,
        head_learning_rate: float = 1e-3,
        epochs: int = 5,
        learning_rate: float = 3e-5,
        unfreeze: str | float | None = 0.5,
        learning_rate_schedule: str = "cosine",
        optimizer: str | keras.optimizers.Optimizer = "adam",
        loss: str | keras.losses.Loss = "auto",
        batch_norm: str = "inference",
        class_weight: dict[Any, float] | str | None = None,
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
        self.class_weight = class_weight
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

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> CNNClassifier:
        """Train head and network from the beginning, or from a checkpoint of the same run.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Classes: strings or numbers, at least two of them. For images that have several classes, or none, an
            indicator matrix (1 where an image has a class, else 0), such as a frame with one column per class.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows; rows of weight 0 are not used.

        Returns
        -------
        self : CNNClassifier

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
            labels = self._labels(y, len(images))
            phases = phases_of(self._recipe())
            weights = self._check_weights(labels, labels.classes, sample_weight)
            self._begin_with(labels)
            self._fit(images, labels.codes, weights, phases)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> CNNClassifier:
        """Train for one epoch on the given rows, at ``learning_rate``, with the layers of ``unfreeze`` trainable.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Classes, or an indicator matrix.
        classes : array-like of shape (n_classes,) or None, default=None
            All classes that may occur; required at the first call if ``fit`` was not called before.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        self : CNNClassifier

        Raises
        ------
        ValueError
            If ``classes`` is missing at the first call or differs later, if y has other classes, or for the reasons of
            :meth:`fit`.
        """
        is_first = not self.__sklearn_is_fitted__()
        images = self._check_input(X, reset=is_first)
        labels = self._labels(y, len(images))
        if is_first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            classes = as_labels(classes) if labels.several else np.unique(as_labels(classes))
            if not is_first and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    f"classes={classes.tolist()!r} is not the same as on last call, {self.classes_.tolist()!r}."
                )
        else:
            classes = self.classes_
        labels = labels.among(classes)
        weights = self._check_weights(labels, classes, sample_weight)
        if is_first:
            self._begin_with(labels)
        self._fit_epoch(images, labels.codes, weights, is_first=is_first)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            Columns in the order of ``classes_``. Rows sum to 1, unless ``multilabel_``: then each class has its own
            probability. NaN for rows without an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        ValueError
            If a parameter that determines the architecture was changed after ``fit``.
        """
        return self._outputs(X, self.on_error)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class; of several classes per image, those whose probability is above 0.5.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Classes; or an indicator matrix, int64, after ``fit`` on one.

        Raises
        ------
        BadImageError
            If rows have no image, whatever ``on_error`` is: there is no class for "no image".
        ValueError
            If a parameter that determines the architecture was changed after ``fit``.
        """
        probabilities = self._probabilities_of_all(X)
        if self.multilabel_:
            return (probabilities > 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of :meth:`predict`; of several classes per image, all of them must be right.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            True labels, in any form that ``fit`` takes.
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
            If y does not fit X, or a parameter that determines the architecture was changed after ``fit``.
        """
        predicted = self.predict(X)
        return accuracy(np.asarray(y) if self.multilabel_ else y, predicted, sample_weight)

    def predict_top_k(self, X: Any, k: int = 5) -> pd.DataFrame:
        """Return the k most probable classes of each image.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        k : int, default=5
            Number of classes; all of them if there are fewer.

        Returns
        -------
        DataFrame of shape (n_samples * k, 2)
            Columns ``class`` and ``probability``; the index has the levels ``row`` (the index of X where it is a frame
            or a Series, its position otherwise) and ``rank`` (from 1).

        Raises
        ------
        BadImageError
            If rows have no image, whatever ``on_error`` is.
        ValueError
            If ``k`` is less than 1, or a parameter that determines the architecture was changed after ``fit``.
        """
        check_k(k)
        return top_k(X, self._probabilities_of_all(X), k, {"class": valid_labels(self.classes_)})

    @staticmethod
    def _labels(y: Any, n_rows: int) -> Labels:
        if (found := check_indicators(y, n_rows)) is not None:
            return Labels(*found)
        classes, codes = np.unique(check_labels(y, n_rows), return_inverse=True)
        return Labels(classes, codes)

    def _check_weights(self, labels: Labels, classes: np.ndarray, sample_weight: Any) -> np.ndarray:
        if not labels.several:
            return check_class_weights(classes[labels.codes], classes, sample_weight, self.class_weight)
        if self.class_weight is not None:
            raise ValueError(
                f"class_weight={self.class_weight!r} is for one class per image, but y has an indicator column per "
                "class; expected None. Use sample_weight instead."
            )
        return check_weights(sample_weight, len(labels.codes))

    def _begin_with(self, labels: Labels) -> None:
        if len(labels.classes) < 2:
            raise ValueError(f"y contains one class ({labels.classes.tolist()[0]!r}); at least 2 classes are needed.")
        self._begin()
        self.classes_, self.multilabel_ = labels.classes, labels.several

    def _objective(self) -> Objective:
        return classifying(self.loss, len(self.classes_), several=self.multilabel_)

    def _typical_y(self) -> np.ndarray:
        n_classes = len(self.classes_)
        return np.tri(n_classes, dtype=np.int64) if self.multilabel_ else self.classes_

    def _split(self, rows: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes = None if self.multilabel_ else y
        return split_validation(rows, codes, self.classes_, self.validation_fraction, self._seed)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a pickle or a file, also of one that was written when an image had one class."""
        super().__setstate__({"multilabel_": False, **state} if "classes_" in state else state)

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the classifier."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _probabilities_of_all(self, X: Any) -> np.ndarray:
        """Return probabilities for a method that has no answer for a row without an image, whatever ``on_error`` is."""
        with a_class_for_each_row():
            return self._outputs(X, "raise")
