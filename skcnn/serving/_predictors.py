"""What a saved model predicts of an image, as values of JSON: by its program, or else by the estimator."""

from __future__ import annotations

import base64
import ctypes
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from skcnn.images import BadImageError, as_images, one_pass

if TYPE_CHECKING:
    from skcnn.programs import Program

#: Sides of the image of noise on which a model is tried when it is loaded.
_TRIAL = (64, 48)

#: Pixels from which on an image takes memory that is worth to be given back.
_LARGE = 4_000_000


class Predicted(NamedTuple):
    """The prediction of a model for one image; attributes that it does not predict are None.

    Parameters
    ----------
    label : str, int, float, bool or list of these, or None
        The predicted class, or a list of classes if an image can have several.
    probabilities : ndarray of shape (n_classes,), or None
    numbers : ndarray of shape (n_targets,), or None
    boxes : list of dict or None
    mask : ndarray of shape (height, width), uint8, or None
        The number of the class of each pixel.
    distance : float or None
        Distance to the training set.
    farther_than : float or None
        The fraction of the training images with a smaller distance.
    """

    label: Any = None
    probabilities: np.ndarray | None = None
    numbers: np.ndarray | None = None
    boxes: list[dict[str, Any]] | None = None
    mask: np.ndarray | None = None
    distance: float | None = None
    farther_than: float | None = None


class ImageRefusedError(ValueError):
    """An image cannot be predicted: it is damaged, too large, or not an image."""


class Predictor(ABC):
    """A model that predicts images of a batch, which were prepared in other threads.

    Attributes
    ----------
    kind : {"classes", "numbers", "boxes", "masks"}
        What it predicts.
    classes : list or None
        The classes, in the order of the probabilities.
    runs_by : {"program", "estimator"}
    note : str or None
        Why it does not run by a program.
    """

    kind: str
    classes: list[Any] | None = None
    runs_by: str
    note: str | None = None

    @abstractmethod
    def prepare(self, content: bytes | np.ndarray, max_pixels: int) -> Any:
        """Return what :meth:`run` takes of an image: encoded bytes, or pixels (height, width, 3) uint8.

        Raises
        ------
        ImageRefusedError
            If it is not an image, or too large; then nothing is decoded.
        """

    @abstractmethod
    def run(self, images: list[Any]) -> Sequence[Predicted | ImageRefusedError]:
        """Return what is predicted of each image of a batch."""


class ProgramPredictor(Predictor):
    """A program: images are decoded in the threads that prepare them, and the network runs in that of the model."""

    runs_by = "program"

    def __init__(self, program: Program):
        self._program = program
        self.kind = "numbers" if program.classes_ is None else "classes"
        self.classes = None if program.classes_ is None else program.classes_.tolist()
        program.run(np.zeros((1, *program.image_size, 3), np.uint8))

    def prepare(self, content: bytes | np.ndarray, max_pixels: int) -> np.ndarray:
        """Return pixels of the size of the network."""
        n_pixels = check_pixels(content, max_pixels)
        images, size, resize = _images_of(content), self._program.image_size, self._program.resize
        try:
            return _refusing(lambda: images.decode(0, size, resize=resize, max_pixels=max_pixels))
        finally:
            if n_pixels > _LARGE:
                _give_back()

    def run(self, images: list[np.ndarray]) -> list[Predicted]:
        """Return what is predicted of each image of a batch."""
        outputs, distances = self._program.run(np.stack(images))
        if self.classes is None:
            predicted = [Predicted(numbers=row) for row in outputs]
        else:
            predicted = [Predicted(self.classes[int(row.argmax())], row) for row in outputs]
        if distances is None:
            return predicted
        rows = zip(predicted, distances.tolist(), self._program.farther_than(distances).tolist(), strict=True)
        return [one._replace(distance=distance, farther_than=fraction) for one, distance, fraction in rows]


class EstimatorPredictor(Predictor):
    """An estimator, which decodes images itself, one batch after another.

    Parameters
    ----------
    model : estimator
        What :func:`skcnn.load` returns.
    note : str
        Why it does not run by a program.

    Raises
    ------
    TypeError
        If it has no predictions, or predictions that cannot be served.
    """

    runs_by = "estimator"

    def __init__(self, model: Any, note: str):
        from sklearn.base import is_classifier, is_regressor

        self._model, self.note = model, note
        if not hasattr(model, "predict"):
            raise TypeError(f"A {type(model).__name__} cannot be served: it predicts nothing.")
        trial = np.random.default_rng(0).integers(0, 256, (*_TRIAL, 3), np.uint8)
        try:
            predicted = model.predict([_encoded(trial)])
        except (TypeError, ValueError, AttributeError) as error:
            raise TypeError(f"A {type(model).__name__} cannot be served: {error}") from error
        classes = getattr(model, "classes_", None)
        self.classes = None if classes is None else np.asarray(classes).tolist()
        if is_classifier(model):
            self.kind, self._rows = "classes", self._classified
        elif is_regressor(model):
            self.kind, self._rows = "numbers", self._numbers
        elif isinstance(predicted[0], np.ndarray) and predicted[0].dtype == np.uint8:
            self.kind, self._rows = "masks", self._masks
        elif hasattr(predicted[0], "to_dict") or hasattr(predicted, "to_dict"):
            self.kind, self._rows = "boxes", self._boxes
        else:
            raise TypeError(f"A {type(model).__name__} cannot be served: it predicts {type(predicted[0]).__name__}s.")

    _rows: Callable[[list[bytes]], list[Predicted]]

    def prepare(self, content: bytes | np.ndarray, max_pixels: int) -> bytes | np.ndarray:
        """Return the image unchanged, after checking the size in its header."""
        check_pixels(content, max_pixels)
        return content

    def run(self, images: list[bytes]) -> list[Predicted | ImageRefusedError]:
        """Return what is predicted of each image of a batch; those that cannot be decoded are left out of it."""
        results: list[Any] = [None] * len(images)
        left = list(range(len(images)))
        try:
            rows = self._predicted(images)
        except BadImageError as error:
            for bad in error.bad_rows.itertuples():
                results[bad.row] = ImageRefusedError(str(bad.reason))
            left = [number for number in left if results[number] is None]
            rows = self._predicted([images[number] for number in left]) if left else []
        for number, row in zip(left, rows, strict=True):
            results[number] = row
        return results

    def _predicted(self, images: list[bytes]) -> list[Predicted]:
        """Return what is predicted, with distances if the model knows the features of its training set."""
        if (known := getattr(self._model, "training_features_", None)) is None:
            return self._rows(images)
        from skcnn.exporting import bottleneck_features

        with one_pass():
            rows = self._rows(images)
            distances = known.distances(bottleneck_features(self._model, images))
        found = zip(rows, distances.tolist(), known.farther_than(distances).tolist(), strict=True)
        return [row._replace(distance=distance, farther_than=fraction) for row, distance, fraction in found]

    def _classified(self, images: list[bytes]) -> list[Predicted]:
        with one_pass():
            probabilities: Any = [None] * len(images)
            if hasattr(self._model, "predict_proba"):
                probabilities = np.asarray(self._model.predict_proba(images))
            labels = np.asarray(self._model.predict(images))  # by a threshold not always the most probable
        if labels.ndim == 2 and self.classes is not None:  # an image has several
            found = [[self.classes[number] for number in np.flatnonzero(row)] for row in labels]
        else:
            found = labels.tolist()
        return [Predicted(label, row) for label, row in zip(found, probabilities, strict=True)]

    def _numbers(self, images: list[bytes]) -> list[Predicted]:
        return [Predicted(numbers=np.atleast_1d(row)) for row in np.asarray(self._model.predict(images))]

    def _masks(self, images: list[bytes]) -> list[Predicted]:
        return [Predicted(mask=mask) for mask in self._model.predict(images)]

    def _boxes(self, images: list[bytes]) -> list[Predicted]:
        found = self._model.predict(images)
        if hasattr(found, "to_dict"):  # of a localizer: one row per image
            return [Predicted(boxes=[row]) for row in _plain_rows(found)]
        return [Predicted(boxes=_plain_rows(table)) for table in found]


def check_pixels(content: bytes | np.ndarray, max_pixels: int) -> int:
    """Return the number of pixels of an image from its header; nothing is decoded.

    Raises
    ------
    ImageRefusedError
        If it is not an image, or too large.
    """
    height, width = _refusing(lambda: _images_of(content).size(0))
    if height * width > max_pixels:
        raise ImageRefusedError(f"{width} x {height} = {height * width} pixels; expected at most {max_pixels:,}")
    return height * width


def _give_back() -> None:
    """Give freed memory back to the system: glibc keeps what large images took, for each thread that decodes."""
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another library of C
        return None


def mask_as_png(mask: np.ndarray) -> str:
    """Return a mask as a grey PNG image in base64, in which a pixel is the number of its class."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _plain_rows(table: Any) -> list[dict[str, Any]]:
    return [
        {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def _images_of(content: bytes | np.ndarray) -> Any:
    """Return what a client sent as Images of one row: never a str, which would be a path or a URL."""
    if isinstance(content, np.ndarray):
        return as_images(content[np.newaxis])
    return as_images([bytes(content)])


def _refusing(decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except (OSError, TypeError, ValueError) as error:
        raise ImageRefusedError(str(error) or type(error).__name__) from None
    except MemoryError:
        raise ImageRefusedError("there is not enough memory to decode it") from None


def _encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
