"""How a report was made: versions, and digests by which the same data are known again."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator

from skcnn.images import Images, ImageSource, as_images
from skcnn.metrics.parts import BoxPredictions, MaskPredictions, NumberPredictions, Predictions

_PACKAGES = ("skcnn", "scikit-learn", "keras", "numpy", "pandas", "matplotlib")
_HEAD = 65_536
"""Bytes of a file that are digested: compressed images that differ do so there, and 100,000 of them stay readable.

`Images.digest` reads all of a file, which takes too long for a line of a report."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a report rests on."""
    said = {"Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            said[package] = version(package)
    return said


def digest_of_predictions(predictions: Predictions) -> str:
    """Return the SHA-256 over classes, true and predicted class numbers, scores and weights, as hexadecimal digits.

    Numbers are taken as little-endian 64-bit ones, so that machines agree.
    """
    return _digest(
        [str(label) for label in predictions.classes],
        (predictions.true, "<i8"),
        (predictions.predicted, "<i8"),
        (predictions.score, "<f8"),
        (predictions.sample_weight, "<f8"),
    )


def digest_of_numbers(predictions: NumberPredictions) -> str:
    """Return the SHA-256 over names of targets, true and predicted numbers and weights, as hexadecimal digits."""
    return _digest(
        predictions.target_names,
        (predictions.true, "<f8"),
        (predictions.predicted, "<f8"),
        (predictions.sample_weight, "<f8"),
    )


def digest_of_boxes(predictions: BoxPredictions) -> str:
    """Return the SHA-256 over images, labels, corners and scores of boxes, as hexadecimal digits."""
    true, predicted = predictions.true, predictions.predicted
    return _digest(
        [str(predictions.n_images), *map(str, predictions.classes)],
        *((column, "<i8") for boxes in (true, predicted) for column in (boxes.image, boxes.label)),
        (true.xyxy, "<f8"),
        (predicted.xyxy, "<f8"),
        (predictions.score, "<f8"),
    )


def digest_of_masks(predictions: MaskPredictions) -> str:
    """Return the SHA-256 over classes and numbers of pixels of each image, as hexadecimal digits."""
    return _digest(
        [str(label) for label in predictions.classes], (predictions.counts, "<i8"), (predictions.boundary, "<i8")
    )


def digest_of_features(*features: np.ndarray) -> str:
    """Return the SHA-256 over features of images, as hexadecimal digits."""
    return _digest([], *((np.asarray(part, np.float64), "<f8") for part in features))


def _digest(names: list[str], *columns: tuple[np.ndarray | None, str]) -> str:
    digest = hashlib.sha256(json.dumps(names).encode())
    for numbers, dtype in columns:
        if numbers is None:
            digest.update(b"none")
        else:
            digest.update(f"{numbers.shape}".encode())
            step = max(1, 2**20 // max(numbers[:1].size, 1))  # of very many classes, the scores may fill the memory
            for start in range(0, len(numbers), step):
                digest.update(np.ascontiguousarray(numbers[start : start + step], dtype=dtype).data)
    return digest.hexdigest()


def digest_of_input(X: Any) -> str:
    """Return a phrase: a digest of the samples and what it covers, or why there is none.

    Files are read, up to 64 KiB of each; nothing is fetched from a URL.
    """
    with suppress(TypeError, ValueError):
        images = as_images(X)
        if isinstance(images.items, np.ndarray):
            return _of_numbers(images.items)
        if isinstance(images.items, ImageSource):
            return _of_stamps(images.items)
        return _of_rows(images)
    with suppress(TypeError, ValueError):
        if isinstance(X, pd.DataFrame):
            names = json.dumps([str(name) for name in X.columns])
            return _of_numbers(X.to_numpy(dtype=np.float64), names)
        if (numbers := np.asarray(X)).dtype.kind in "uifb" and numbers.ndim:
            return _of_numbers(numbers)
    return f"not digested: a {type(X).__name__} that holds neither images nor numbers alone"


def _of_numbers(numbers: np.ndarray, names: str = "") -> str:
    ordered = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(f"{names}{ordered.shape}{ordered.dtype.str}".encode())
    digest.update(np.ascontiguousarray(ordered).tobytes())
    shape = " x ".join(f"{length:,}" for length in numbers.shape)
    return f"SHA-256 {digest.hexdigest()} of {shape} numbers ({numbers.dtype})"


def _of_stamps(source: ImageSource) -> str:
    stamps = [source.stamp(row) for row in range(len(source))]
    if None in stamps:
        return f"not digested: a {type(source).__name__}, whose images are not read a second time"
    digest = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    return f"SHA-256 {digest} of {len(stamps):,} rows, the stamps of a {type(source).__name__}"


def _of_rows(images: Images) -> str:
    digest, n_read = hashlib.sha256(), 0
    for row in range(len(images)):
        path = images.path(row)
        if path is not None and "://" in path:
            return "not digested: X holds URLs, which are not fetched a second time"
        try:
            if path is not None:
                if not os.path.isfile(path):  # To read a pipe may never end.
                    raise OSError
                with open(path, "rb") as file:
                    content = file.read(_HEAD)
                    size = file.seek(0, 2)
            else:
                content = images.digest(row)
                size = len(content)
            n_read += 1
        except (OSError, TypeError, ValueError):
            content, size = b"", -1
        digest.update(f"{size}:".encode())
        digest.update(content)
    if not n_read:
        return "not digested: no row of X is an image that can be read"
    what = f"length and first {_HEAD // 1024} KiB of each file" if images.path(0) is not None else "each image"
    unread = f"; {len(images) - n_read:,} could not be read" if n_read < len(images) else ""
    return f"SHA-256 {digest.hexdigest()} of {len(images):,} rows, {what}{unread}"


def _parameters_with_frozen(estimator: Any) -> dict[str, Any]:
    """Return ``get_params()`` with the parameters of frozen parts, such as in :func:`with_threshold`'s estimators."""
    given: dict[str, Any] = estimator.get_params()
    for name, value in list(given.items()):
        if isinstance(value, FrozenEstimator) and hasattr(value.estimator, "get_params"):
            inner = _parameters_with_frozen(value.estimator)
            given.update({f"{name}__estimator__{key}": parameter for key, parameter in inner.items()})
    return given


def parameters_of(estimator: Any) -> dict[str, str]:
    """Return all parameters of an estimator as text, by name, those of its parts included."""
    if not hasattr(estimator, "get_params"):
        return {}
    given = _parameters_with_frozen(estimator)
    parts = {name.rpartition("__")[0] for name in given}
    # A part whose own parameters follow is listed with its class.
    said = {name: type(value).__name__ if name in parts else repr(value) for name, value in given.items()}
    chosen = getattr(estimator, "best_params_", {})
    said.update({f"best_params_: {name}": repr(value) for name, value in chosen.items()})
    return {name: text if len(text) <= 300 else f"{text[:297]}..." for name, text in said.items()}
