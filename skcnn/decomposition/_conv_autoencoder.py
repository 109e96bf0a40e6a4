"""ConvAutoencoder: images to codes and back, with the least error."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn.decomposition._base import BaseAutoencoder
from skcnn.decomposition._network import LOSSES, in_parts

if TYPE_CHECKING:
    import keras


class ConvAutoencoder(BaseAutoencoder):
    """Convolutional autoencoder: images become a few numbers each, from which they can be reconstructed.

    An encoder gives each image a code, and a decoder makes an image of a code. Both are trained together, without
    labels, so that the image of a code resembles the one that the code was computed from. It is to images what
    :class:`sklearn.decomposition.PCA` is to tables, with networks in place of linear maps.

    Parameters
    ----------
    n_components : int, default=16
        Length of a code.
    filters : sequence of int, default=(32, 64)
        Channels of the encoder's convolutions, each of which halves height and width; the decoder's are the same in
        reverse. Give large images more of them, such as ``(32, 64, 128, 256)`` for 128 pixels.
    loss : {"mse", "binary_crossentropy"}, default="mse"
        What is minimised, of pixels in [0, 1]: the mean squared error; or the cross-entropy, where each pixel is the
        probability of being white, which suits images that are mostly black and white, such as digits.
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
        Seed of initial weights, order, and the validation set. Global seeds are not changed.
    verbose : int or "auto", default="auto"
        "auto" shows a progress bar in a terminal or a notebook where training takes longer than 5 seconds. 0 shows
        nothing, 1 Keras's progress bar, 2 one line per epoch.

    Attributes
    ----------
    encoder_ : keras.Model
        From raw pixels (n, height, width, 3) in [0, 255], red, green and blue, to codes (n, n_components). Scaling,
        and the grey level where images are grey, are inside: so it is a ``backbone`` of
        :class:`~skcnn.neural_network.CNNClassifier` and :class:`~skcnn.feature_extraction.BottleneckFeatures`. Built at
        each access.
    decoder_ : keras.Model
        From codes to pixels (n, height, width, n_channels) in [0, 255]. Built at each access.
    code_mean_ : ndarray of shape (n_components,), float64
        Mean of the codes of the training images.
    code_covariance_ : ndarray of shape (n_components, n_components), float64
        Their covariance.
    image_size_ : tuple of (height, width)
        Size of the images in pixels.
    n_channels_ : {1, 3}
        1 if images are grey, else 3.
    history_ : DataFrame of shape (n_epochs, n_columns)
        One row per epoch: ``phase`` ("training"), ``epoch`` (from 1), ``loss``, ``learning_rate`` at the end of
        the epoch, and with early stopping ``val_loss``.
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
    VariationalAutoencoder : Its codes are like draws of a normal distribution, so that new images can be sampled.
    sklearn.decomposition.PCA : The best linear reconstruction.

    References
    ----------
    G. E. Hinton, R. R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", Science 313, 2006.

    J. Masci, U. Meier, D. Ciresan, J. Schmidhuber, "Stacked convolutional auto-encoders for hierarchical feature
    extraction", ICANN 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skcnn.decomposition import ConvAutoencoder
    >>> X = load_digits().images * (255 / 16)
    >>> autoencoder = ConvAutoencoder(8, epochs=2, random_state=0).fit(X[:100])
    >>> codes = autoencoder.transform(X[100:103])
    >>> codes.shape
    (3, 8)
    >>> autoencoder.inverse_transform(codes).shape
    (3, 8, 8)
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        **BaseAutoencoder._parameter_constraints,
        "loss": [StrOptions(set(LOSSES))],
    }

    def __init__(
        self,
        n_components: int = 16,
        *,
        filters: Sequence[int] = (32, 64),
        loss: str = "mse",
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
        self.filters = filters
        self.loss = loss
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
        """Return new images: of codes drawn from the normal distribution with mean and covariance of those of ``fit``.

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
        generator = check_random_state(random_state)
        return self.inverse_transform(generator.multivariate_normal(self.code_mean_, self.code_covariance_, n_samples))

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the mean squared error of reconstruction: greater is better.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : ignored
            For the API of scikit-learn.

        Returns
        -------
        float
            Minus the mean of :meth:`reconstruction_error`.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        """
        return -float(np.mean(self.reconstruction_error(X)))

    def _objective(self) -> tuple[Callable[[Any, Any], Any], list[Callable[[Any, Any], Any]]]:
        return LOSSES[self.loss], []

    def _spread(self) -> tuple[np.ndarray, np.ndarray]:
        return self.code_mean_, np.sqrt(np.diag(self.code_covariance_))

    def _finish(self, read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> None:
        codes = np.concatenate([self._encode(read(part))[0] for part in in_parts(rows, self.batch_size)])
        self.code_mean_ = codes.mean(axis=0, dtype=np.float64)
        centred = codes - self.code_mean_
        self.code_covariance_ = centred.T @ centred / len(codes)
