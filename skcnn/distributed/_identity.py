"""Identifies an extraction: by the images, the labels, and the transformer that computes the features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator

from skcnn.images import Images, ImageSource, as_images

#: Parameters that say how something is computed, and change no feature beyond the last digits.
_HOW = frozenset({"batch_size", "cache", "engine", "memory", "n_jobs", "verbose"})


def fingerprint(X: Any, labels: np.ndarray | None, transformer: Any) -> str:
    """Return the fingerprint of an extraction, which is the same in every process.

    Files are identified by their paths, rows of sources by their stamps or names, and images in memory by their
    content.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(_identity(transformer)).encode())
    for name in row_names(X):
        digest.update(f"{name}\n".encode("utf-8", "surrogateescape"))
    if labels is not None:
        digest.update(repr((labels.dtype.kind, labels.tolist())).encode())
    return digest.hexdigest()


def row_names(X: Any) -> Iterator[str]:
    """Yield the identity of each row, one at a time: all of them may be more than fits in memory."""
    try:
        images = as_images(X)
    except (TypeError, ValueError):
        yield joblib.hash(X)  # a table of several columns
        return
    for row in range(len(images)):
        yield _name(images, row)


def paths_of(X: Any) -> list[str | None]:
    """Return the paths of rows, or what a source calls them; None where there is none."""
    try:
        images = as_images(X)
    except (TypeError, ValueError):
        return [None] * len(X)
    return [images.path(row) for row in range(len(images))]


def _name(images: Images, row: int) -> str:
    if isinstance(images.items, ImageSource):
        return images.items.stamp(row) or images.items.path(row) or ""
    if (path := images.path(row)) is not None:
        return path
    try:
        return images.digest(row).hex()
    except (OSError, TypeError, ValueError) as error:
        return str(error)  # a bad row, which is reported when it is read


def _identity(value: Any) -> Any:
    """Return what a parameter or a fitted attribute is, as plain data."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_identity(one) for one in value]
    if isinstance(value, dict):
        return [[_identity(key), _identity(one)] for key, one in value.items()]
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, BaseEstimator):
        attributes = {name: one for name, one in vars(value).items() if name not in _HOW}
        return [kind, [[name, _identity(one)] for name, one in sorted(attributes.items())]]
    try:
        return [kind, joblib.hash(value)]
    except Exception:  # what cannot be pickled
        return [kind, getattr(value, "__name__", None)]
