"""The score of a class, of a classifier whose scores are dense layers on features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skcnn._keras import import_keras
from skcnn._text import listing
from skcnn.images import Images
from skcnn.inspection._scored_network import ScoredNetwork, Wanted


@dataclass(frozen=True)
class ClassScores(ScoredNetwork):
    """The score of a class before any softmax, by dense layers on features (n, n_features)."""

    head: list[np.ndarray]
    """Weights and biases of dense layers, with a ReLU between two of them."""
    classes: np.ndarray
    """Labels of the classes. Two of them may have one score, that of the second."""

    def wanted(self, estimator: Any, X: Any, images: Images, *, target: Any, reference: Any) -> Wanted:
        """Return the classes to explain: the predicted ones, unless others are given."""
        refuse_reference(reference, "a classifier")
        labels = np.asarray(estimator.predict(X)) if target is None else one_per_image(target, len(images))
        codes = codes_of(self.classes, labels)
        return Wanted(self.classes[codes], self.selection(codes))

    def selection(self, codes: np.ndarray) -> np.ndarray:
        """Return what to multiply the head's outputs by for the score of a class per row, (n, n_outputs) float32."""
        if len(self.head[-1]) == 1:
            return (2 * codes[:, None] - 1).astype(np.float32)
        return np.eye(len(self.classes), dtype=np.float32)[codes]

    def scores(self, features: Any, wanted: Any) -> Any:
        """Return the scores of classes."""
        ops = import_keras().ops
        x = features
        for number in range(0, len(self.head), 2):
            x = ops.add(ops.matmul(ops.relu(x) if number else x, self.head[number]), self.head[number + 1])
        return ops.sum(x * wanted, axis=1)


def codes_of(classes: np.ndarray, labels: Any) -> np.ndarray:
    """Return the numbers of the classes that bear these labels."""
    codes = pd.Index(classes).get_indexer(pd.Index(labels))
    if (codes < 0).any():
        unknown = pd.unique(pd.Series(np.asarray(labels, dtype=object)[codes < 0])).tolist()
        known = listing(map(repr, classes.tolist()))
        raise ValueError(f"target names {listing(map(repr, unknown))}; the classes are {known}.")
    return codes


def one_per_image(target: Any, n_images: int) -> np.ndarray:
    """Return a label per image, of one label or of as many as there are images."""
    if np.ndim(target) > 1:
        raise ValueError(f"target has shape {np.shape(target)}; expected one label, or one per image.")
    labels = np.full(n_images, target, object) if np.ndim(target) == 0 else np.asarray(target)
    if len(labels) != n_images:
        raise ValueError(f"target has {len(labels)} labels; expected one, or {n_images} (one per image).")
    return labels


def refuse_reference(reference: Any, what: str) -> None:
    """See that there is no reference, which is of an embedding."""
    if reference is not None:
        raise ValueError(f"reference is given for {what}; expected None, or an embedding as the estimator.")
