"""ImageGAN: images that look like those of a set, drawn by a network that another one judges."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn._training import MAX_UNITS, Progress, Weights
from skcnn.generative._judge import Judge, warn_of_collapse
from skcnn.generative._networks import LOSSES, Design, plain_discriminator, plain_generator
from skcnn.generative._pixels import images_of_pixels, reader_of
from skcnn.generative._run import SNAPSHOTS, best_epoch, images_of, play
from skcnn.generative._settings import (
    LAYERS,
    asked_labels,
    checkpoint_of,
    design_of,
    examples_of,
    features_of,
    form_of,
    labels_and_classes,
    pack_networks,
    plan_of,
    unpack_networks,
)
from skcnn.images import RESIZE_RULES, as_image_size, fetched_once

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike
    from sklearn.base import TransformerMixin


class ImageGAN(ImageInputMixin, BaseEstimator):
    """Generative adversarial network (GAN): makes new images that are like those of a set.

    A generator makes images from random codes, and a discriminator is trained to distinguish them from real ones; both
    are trained in turn. Their losses do not show how good the images are, so generated images are compared with real
    ones during training, and in :meth:`score`.

    Parameters
    ----------
    loss : {"wgan-gp", "wgan", "dcgan", "gan", "began"}, default="wgan-gp"
        The kind of GAN. ``"gan"`` [1]_: cross-entropy with dense layers; the generator maximises the predicted
        probability that its images are real. ``"dcgan"`` [2]_: the same with convolutions and batch normalisation.
        ``"wgan"`` [3]_: the discriminator, a critic, estimates Wasserstein's distance, with weights clipped.
        ``"wgan-gp"`` [4]_: the same with a penalty on the critic's gradient; the most reliable kind here. ``"began"``
        [5]_: the discriminator is an autoencoder, whose errors for real and for generated images are kept in balance.
    conditional : bool, default=False
        Whether the class of generated images can be chosen: ``fit`` then needs y, and ``sample`` takes it.
    n_components : int, default=32
        Length of a code.
    layers : {"auto", "dense", "conv"}, default="auto"
        Kind of layers. ``"auto"`` uses convolutions for ``"dcgan"`` and dense layers for ``"gan"``. For the others, it
        uses dense layers for images of up to 1,024 pixels (32 x 32), for which convolutions take several times as long,
        and convolutions for larger images.
    filters : sequence of int or None, default=None
        Units of the discriminator's dense layers, or channels of its convolutions, each of which halves height and
        width; the generator's are the same in reverse. None is ``(256, 256)`` for dense layers, and for convolutions
        64, 128 and so on, up to 512, until maps are 4 pixels or less.
    label_embedding : int or None, default=None
        Length of the learned vector that stands for a class. None is one number per class, 0 or 1, which is best for
        few classes.
    generator : keras.Model or None, default=None
        Your own network, from codes (n, n_components), and if conditional also indicators of classes (n, n_classes), to
        pixels (n, height, width, n_channels) in [-1, 1]. Only its architecture is used, not its weights.
    discriminator : keras.Model or None, default=None
        Your own network, from such pixels, and if conditional also indicators of classes, to a score (n, 1): a logit,
        or for ``"began"`` an error.
    image_size : int, (height, width) or None, default=None
        Size of generated images in pixels, which the images of X are resized to. None is the size of the arrays in the
        X of ``fit`` if all of its images are arrays of one size, and 64 otherwise.
    color_mode : {"auto", "rgb", "grayscale"}, default="auto"
        Whether images have colours, or one channel of grey levels. ``"auto"`` is grey if all images in the X of ``fit``
        are arrays without colours, (height, width) or (height, width, 1).
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios.
    n_critic : int or None, default=None
        Steps of the discriminator per step of the generator. None is 3 for ``"wgan-gp"``, 5 for ``"wgan"`` and 1
        otherwise.
    gradient_penalty : float, default=10.0
        Weight of the penalty of ``"wgan-gp"``.
    clip : float, default=0.01
        Largest absolute weight of the critic of ``"wgan"``.
    diversity_ratio : float in (0, 1], default=0.5
        The error of generated images, relative to that of real ones, that ``"began"`` aims at. Smaller values make
        images better, but more alike.
    label_smoothing : float in [0, 0.5], default=0.0
        For ``"gan"`` and ``"dcgan"``, the target of real images is ``1 - label_smoothing``: 0.1 keeps the discriminator
        from becoming too certain [6]_.
    minibatch_discrimination : int, default=0
        Number of features that show the discriminator of ``"gan"``, ``"dcgan"`` and ``"wgan"`` how similar the images
        of a batch are, as a remedy against collapse [6]_. 0 adds none.
    ema : float in [0, 1), default=0.999
        Images are made with a moving average of the generator's weights over steps, with this momentum. In short runs
        the momentum is smaller, so that the average covers a twentieth of the run. 0 uses the last weights.
    epochs : int, default=300
        Epochs of training: in each one the discriminator sees each image once.
    learning_rate : float or None, default=None
        Learning rate of both networks. None is that of the published method: 1e-4 for ``"began"``, 5e-5 for ``"wgan"``,
        2e-4 otherwise; 1e-3 for ``"wgan-gp"`` with dense layers.
    learning_rate_schedule : {"constant", "cosine", "warmup_cosine"}, default="cosine"
        ``"cosine"`` decays to 0 in the last epoch, which makes the final images better.
    optimizer : str, keras.optimizers.Optimizer or None, default=None
        Optimizer of both networks; each network gets a new one with this configuration. None is RMSprop for ``"wgan"``,
        and Adam otherwise with the published betas: (0, 0.9) for ``"wgan-gp"`` and (0.5, 0.999) for the others.
    features : transformer or None, default=None
        Computes the features by which real and generated images are compared; it is not fitted. None is
        :class:`~skcnn.feature_extraction.BottleneckFeatures` of the ResNet20 that comes with skcnn. Kernel distances of
        different features cannot be compared.
    n_evaluations : int, default=10
        How often generated images are compared with real ones in ``fit``: at regular intervals, the last time after the
        last epoch. 0 means never.
    early_stopping : bool, default=False
        Stop when the kernel distance has not fallen for ``n_iter_no_change`` comparisons, and keep the generator with
        the smallest one.
    validation_fraction : float in [0, 1), default=0.1
        Fraction of the images that are held out for these comparisons. With 0, generated images are compared with the
        training set. If nothing is compared, all images are used for training.
    n_iter_no_change : int, default=5
        Number of comparisons without improvement before training stops.
    batch_size : int, default=64
        Images per step.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    max_pixels : int or None, default=None
        Images with more pixels are bad rows; None is Pillow's limit.
    checkpoint : path-like or None, default=None
        Folder where a run saves its state after every epoch: both networks and both optimizers. A run that was killed
        resumes when ``fit`` is called again with the same parameters and data, and ends with the same result. Needs an
        int as ``random_state``.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, order, codes and the validation set. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook where training takes longer than 5 seconds. 0 shows
        nothing, 1 a bar in any case, 2 one line per epoch.

    Attributes
    ----------
    generator_ : keras.Model
        From codes, and if conditional also indicators of classes, to pixels (n, height, width, n_channels) in [0, 255].
        It has only standard layers, and is built at each access.
    discriminator_ : keras.Model
        From pixels (n, height, width, n_channels) in [0, 255], and if conditional also indicators of classes, to a
        score (n, 1). Built at each access.
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted. Only if conditional.
    image_size_ : tuple of (height, width)
        Size of the images in pixels.
    n_channels_ : {1, 3}
        1 if images are grey, else 3.
    history_ : DataFrame of shape (n_epochs, n_columns)
        One row per epoch: ``epoch`` (from 1), ``discriminator_loss`` and ``generator_loss`` (means over the epoch; NaN
        if the generator took no step), ``wasserstein`` and ``penalty``, or ``convergence`` and ``balance`` of
        ``"began"``, ``learning_rate``; and for epochs after which images were compared, ``kernel_distance``,
        ``diversity`` (variance of features of generated images relative to real ones) and ``coverage`` (see
        :func:`skcnn.metrics.feature_precision_recall`).
    snapshots_ : ndarray of shape (n_evaluations, 8, height, width, 3) or (n_evaluations, 8, height, width), or None
        Images of the same codes, uint8, after each epoch in which images were compared.
    n_iter_ : int
        Number of epochs.
    best_epoch_ : int
        The epoch with the smallest kernel distance. With ``early_stopping`` the generator is that of this epoch,
        otherwise that of the last one.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    skcnn.decomposition.VariationalAutoencoder : Also encodes images, but generates less sharp ones.
    skcnn.metrics.generation_frame : How good generated images are, with intervals.

    References
    ----------
    .. [1] I. Goodfellow et al., "Generative adversarial nets", NIPS 2014.
    .. [2] A. Radford, L. Metz and S. Chintala, "Unsupervised representation learning with deep convolutional generative
       adversarial networks", ICLR 2016.
    .. [3] M. Arjovsky, S. Chintala and L. Bottou, "Wasserstein generative adversarial networks", ICML 2017,
       algorithm 1.
    .. [4] I. Gulrajani et al., "Improved training of Wasserstein GANs", NIPS 2017, algorithm 1.
    .. [5] D. Berthelot, T. Schumm and L. Metz, "BEGAN: boundary equilibrium generative adversarial networks", 2017,
       arXiv:1703.10717, section 3.
    .. [6] T. Salimans et al., "Improved techniques for training GANs", NIPS 2016, sections 3.2 and 3.4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.generative import ImageGAN
    >>> X, y = load_digits().images * (255 / 16), load_digits().target
    >>> gan = ImageGAN(conditional=True, epochs=2, n_evaluations=0, random_state=0).fit(X[:200], y[:200])
    >>> gan.sample(3, y=[0, 1, 2], random_state=0).shape
    (3, 8, 8)
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "loss": [StrOptions(set(LOSSES))],
        "conditional": ["boolean"],
        "n_components": [Interval(Integral, 1, MAX_UNITS, closed="both")],
        "layers": [StrOptions(set(LAYERS))],
        "filters": "no_validation",
        "label_embedding": [Interval(Integral, 1, MAX_UNITS, closed="both"), None],
        "generator": "no_validation",
        "discriminator": "no_validation",
        "image_size": "no_validation",
        "color_mode": [StrOptions({"auto", "rgb", "grayscale"})],
        "resize": [StrOptions(set(RESIZE_RULES))],
        "n_critic": [Interval(Integral, 1, None, closed="left"), None],
        "gradient_penalty": [Interval(Real, 0, None, closed="left")],
        "clip": [Interval(Real, 0, None, closed="neither")],
        "diversity_ratio": [Interval(Real, 0, 1, closed="right")],
        "label_smoothing": [Interval(Real, 0, 0.5, closed="both")],
        "minibatch_discrimination": [Interval(Integral, 0, 1024, closed="both")],
        "ema": [Interval(Real, 0, 1, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "learning_rate_schedule": [StrOptions({"constant", "cosine", "warmup_cosine"})],
        "optimizer": "no_validation",
        "features": "no_validation",
        "n_evaluations": [Interval(Integral, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "root": "no_validation",
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    _form: dict[str, Any]
    _weights: Weights
    _history: list[dict[str, Any]]
    _resume: dict[str, Any] | None

    def __init__(
        self,
        loss: str = "wgan-gp",
        *,
        conditional: bool = False,
        n_components: int = 32,
        layers: str = "auto",
        filters: Sequence[int] | None = None,
        label_embedding: int | None = None,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        image_size: int | tuple[int, int] | None = None,
        color_mode: str = "auto",
        resize: str = "stretch",
        n_critic: int | None = None,
        gradient_penalty: float = 10.0,
        clip: float = 0.01,
        diversity_ratio: float = 0.5,
        label_smoothing: float = 0.0,
        minibatch_discrimination: int = 0,
        ema: float = 0.999,
        epochs: int = 300,
        learning_rate: float | None = None,
        learning_rate_schedule: str = "cosine",
        optimizer: str | keras.optimizers.Optimizer | None = None,
        features: TransformerMixin | None = None,
        n_evaluations: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        batch_size: int = 64,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = "auto",
    ):
        self.loss = loss
        self.conditional = conditional
        self.n_components = n_components
        self.layers = layers
        self.filters = filters
        self.label_embedding = label_embedding
        self.generator = generator
        self.discriminator = discriminator
        self.image_size = image_size
        self.color_mode = color_mode
        self.resize = resize
        self.n_critic = n_critic
        self.gradient_penalty = gradient_penalty
        self.clip = clip
        self.diversity_ratio = diversity_ratio
        self.label_smoothing = label_smoothing
        self.minibatch_discrimination = minibatch_discrimination
        self.ema = ema
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizer = optimizer
        self.features = features
        self.n_evaluations = n_evaluations
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.batch_size = batch_size
        self.root = root
        self.max_pixels = max_pixels
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike | None = None) -> Self:
        """Train both networks from the beginning, or from a checkpoint of the same run.

        Parameters
        ----------
        X : array-like of n_samples images
            At least 4. See :func:`skcnn.images.as_images`.
        y : array-like of shape (n_samples,) or None, default=None
            Labels. Only used if conditional.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image: :func:`skcnn.images.drop_bad_images` leaves them out.
        CheckpointError
            If the checkpoint is damaged, or belongs to another run.
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter, X or y is invalid, or if training diverges.

        Warns
        -----
        CollapseWarning
            If the images generated at the end vary far less than real ones, or if too few real images have a generated
            one near them.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            for name in ("_token", "classes_"):  # a fit that fails leaves nothing behind that looks fitted
                self.__dict__.pop(name, None)
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            codes, classes = labels_and_classes(self, y, len(images))
            self._form = form_of(self, images, 0 if classes is None else len(classes))
            design = self._design
            examples, held_out, read = examples_of(self, images, codes, design, self._seed)
            plan = plan_of(self, design, len(examples.rows), self._seed)
            checkpoint = checkpoint_of(self, plan, images, codes)
            progress = Progress() if checkpoint is None else checkpoint.load() or Progress()
            if not progress.finished:
                judge = None
                if plan.judged:
                    judge = Judge(features_of(self), images_of_pixels(read(held_out), design.n_channels))
                initial = design.initial_weights(self._seed)
                play(plan, examples, initial, progress, judge, None if checkpoint is None else checkpoint.save)
            self._end(progress, codes, classes)
        warn_of_collapse(self._history, stacklevel=2)
        return self

    def partial_fit(self, X: Any, y: ArrayLike | None = None, classes: ArrayLike | None = None) -> Self:
        """Train for one more epoch, starting from the current networks; images are not compared.

        Parameters
        ----------
        X : array-like of n_samples images
            At least 2. The first call sets the size, and whether images have colours.
        y : array-like of shape (n_samples,) or None, default=None
            Labels. Only used if conditional.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that occur in any of the calls. Needed in the first call if conditional.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image.
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter, X or y is invalid, or if training diverges.

        Notes
        -----
        The learning rate is constant. A saved file does not hold the state of the optimizers: after :func:`skcnn.load`,
        training continues from the averaged generator with new optimizers.
        """
        is_first = not self.__sklearn_is_fitted__()
        with fetched_once(self._check_input(X, reset=is_first)) as images:
            if not is_first and classes is None:
                classes = getattr(self, "classes_", None)
            codes, known = labels_and_classes(self, y, len(images), classes=classes, is_partial=True)
            if is_first:
                self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
                self._form = form_of(self, images, 0 if known is None else len(known))
            design = self._design
            examples, _, _ = examples_of(self, images, codes, design, self._seed, keep_all=True)
            history = [] if is_first else self._history
            plan = plan_of(self, design, len(examples.rows), self._seed, epochs=len(history) + 1)
            progress = Progress(history=list(history), epoch=len(history))
            progress.weights[SNAPSHOTS] = [] if is_first else self._snapshots
            if is_first:
                initial = design.initial_weights(self._seed)
            elif self._resume is None:
                initial = {**self._weights, "generator": self._weights["average"]}
            else:
                initial = self._resume["weights"]
                progress.optimizer = self._resume["optimizer"]
            play(plan, examples, initial, progress, None, None)
            self._end(progress, codes, known)
        return self

    def sample(
        self, n_samples: int = 1, y: Any = None, random_state: int | np.random.RandomState | None = None
    ) -> np.ndarray:
        """Return new images from random codes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of images.
        y : label, array-like of shape (n_samples,) or None, default=None
            The class of all images, or of each one. Only if conditional; None draws classes with the frequencies that
            they had in the y of ``fit``.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, height, width, 3) or (n_samples, height, width), uint8
            In colour, or in grey levels.

        Raises
        ------
        ValueError
            If ``n_samples`` is not an int of at least 1, or y has other classes than ``fit``.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples={n_samples!r}; expected an int >= 1.")
        random = check_random_state(random_state)
        codes = random.standard_normal((int(n_samples), self._form["n_components"]))
        if y is None and hasattr(self, "classes_"):
            y = self.classes_[random.choice(len(self.classes_), int(n_samples), p=self._frequencies)]
        return self.generate(codes, y)

    def generate(self, codes: ArrayLike, y: Any = None) -> np.ndarray:
        """Return the images of given codes.

        Parameters
        ----------
        codes : array-like of shape (n_samples, n_components)
            :meth:`sample` draws them from the standard normal distribution.
        y : label, array-like of shape (n_samples,) or None, default=None
            The class of all images, or of each one. Needed if conditional.

        Returns
        -------
        ndarray of shape (n_samples, height, width, 3) or (n_samples, height, width), uint8
            In colour, or in grey levels. The same codes always give the same images.

        Raises
        ------
        ValueError
            If codes have another shape or are not finite, or y has other classes than ``fit``.
        """
        check_is_fitted(self)
        given = np.asarray(codes, np.float32)
        n_components = self._form["n_components"]
        if given.ndim != 2 or given.shape[1] != n_components or not len(given) or not np.isfinite(given).all():
            raise ValueError(f"codes has shape {given.shape}; expected finite numbers of shape (n, {n_components}).")
        inputs = {"codes": given}
        indicators = asked_labels(self, y, len(given))
        if indicators is not None:
            inputs["labels"] = indicators
        return images_of(self._design, self._weights["average"], inputs, self._token)

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the kernel distance between real images and as many generated ones: greater is better.

        Parameters
        ----------
        X : array-like of n_samples images
            At least 2, which the estimator was not fitted on; the first 1,000 are used.
        y : ignored
            For the API of scikit-learn.

        Returns
        -------
        float
            Computed from the estimator's ``features``. About 0 if generated images are like those of X; see
            :func:`skcnn.metrics.kernel_distance`. At least 200 images are generated, always the same ones.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If there are fewer than two images.
        """
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        if len(images) < 2:
            raise ValueError("X holds one image; expected at least 2, whose features are compared with each other.")
        read = reader_of(images, self.image_size_, self.resize, self.max_pixels)
        judge = Judge(features_of(self), images_of_pixels(read(np.arange(len(images))), self.n_channels_))
        return -judge(self.sample(judge.n_images, random_state=self._seed % 2**32))["kernel_distance"]

    @property
    def generator_(self) -> Any:
        """A plain Keras model with the trained weights, from codes to pixels."""
        check_is_fitted(self)
        return plain_generator(self._design, {"generator": self._weights["average"]})

    @property
    def discriminator_(self) -> Any:
        """A plain Keras model with the trained weights, from pixels to a score."""
        check_is_fitted(self)
        return plain_discriminator(self._design, self._weights)

    @property
    def history_(self) -> pd.DataFrame:
        """One row per epoch: the losses and their parts, and comparisons with real images."""
        check_is_fitted(self)
        return pd.DataFrame(self._history)

    @property
    def _design(self) -> Design:
        return design_of(self._form)

    @property
    def snapshots_(self) -> np.ndarray | None:
        """Images of the same codes, after each epoch in which images were compared."""
        check_is_fitted(self)
        return np.stack(self._snapshots) if self._snapshots else None

    def _end(self, progress: Progress, codes: np.ndarray | None, classes: np.ndarray | None) -> None:
        """Set what a fit leaves behind."""
        self._weights = {name: progress.weights[name] for name in ("average", "discriminator")}
        self._resume = {
            "weights": {name: progress.weights[name] for name in ("generator", "discriminator")},
            "optimizer": progress.optimizer,
        }
        self._snapshots = progress.weights.get(SNAPSHOTS, [])
        self._history = progress.history
        self.image_size_, self.n_channels_ = self._form["image_size"], self._form["n_channels"]
        self.n_iter_, self.best_epoch_ = len(progress.history), best_epoch(progress)
        if classes is not None and codes is not None:
            self.classes_ = classes
            counts = np.bincount(codes, minlength=len(classes))
            self._frequencies = counts / counts.sum()
        self._token = uuid.uuid4().hex

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise; networks that were given go into ``members``."""
        return pack_networks(self, members)

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were, once the sizes are known to fit."""
        if self.image_size is not None:
            as_image_size(self.image_size)  # bounded, and so what is computed per image
        return unpack_networks(self, members)

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there are weights, for scikit-learn."""
        return hasattr(self, "_token")

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        tags.target_tags.required = bool(self.conditional)
        return tags
