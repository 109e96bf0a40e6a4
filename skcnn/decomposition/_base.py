"""What autoencoders share: training, codes, and images from codes."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn._training import (
    MAX_UNITS,
    SCHEDULES,
    Checkpoint,
    Monitor,
    Phase,
    Progress,
    Run,
    Settings,
    Stage,
    Weights,
    as_optimizer,
    batches_of_images,
    check_resumable,
    decoded_images,
    image_reader,
    keras_as_data,
    keras_from_data,
    report_bad_rows,
    run_identity,
    train,
    undecodable,
    validation_split,
)
from skcnn.decomposition._network import (
    Design,
    decoding_graph,
    encoding_graph,
    in_parts,
    plain_autoencoder,
    plain_decoder,
    plain_encoder,
    targets_of,
    training_graph,
)
from skcnn.images import RESIZE_RULES, BadRow, Images, ImageSource, as_image_size, fetched_once, remembered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Height and width of images that do not say it themselves.
OPEN_SIZE = (64, 64)

#: Images whose pixels take no more bytes are decoded once; those of larger sets again in every epoch.
MAX_DECODED_BYTES = 2**30

_NOT_OF_THE_RUN = ("root", "checkpoint", "verbose")


class BaseAutoencoder(ImageInputMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """Base of estimators that learn to encode images in a few numbers, and to decode these.

    A subclass spells out the parameters, and says what is minimised: :meth:`_objective`.
    """

    _is_variational = False

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "n_components": [Interval(Integral, 1, MAX_UNITS, closed="both")],
        "filters": "no_validation",
        "image_size": "no_validation",
        "color_mode": [StrOptions({"auto", "rgb", "grayscale"})],
        "resize": [StrOptions(set(RESIZE_RULES))],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
        "optimizer": "no_validation",
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "root": "no_validation",
        "on_error": [StrOptions({"raise", "nan"})],
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose", StrOptions({"auto"})],
    }

    _weights: Weights
    _history: list[dict[str, Any]]

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train encoder and decoder from the beginning, or from a checkpoint of the same run.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : ignored
            For the API of scikit-learn.

        Returns
        -------
        self : estimator

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        CheckpointError
            If the checkpoint is damaged, or belongs to another run.
        TypeError
            If a parameter or X has the wrong type.
        ValueError
            If a parameter or X is invalid, or if the loss becomes infinite.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            self.__dict__.pop("_token", None)  # a fit that fails leaves nothing behind that looks fitted
            self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self.image_size_ = _size_of(images) if self.image_size is None else as_image_size(self.image_size)
            self.n_channels_ = 1 if self._is_grey(images) else 3
            self._filters, self._n_components = self._checked_filters(), int(self.n_components)
            design = self._design
            read, bad = self._reader(images)
            if bad:
                report_bad_rows(bad, len(images), self.on_error)
            rows = np.setdiff1d(np.arange(len(images)), [row.row for row in bad])
            if not len(rows):
                raise ValueError("No row is left for training; expected at least one row with an image.")
            progress = self._train(images, design, read, rows)
            self._weights, self._history = progress.weights, progress.history
            self.best_epoch_, self.n_iter_ = progress.best_epoch(Monitor()), len(progress.history)
            self._token = uuid.uuid4().hex
            self._finish(read, rows)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the codes of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples, n_components), float32
            NaN for rows without an image if ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        """
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        return remembered(self, images, lambda: self._encoded(images)[0])

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Return the images of codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes, as :meth:`transform` gives them, or others.

        Returns
        -------
        ndarray of shape (n_samples, height, width, 3) or (n_samples, height, width), uint8
            In colour, or in grey levels.

        Raises
        ------
        ValueError
            If X has another shape, or holds NaN.
        """
        check_is_fitted(self)
        codes = np.asarray(check_array(X, dtype=np.float32, input_name="X"))
        if codes.shape[1] != self._n_components:
            raise ValueError(
                f"X has shape {codes.shape}; expected codes of shape (n_samples, {self._n_components}), as transform "
                "returns them."
            )
        images = [np.rint(255 * expit(self._decode(part))) for part in in_parts(codes, self.batch_size)]
        pixels = np.concatenate(images).astype(np.uint8)
        return pixels if self.n_channels_ == 3 else pixels[..., 0]

    def reconstruction_error(self, X: Any) -> np.ndarray:
        """Return how far each image is from the image of its code: large for images unlike those of ``fit``.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Mean squared error of the pixels' values, which are in [0, 1]. NaN for rows without an image if
            ``on_error="nan"``.

        Raises
        ------
        BadImageError
            If rows have no image and ``on_error="raise"``.
        """

        def error(pixels: np.ndarray) -> np.ndarray:
            found = expit(self._decode(self._encode(pixels)[0]).astype(np.float64))
            return ((found - targets_of(pixels, self.n_channels_)) ** 2).mean(axis=(1, 2, 3))

        return self._per_image(X, error)

    @property
    def encoder_(self) -> Any:
        """A plain Keras model with the trained weights, from raw pixels to codes."""
        check_is_fitted(self)
        return plain_encoder(self._design, self._weights)

    @property
    def decoder_(self) -> Any:
        """A plain Keras model with the trained weights, from codes to pixels."""
        check_is_fitted(self)
        return plain_decoder(self._design, self._weights)

    @property
    def history_(self) -> pd.DataFrame:
        """One row per epoch: phase, epoch, loss, learning rate, and the loss on the validation set."""
        check_is_fitted(self)
        return pd.DataFrame(self._history)

    @abstractmethod
    def _objective(self) -> tuple[Callable[[Any, Any], Any], list[Callable[[Any, Any], Any]]]:
        """Return the loss, from targets and logits to a number per image, and what else the history shows."""

    def _constants(self) -> Weights:
        """Return groups of the training graph that do not learn."""
        return {}

    def _finish(self, read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> None:
        """Learn what else is wanted of the rows that ``read`` gives the pixels of, once the networks are trained."""

    @abstractmethod
    def _spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of each component of a code, over images; (n_components,) each."""

    @property
    def _design(self) -> Design:
        return Design(self.image_size_, self.n_channels_, self._filters, self._n_components, self._is_variational)

    @property
    def _n_features_out(self) -> int:
        return self._n_components

    def _checked_filters(self) -> tuple[int, ...]:
        filters = list(self.filters) if isinstance(self.filters, (Sequence, np.ndarray)) else []
        if not filters or not all(isinstance(n, (int, np.integer)) and 0 < n <= MAX_UNITS for n in filters):
            raise ValueError(
                f"filters={self.filters!r}; expected a sequence of ints in [1, {MAX_UNITS:,}], one per convolution"
            )
        return tuple(int(n) for n in filters)

    def _is_grey(self, images: Images) -> bool:
        if self.color_mode != "auto":
            return bool(self.color_mode == "grayscale")
        shapes = _shapes_of(images)
        return shapes is not None and all(len(shape) == 2 or shape[2] == 1 for shape in shapes)

    def _reader(self, images: Images) -> tuple[Callable[[np.ndarray], np.ndarray], list[BadRow]]:
        """Return a function from rows to pixels, and the rows without an image."""
        size = self.image_size_
        if len(images) * 3 * size[0] * size[1] > MAX_DECODED_BYTES:
            bad = undecodable(images, self.resize, self.max_pixels)
            return image_reader(images, size, self.resize, self.max_pixels), bad
        pixels, bad = decoded_images(images, size, self.resize, self.max_pixels)
        return lambda rows: pixels[rows], bad

    def _train(
        self, images: Images, design: Design, read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray
    ) -> Progress:
        """Return the end of a run, which is resumed or made."""
        optimizer, identity = as_optimizer(self.optimizer)
        if self.early_stopping and optimizer.use_ema:
            raise ValueError(
                "early_stopping=True restores the weights of the best epoch, but the optimizer's use_ema=True averages "
                "those of all epochs; expected only one of them."
            )
        loss, metrics = self._objective()
        checkpoint = None if self.checkpoint is None else self._checkpoint(images, design, identity)
        progress = None if checkpoint is None else checkpoint.load()
        if progress is not None and progress.finished:
            return progress
        validation = None
        if self.early_stopping:
            rows, validation = validation_split(rows, self.validation_fraction, self._seed)
        # What has not learned yet: all but the weights of the progress.
        initial = {**design.initial_weights(self._seed), **self._constants()}

        def driver(model: Any, fit: Callable[[Any], dict[str, Any]]) -> None:
            if not model.compiled:
                model.compile(optimizer=as_optimizer(self.optimizer)[0], loss=loss, metrics=metrics)
            fit(model)

        def examples(rows: np.ndarray, generator: np.random.Generator) -> tuple[Any, Any, np.ndarray]:
            pixels = read(rows)
            return pixels, targets_of(pixels, design.n_channels), np.ones(len(rows), np.float32)

        def stage(phase: Phase) -> Stage:
            return Stage(
                graph=lambda: training_graph(design, (loss.__name__, identity)),
                read=examples,
                initial=lambda: initial,
                learning=["encoder", "decoder"],
                plain=lambda weights: plain_autoencoder(design, weights),
            )

        settings = Settings(
            driver=driver,
            schedule=self.learning_rate_schedule,
            patience=int(self.n_iter_no_change),
            batch_size=int(self.batch_size),
            seed=self._seed,
            verbose=self.verbose,
        )
        progress = Progress() if progress is None else progress
        run = Run(stage, rows, validation, settings, None if checkpoint is None else checkpoint.save)
        train(run, progress, [Phase("training", int(self.epochs), float(self.learning_rate))])
        return progress

    def _checkpoint(self, images: Images, design: Design, optimizer: str) -> Checkpoint:
        check_resumable(self.checkpoint, self.random_state)
        given = {name: value for name, value in self.get_params(deep=False).items() if name not in _NOT_OF_THE_RUN}
        given |= {"optimizer": optimizer, "filters": design.filters}
        identity = [type(self).__name__, repr(design), sorted((name, repr(value)) for name, value in given.items())]
        return Checkpoint(self.checkpoint, run_identity(identity, images))

    def _encode(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Return codes (n, n_components), and with a variational encoder the logarithms of their variances."""
        with encoding_graph(self._design) as graph:
            graph.put(self._weights, self._token)
            found = graph.predict(pixels)
        return list(found) if self._is_variational else [found]

    def _decode(self, codes: np.ndarray) -> np.ndarray:
        """Return logits of pixels in [0, 1], (n, height, width, n_channels)."""
        with decoding_graph(self._design) as graph:
            graph.put(self._weights, self._token)
            return graph.predict(codes)

    def _encoded(self, images: Images) -> np.ndarray:
        """Return what the encoder gives, (1 or 2, n_samples, n_components); NaN for rows without an image."""
        found = np.full((2 if self._is_variational else 1, len(images), self._n_components), np.nan, np.float32)
        for rows, pixels in self._batches(images):
            found[:, rows] = self._encode(pixels)
        return found

    def _per_image(self, X: Any, value: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return a number per image, which ``value`` gives for the pixels of a batch."""
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        values = np.full(len(images), np.nan)
        for rows, pixels in self._batches(images):
            values[rows] = value(pixels)
        return values

    def _batches(self, images: Images) -> Iterator[tuple[list[int], np.ndarray]]:
        return batches_of_images(
            images, self.image_size_, int(self.batch_size), self.resize, self.max_pixels, self.on_error
        )

    def __skcnn_pack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that a saved file has otherwise."""
        return {"optimizer": keras_as_data(self.optimizer, "optimizer")}

    def __skcnn_unpack__(self, members: dict[str, bytes]) -> dict[str, Any]:
        """Return the parameters that :meth:`__skcnn_pack__` returned as they were, once the sizes are known to fit."""
        if self.image_size is not None:
            as_image_size(self.image_size)  # bounded, and so what is computed per image
        if self.__sklearn_is_fitted__():
            sizes = [self.n_channels_, self._n_components, *self._filters]
            if self.n_channels_ not in (1, 3) or not all(type(n) is int and 0 < n <= MAX_UNITS for n in sizes):
                raise ValueError(f"n_channels_, n_components and filters are {sizes}; expected 1 or 3, and sizes")
            as_image_size(self.image_size_)
            self._design.check_weights(self._weights)
        return {"optimizer": keras_from_data(self.optimizer, "optimizer")}

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there are weights, for scikit-learn."""
        return hasattr(self, "_token")

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.random_state is None
        tags.transformer_tags.preserves_dtype = []
        return tags


def _shapes_of(images: Images) -> set[tuple[int, ...]] | None:
    """Return the shapes of images that are arrays; None where some are something else."""
    if isinstance(images.items, np.ndarray):
        return {images.items.shape[1:]}
    items = [] if isinstance(images.items, ImageSource) else images.items
    if not items or not all(isinstance(item, np.ndarray) and item.ndim in (2, 3) for item in items):
        return None
    return {item.shape for item in items}


def _size_of(images: Images) -> tuple[int, int]:
    """Return height and width of arrays that all have the same, else :data:`OPEN_SIZE`."""
    sizes = {shape[:2] for shape in _shapes_of(images) or ()}
    return as_image_size(sizes.pop()) if len(sizes) == 1 else OPEN_SIZE
