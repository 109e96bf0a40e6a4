"""VariationalAutoencoder: images to codes that are like draws of a normal distribution, and back."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from skcnn._training import Weights
from skcnn.decomposition._base import BaseAutoencoder
from skcnn.decomposition._network import cross_entropy, targets_of

if TYPE_CHECKING:
    import keras


class VariationalAutoencoder(BaseAutoencoder):
    r"""Variational autoencoder (VAE): codes are like draws of a normal distribution, so that new images can be sampled.

    The encoder gives each image :math:`x` a normal distribution :math:`q` of codes :math:`z`, by means and variances.
    The decoder gives each code a distribution :math:`p` of images, where each value of a pixel, in [0, 1], counts as
    the probability of being 1. Training maximises

    .. math:: \mathbb{E}_{q(z|x)}[\log p(x|z)] - \beta\,\mathrm{KL}\big(q(z|x)\,\|\,\mathcal{N}(0, I)\big),

    which for :math:`\beta = 1` bounds the log-likelihood of an image from below (the ELBO, in nats).

    Parameters
    ----------
    n_components : int, default=16
        Length of a code. Components that the images do not need stay at 0 with a variance of 1.
    beta : float, default=1.0
        Weight of the divergence. More makes components independent and images blurred; less makes reconstructions
        better and samples worse.
    filters : sequence of int, default=(32, 64)
        Channels of the encoder's convolutions, each of which halves height and width; the decoder's are the same in
        reverse. Give large images more of them, such as ``(32, 64, 128, 256)`` for 128 pixels.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to. None is the size of the arrays in the X of ``fit`` if all of its
        images are arrays of one size, and 64 otherwise.
    color_mode : {"auto", "rgb", "grayscale"}, default="auto"
        Whether images have colours, or one channel of grey levels. ``"auto"`` is grey if all images in the X of ``fit``
        are arrays without colours, (height, width) or (height, width, 1).
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How to handle other aspect ratios.
    epochs : int, default=100
        Epochs of training.
    learning_rate : float, default=1e-3
        Learning rate at the beginning.
    learning_rate_schedule : {"constant", "cosine", "plateau", "warmup_cosine"}, default="cosine"
        ``"cosine"`` decays to 0 in the last epoch: reconstructions get sharper in the end. ``"plateau"`` halves the
        rate when the loss (on the validation set, if there is one) has not fallen for half of ``n_iter_no_change``
        epochs.
        ``"warmup_cosine"`` rises from 0 in the first twentieth, and then decays.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        A new one of this configuration is made for each fit.
    early_stopping : bool, default=False
        Split off a validation set, stop when the validation loss has not fallen for ``n_iter_no_change`` epochs, and
        restore the weights of the best epoch.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the rows in the validation set. Only used if ``early_stopping=True``.
    n_iter_no_change : int, default=10
        Number of epochs without improvement before training stops.
    batch_size : int, default=32
        Images per step.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    on_error : {"raise", "nan"}, default="raise"
        How to handle rows without an image. ``"raise"``: raise a :class:`~skcnn.images.BadImageError` that names them
        all, before training begins. ``"nan"``: warn, train without them, and give codes of NaN for them.
    max_pixels : int or None, default=None
        Images with more pixels are bad rows; None is Pillow's limit.
    checkpoint : path-like or None, default=None
        Folder where a run saves its state after every epoch. A run that was killed resumes when ``fit`` is called again
        with the same parameters and data, and ends with the same result. Every run has its own file; delete the folder
        afterwards. Needs an int as ``random_state``.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, order, draws of codes and the validation set. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook where training takes longer than 5 seconds. 0 shows
        nothing, 1 Keras's progress bar, 2 one line per epoch.

    Attributes
    ----------
    encoder_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255], red, green and blue, to the means of codes (n, n_components).
        Scaling, and the grey level where images are grey, are inside: so it is a ``backbone`` of
        :class:`~skcnn.neural_network.CNNClassifier` and :class:`~skcnn.feature_extraction.BottleneckFeatures`. Built at
        each access.
    decoder_ : keras.Model
        From codes to pixels (n, height, width, n_channels) in [0, 255]. Built at each access.
    image_size_ : tuple of (height, width)
        Size of the images in pixels.
    n_channels_ : {1, 3}
        1 if images are grey, else 3.
    history_ : DataFrame of shape (n_epochs, n_columns)
        One row per epoch: ``phase`` ("training"), ``epoch`` (from 1), ``loss``, ``cross_entropy`` (its
        first part, in nats), ``learning_rate`` at the end of
        the epoch, and with early stopping ``val_loss`` and ``val_cross_entropy``.
    n_iter_ : int
        Number of epochs.
    best_epoch_ : int
        Number of the epoch that the weights are from.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    ConvAutoencoder : Without a distribution of codes: reconstructions are sharper.

    References
    ----------
    D. P. Kingma, M. Welling, "Auto-encoding variational Bayes", ICLR 2014, sections 2.3 and 3, appendix B.

    I. Higgins, L. Matthey, A. Pal, C. Burgess, X. Glorot, M. Botvinick, S. Mohamed, A. Lerchner, "beta-VAE: learning
    basic visual concepts with a constrained variational framework", ICLR 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.decomposition import VariationalAutoencoder
    >>> X = load_digits().images * (255 / 16)
    >>> vae = VariationalAutoencoder(8, epochs=2, random_state=0).fit(X[:100])
    >>> vae.transform(X[100:103]).shape
    (3, 8)
    >>> vae.sample(5, random_state=0).shape
    (5, 8, 8)
    """

    _is_variational = True

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **BaseAutoencoder._parameter_constraints,
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 16,
        *,
        beta: float = 1.0,
        filters: Sequence[int] = (32, 64),
        image_size: int | tuple[int, int] | None = None,
        color_mode: str = "auto",
        resize: str = "stretch",
        epochs: int = 100,
        learning_rate: float = 1e-3,
        learning_rate_schedule: str = "cosine",
        optimizer: str | keras.optimizers.Optimizer = "adam",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        batch_size: int = 32,
        root: str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        max_pixels: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | str = "auto",
    ):
        self.n_components = n_components
        self.beta = beta
        self.filters = filters
        self.image_size = image_size
        self.color_mode = color_mode
        self.resize = resize
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizer = optimizer
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.batch_size = batch_size
        self.root = root
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> np.ndarray:
        """Return new images: of codes drawn from the standard normal distribution.

        Parameters
        ----------
        n_samples : int, default=1
            Number of images.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, height, width, 3) or (n_samples, height, width), uint8
            As from :meth:`inverse_transform`.
        """
        check_is_fitted(self)
        return self.inverse_transform(check_random_state(random_state).standard_normal((n_samples, self._n_components)))

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal distributions of the codes of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components), float32
            What :meth:`transform` returns.
        variance : ndarray of shape (n_samples, n_components), float32
            Of each component. NaN, as the means, for rows without an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        """
        check_is_fitted(self)
        mean, log_variance = self._encoded(self._check_input(X, reset=False))
        return mean, np.exp(log_variance)

    def score_samples(self, X: Any, *, n_draws: int = 10) -> np.ndarray:
        """Return the evidence lower bound (ELBO) of each image, estimated by draws of codes.

        Draws depend on the image and on the estimator's ``random_state`` alone, not on the other images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        n_draws : int, default=10
            Number of codes per image.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            In nats, at most 0: greater is better. With ``beta`` of 1, whatever it was in ``fit``. NaN for rows without
            an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        ValueError
            If ``n_draws`` is not an int of at least 1.
        """
        if not isinstance(n_draws, Integral) or n_draws < 1:
            raise ValueError(f"n_draws={n_draws!r}; expected an int >= 1.")

        def bound(pixels: np.ndarray) -> np.ndarray:
            mean, log_variance = (part.astype(np.float64) for part in self._encode(pixels))
            seeds = ((self._seed, zlib.crc32(image.tobytes())) for image in pixels)
            draws = [np.random.default_rng(seed).standard_normal((int(n_draws), self._n_components)) for seed in seeds]
            codes = mean[:, None] + np.exp(log_variance / 2)[:, None] * np.array(draws)
            targets = targets_of(pixels, self.n_channels_).astype(np.float64)
            found = np.zeros(len(pixels))
            for draw in codes.transpose(1, 0, 2):
                found += log_likelihood(targets, self._decode(draw.astype(np.float32)))
            divergence = (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1) / 2
            return found / n_draws - divergence

        return self._per_image(X, bound)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean evidence lower bound (ELBO) of images: greater is better.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : ignored
            For the API of scikit-learn.

        Returns
        -------
        float
            The mean of :meth:`score_samples`, in nats per image.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        """
        return float(np.mean(self.score_samples(X)))

    def _objective(self) -> tuple[Callable[[Any, Any], Any], list[Callable[[Any, Any], Any]]]:
        return cross_entropy, [cross_entropy]

    def _spread(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(self._n_components), np.ones(self._n_components)

    def _constants(self) -> Weights:
        return {"beta": [np.array(self.beta, np.float32)]}


def log_likelihood(targets: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of the probability of images, (n,) float64: minus the cross-entropy in nats.

    Parameters
    ----------
    targets : ndarray of shape (n, height, width, n_channels)
        Values in [0, 1].
    logits : ndarray of the same shape
        Logits of the probabilities of 1.
    """
    logits = logits.astype(np.float64)
    return (targets * logits - np.logaddexp(0, logits)).sum(axis=(1, 2, 3))
