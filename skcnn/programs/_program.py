"""A program: images in, probabilities out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skcnn.engines import Engine, ONNXRuntimeNetwork, OpenVINONetwork, read_openvino
from skcnn.images import RESIZE_RULES, BadImageError, BadRow, as_image_size, as_images, bad_rows_frame, read_batches
from skcnn.programs._checks import ProgramError, check_graph, check_sizes
from skcnn.programs._onnx_checks import checked_onnx

#: Members of a saved file, by the runtime that runs them: what the program says of itself, its graph, its weights.
MEMBERS = {
    "openvino": ("program/about.json", "program/network.xml", "program/network.bin"),
    "onnxruntime": ("program/about.json", "program/network.onnx", "program/network.bin"),
}

_MAX_ABOUT = 2**22


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
        self.classes_, self.image_size, self.resize, self.training_distances_ = _parsed(about)
        self._network = _NETWORKS[self.runtime](graph, weights, self.image_size)
        n_outputs = int(np.prod(self._network.output_shapes[0])) - (self.training_distances_ is not None)
        if self.classes_ is not None and len(self.classes_) != n_outputs:
            raise ProgramError(f"it has {len(self.classes_)} classes and {n_outputs} probabilities")

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
        return self._all_outputs(X)[:, -1]

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
        outputs = self._network.run(pixels)
        return (outputs, None) if self.training_distances_ is None else (outputs[:, :-1], outputs[:, -1])

    def _outputs(self, X: Any) -> np.ndarray:
        outputs = self._all_outputs(X)
        return outputs if self.training_distances_ is None else outputs[:, :-1]

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


def _parsed(about: bytes) -> tuple[np.ndarray | None, tuple[int, int], str, np.ndarray | None]:
    """Return the classes, the image size, the rule of resizing, and quantiles of distances."""
    try:
        if len(about) > _MAX_ABOUT:
            raise ValueError(f"it has {len(about):,} bytes; expected at most {_MAX_ABOUT:,}")
        values = json.loads(about)
        classes, resize = values["classes"], values["resize"]
        height, width = map(int, values["image_size"])
        image_size = as_image_size((height, width))
        if resize not in RESIZE_RULES:
            raise ValueError(f"resize={resize!r}")
        distances = values.get("training_distances")
        return (
            None if classes is None else _labels(classes),
            image_size,
            resize,
            None if distances is None else _quantiles(distances),
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
