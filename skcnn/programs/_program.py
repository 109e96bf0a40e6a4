"""A program: images in, probabilities out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from skcnn.engines import Engine, ONNXRuntimeNetwork, OpenVINONetwork, SavedNetwork, read_openvino
from skcnn.images import RESIZE_RULES, BadImageError, BadRow, as_image_size, as_images, bad_rows_frame, read_batches
from skcnn.programs._checks import MAX_VALUES, ProgramError, check_graph, check_sizes
from skcnn.programs._onnx_checks import checked_onnx

#: Members of a saved file, by the runtime that runs them: what the program says of itself, its graph, its weights.
MEMBERS = {
    "openvino": ("program/about.json", "program/network.xml", "program/network.bin"),
    "onnxruntime": ("program/about.json", "program/network.onnx", "program/network.bin"),
}

_MAX_ABOUT = 2**22
_MAX_LENGTHS = 1000


class Program:
    """A network and what follows it, run by OpenVINO or ONNX Runtime.

    Made by :func:`skcnn.save` with ``program=True``, and read by :func:`skcnn.persistence.load_program`.

    Parameters
    ----------
    members : mapping of str to bytes
        The members of a saved file, those of one runtime in :data:`MEMBERS`.

    Attributes
    ----------
    runtime : {"openvino", "onnxruntime"}
        What runs it.
    classes_ : ndarray of shape (n_classes,) or None
        Labels, in the order of the probabilities; None if numbers are predicted.
    image_size : tuple of (height, width)
        In pixels.
    resize : {"stretch", "crop", "pad"}
        How images are resized to it.
    training_distances_ : ndarray of shape (n_quantiles,), float64, or None
        Quantiles, at equal steps from 0 to 1, of the distances of the training set; None if the file has none.

    Raises
    ------
    ProgramError
        If the members are damaged or forged, or hold what a program may not hold.
    ImportError
        If what runs it is not installed; the message names the extra.
    """

    def __init__(self, members: Mapping[str, bytes]):
        runtimes = [runtime for runtime, names in MEMBERS.items() if set(names) == set(members)]
        if len(runtimes) != 1:
            expected = " or ".join(", ".join(names) for names in MEMBERS.values())
            raise ProgramError(f"it has the members {', '.join(members)}; expected {expected}")
        (self.runtime,) = runtimes
        about, graph, weights = (members[name] for name in MEMBERS[self.runtime])
        self.classes_, self.image_size, self.resize, self.training_distances_, self._features = _parsed(about)
        self._network = _NETWORKS[self.runtime](graph, weights, self.image_size)
        # The columns of what the network gives: outputs, a distance, features.
        n_features = sum(map(math.prod, self._features or ()))
        n_columns = int(np.prod(self._network.output_shapes[0]))
        self._n_outputs = n_columns - n_features - (self.training_distances_ is not None)
        if self._n_outputs < 1:
            raise ProgramError(f"it gives {n_columns:,} numbers per image, which are fewer than it says")
        if self.classes_ is not None and len(self.classes_) != self._n_outputs:
            raise ProgramError(f"it has {len(self.classes_)} classes and {self._n_outputs} probabilities")

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float32

        Raises
        ------
        AttributeError
            If the program predicts numbers.
        BadImageError
            If rows give no image; the message names them.
        """
        if self.classes_ is None:
            raise AttributeError("This program predicts numbers: it has no probabilities. Use predict.")
        return self._outputs(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each image, or numbers.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_targets) for several numbers

        Raises
        ------
        BadImageError
            If rows give no image; the message names them.
        """
        outputs = self._outputs(X)
        if self.classes_ is not None:
            return self.classes_[outputs.argmax(axis=1)]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def distances(self, X: Any) -> np.ndarray:
        """Return how far images lie from the training set: see :class:`skcnn.metrics.TrainingFeatures`.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), float32

        Raises
        ------
        AttributeError
            If the model was saved without ``training_features``.
        BadImageError
            If rows give no image; the message names them.
        """
        if self.training_distances_ is None:
            raise AttributeError("This program measures no distances: save the model with training_features=X.")
        return self._all_outputs(X)[:, self._n_outputs]

    def farther_than(self, distances: np.ndarray) -> np.ndarray:
        """Return which fraction of the training images is nearer, for each distance.

        Parameters
        ----------
        distances : ndarray of shape (n_samples,)
            From :meth:`distances` or :meth:`run`.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            In [0, 1].

        Raises
        ------
        AttributeError
            If the model was saved without ``training_features``.
        """
        if self.training_distances_ is None:
            raise AttributeError("This program measures no distances: save the model with training_features=X.")
        levels = np.linspace(0, 1, len(self.training_distances_))
        return np.interp(distances, self.training_distances_, levels)

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the outputs for images that are decoded and resized already, and their distances.

        Parameters
        ----------
        pixels : ndarray of shape (n_samples, height, width, 3), uint8
            Of ``image_size``, RGB.

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_outputs), float32
            Probabilities, or numbers.
        distances : ndarray of shape (n_samples,), float32, or None
            To the training set; None if the model was saved without ``training_features``.

        Raises
        ------
        ValueError
            If the pixels are of another shape or type.
        """
        found = self._network.run(pixels)
        outputs = found[:, : self._n_outputs]
        return (outputs, None) if self.training_distances_ is None else (outputs, found[:, self._n_outputs])

    def engine(self, part: str) -> Engine:
        """Return what gives a part of what the program computes, for images that are decoded and resized.

        Parameters
        ----------
        part : {"features", "outputs"}
            The features before the head, or what the head gives.

        Returns
        -------
        Engine
            Its network is that of the program.

        Raises
        ------
        ProgramError
            If the program does not give this part.
        """
        if part == "outputs":
            return _Columns(self._network, slice(0, self._n_outputs), ((self._n_outputs,),))
        if self._features is None:
            raise ProgramError("it gives no features")
        return _Columns(self._network, slice(-sum(map(math.prod, self._features)), None), self._features)

    def _outputs(self, X: Any) -> np.ndarray:
        return self._all_outputs(X)[:, : self._n_outputs]

    def _all_outputs(self, X: Any) -> np.ndarray:
        images = as_images(X)
        outputs = np.empty((len(images), *self._network.output_shapes[0]), np.float32)
        bad: list[BadRow] = []
        for batch in read_batches(images, range(len(images)), self.image_size, resize=self.resize):
            outputs[batch.rows] = self._network.run(batch.pixels)
            bad += batch.bad
        if bad:
            raise BadImageError(bad_rows_frame(bad), len(images))
        return outputs


class ProgramNetwork(SavedNetwork):
    """The program of a saved file as the network of an estimator in that file.

    Parameters
    ----------
    members : mapping of str to bytes
        What :class:`Program` takes; nothing is read of it before the network is needed.
    """

    def __init__(self, members: Mapping[str, bytes]):
        self._members = dict(members)
        content = hashlib.sha256()
        for name, member in sorted(self._members.items()):
            content.update(f"{name} {len(member)} ".encode() + member)
        self.digest = content.hexdigest()

    def gives(self, part: str) -> bool:
        """Tell whether it gives a part; see :meth:`skcnn.engines.SavedNetwork.gives`."""
        about = next((self._members[name] for name in self._members if name.endswith("about.json")), b"")
        return part == "outputs" or b'"features": [' in about

    def build(self, part: str) -> Engine:
        """Compile it; see :meth:`skcnn.engines.SavedNetwork.build`."""
        return Program(self._members).engine(part)


class _Columns(Engine):
    """Some of the numbers that a network gives per image."""

    name = "program"

    def __init__(self, network: Engine, columns: slice, shapes: tuple[tuple[int, ...], ...]):
        self._network, self._columns, self.output_shapes = network, columns, shapes
        self.batch_size = network.batch_size

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to run a batch; see :meth:`skcnn.engines.Engine.start`."""
        finish = self._network.start(pixels)
        return lambda: finish()[:, self._columns]


def _of_openvino(graph: bytes, weights: bytes, image_size: tuple[int, int]) -> Engine:
    check_graph(graph)
    try:
        network = read_openvino(graph, weights)
        if len(network.inputs) != 1 or len(network.outputs) != 1:
            raise ProgramError(f"it has {len(network.inputs)} inputs and {len(network.outputs)} outputs; expected 1")
        network.reshape([1, *image_size, 3])
        check_sizes(network)
        return OpenVINONetwork(network, image_size)
    except RuntimeError as error:
        raise _cannot_run("OpenVINO", error) from error


def _of_onnxruntime(graph: bytes, weights: bytes, image_size: tuple[int, int]) -> Engine:
    try:
        return ONNXRuntimeNetwork(checked_onnx(graph, weights, image_size), image_size)
    except RuntimeError as error:
        raise _cannot_run("ONNX Runtime", error) from error


def _cannot_run(runtime: str, error: RuntimeError) -> ProgramError:
    return ProgramError(f"{runtime} cannot run it: {' '.join(str(error).split())[:300]}")


_NETWORKS = {"openvino": _of_openvino, "onnxruntime": _of_onnxruntime}


class _About(NamedTuple):
    """What a program says of itself: the attributes of :class:`Program`, and shapes of features, if it gives these."""

    classes: np.ndarray | None
    image_size: tuple[int, int]
    resize: str
    training_distances: np.ndarray | None
    features: tuple[tuple[int, ...], ...] | None


def _parsed(about: bytes) -> _About:
    """Return what a program says of itself."""
    try:
        if len(about) > _MAX_ABOUT:
            raise ValueError(f"it has {len(about):,} bytes; expected at most {_MAX_ABOUT:,}")
        values = json.loads(about)
        classes, resize = values["classes"], values["resize"]
        height, width = map(int, values["image_size"])
        image_size = as_image_size((height, width))
        if resize not in RESIZE_RULES:
            raise ValueError(f"resize={resize!r}")
        distances, features = values.get("training_distances"), values.get("features")
        return _About(
            None if classes is None else _labels(classes),
            image_size,
            resize,
            None if distances is None else _quantiles(distances),
            None if features is None else _shapes(features),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProgramError(f"what it says of itself is malformed: {error}") from None


def _labels(classes: Sequence[Any]) -> np.ndarray:
    """Return labels as an array: text, numbers or booleans."""
    kinds = {type(label) for label in classes}
    if not isinstance(classes, list) or len(kinds) != 1 or not kinds <= {str, int, float, bool}:
        raise ValueError("expected classes of one type: text, numbers or booleans")
    return np.array(classes)


def _quantiles(values: Any) -> np.ndarray:
    """Return quantiles as an array: numbers that do not fall."""
    if not isinstance(values, list) or not 2 <= len(values) <= 1001 or {type(value) for value in values} != {float}:
        raise ValueError("expected quantiles of distances as a list of numbers")
    quantiles = np.array(values)
    if not np.isfinite(quantiles).all() or (np.diff(quantiles) < 0).any():
        raise ValueError("expected quantiles of distances that do not fall")
    return quantiles


def _shapes(values: Any) -> tuple[tuple[int, ...], ...]:
    """Return shapes of features: lists of whole numbers from 1 on."""
    lengths = [length for shape in values for length in shape]
    if not 1 <= len(lengths) <= _MAX_LENGTHS or not all(type(length) is int for length in lengths):
        raise ValueError("expected shapes of features as lists of whole numbers")
    if any(not 1 <= length <= MAX_VALUES for length in lengths):
        raise ValueError("expected shapes of features without lengths of 0, or huge ones")
    return tuple(map(tuple, values))
