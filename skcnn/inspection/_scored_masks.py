"""The score of a class of pixels, of a segmenter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn.images import Images
from skcnn.inspection._scored_classes import codes_of, one_per_image, refuse_reference
from skcnn.inspection._scored_network import ScoredNetwork, Wanted


@dataclass(frozen=True)
class MaskScores(ScoredNetwork):
    """The mean logit of a class over the pixels that are predicted as it, by a head on feature maps.

    The sum of Vinogradova et al. (2020), equation 2, over the number of pixels: heat is scaled to its maximum anyhow,
    and the score then is one of a pixel, whatever the size of the region.
    """

    head: Any
    """Keras model from the maps to logits (n, height, width, n_classes)."""
    classes: np.ndarray
    """Labels."""

    def wanted(self, estimator: Any, X: Any, images: Images, *, target: Any, reference: Any) -> Wanted:
        """Return the classes to explain: the one with most pixels but the first, unless others are given."""
        refuse_reference(reference, "a segmenter")
        labels = self._largest(estimator.predict(X)) if target is None else one_per_image(target, len(images))
        codes = codes_of(self.classes, labels)
        return Wanted(self.classes[codes], np.eye(len(self.classes), dtype=np.float32)[codes])

    def scores(self, features: Any, wanted: Any) -> Any:
        """Return the mean logits (n,) of a class over its predicted pixels; 0 where there is none."""
        ops = import_keras().ops
        logits = self.head(features, training=False)
        of_class = wanted[:, None, None, :]
        region = ops.sum(ops.one_hot(ops.argmax(logits, axis=-1), len(self.classes)) * of_class, axis=-1)
        region = ops.stop_gradient(region)
        total = ops.sum(ops.sum(logits * of_class, axis=-1) * region, axis=(1, 2))
        return total / ops.maximum(ops.sum(region, axis=(1, 2)), 1.0)

    def _largest(self, masks: np.ndarray) -> np.ndarray:
        """Return the label of the largest region of each mask; the first class, background mostly, where it is all."""
        found = []
        for mask in masks:
            n_pixels = np.bincount(mask.ravel(), minlength=256)[self.classes]
            n_pixels[0] = min(n_pixels[0], 1)
            found.append(self.classes[n_pixels.argmax()])
        return np.array(found)
