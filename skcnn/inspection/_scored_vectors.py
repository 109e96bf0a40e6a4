"""The similarity of an image to a reference, of an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn.images import Images, as_images
from skcnn.inspection._scored_network import ScoredNetwork, Wanted


@dataclass(frozen=True)
class SimilarityScores(ScoredNetwork):
    """The cosine of the vector of an image and that of a reference, by a dense layer on features (n, n_features)."""

    head: list[np.ndarray]
    """Weights and biases of the layer, whose output is scaled to length 1."""

    def wanted(self, estimator: Any, X: Any, images: Images, *, target: Any, reference: Any) -> Wanted:
        """Return the vectors to be similar to: those of reference images, or given ones."""
        if target is not None:
            raise ValueError("target is given for an embedding, which has no classes; expected reference=, an image.")
        if reference is None:
            raise ValueError(
                "reference is None; expected an image, or one per image of X: an embedding has no classes, and what is "
                "explained is the similarity to a reference."
            )
        names, vectors = self._references(reference)
        if len(vectors) not in (1, len(images)):
            raise ValueError(
                f"reference has {len(vectors)} images; expected one, or {len(images)} (one per image of X)."
            )
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(length).all() or not length.all():
            raise ValueError("reference has a vector that is 0 or not finite; expected images, or finite vectors.")
        rows = np.zeros(len(images), int) if len(vectors) == 1 else np.arange(len(images))
        return Wanted(names[rows], (vectors / length)[rows].astype(np.float32))

    def scores(self, features: Any, wanted: Any) -> Any:
        """Return cosines (n,)."""
        ops = import_keras().ops
        kernel, bias = self.head
        vectors = ops.add(ops.matmul(features, kernel), bias)
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(vectors), axis=1), 1e-14))
        return ops.sum(vectors * wanted, axis=1) / length

    def _references(self, reference: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return names and vectors of what was given: vectors, one image, or several."""
        n_components = len(self.head[1])
        if isinstance(reference, np.ndarray) and reference.dtype.kind == "f" and reference.ndim <= 2:
            vectors = np.atleast_2d(reference)
            if vectors.shape[1] != n_components:
                raise ValueError(
                    f"reference has shape {reference.shape}; expected vectors of {n_components} components, or images."
                )
            return _numbered(len(vectors)), vectors.astype(np.float64)
        if isinstance(reference, np.ndarray) and reference.ndim == 3 and reference.shape[2] in (1, 3, 4):
            reference = reference[None]
        elif not hasattr(reference, "__len__") or isinstance(reference, (str, bytes, dict)):
            reference = [reference]
        images = as_images(reference, root=self.reader.root)
        vectors = np.asarray(self.reader.transform(reference), dtype=np.float64)
        names = _numbered(len(images))
        for row in range(len(images)):
            names[row] = images.path(row) or names[row]
        return names, vectors


def _numbered(n: int) -> np.ndarray:
    return np.array([f"reference {row}" for row in range(n)], dtype=object)
