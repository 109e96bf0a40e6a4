"""How good generated images are while a GAN is trained, and whether it has collapsed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics import feature_precision_recall, kernel_distance

#: Images, of either kind, that are compared at once.
MAX_IMAGES = 1000
#: Generated images at least.
MIN_IMAGES = 200

#: Below, the images that are generated differ far less than real ones, or are far from them.
MIN_DIVERSITY = 0.4
MIN_COVERAGE = 0.1

_N_NEIGHBORS = 5


class CollapseWarning(UserWarning):
    """Generated images vary far less than real ones, or too few real images have a generated one near them."""


def default_features() -> BottleneckFeatures:
    """Return the features that images are compared by where no others were given.

    Those of the ResNet20 that comes with skcnn, which needs no download and takes images of 32 x 32 pixels.
    """
    return BottleneckFeatures("ResNet20", cache=None, verbose=0)


class Judge:
    """Compares generated images with real ones by their features.

    Parameters
    ----------
    features : transformer
        From images to features (n, n_features).
    images : ndarray of shape (n, height, width, 3) or (n, height, width), uint8
        Real images; at most :data:`MAX_IMAGES` of them are used.
    """

    def __init__(self, features: Any, images: np.ndarray):
        self._features = features
        real = as_float(features.transform(images[:MAX_IMAGES]))
        # Whatever the scale of features is: all orders of the kernel count.
        self._scale = float(np.sqrt((real**2).mean())) or 1.0
        self._real = real / self._scale

    @property
    def n_images(self) -> int:
        """Number of images that are to be generated."""
        return max(MIN_IMAGES, len(self._real))

    def __call__(self, images: np.ndarray) -> dict[str, float]:
        """Return the kernel distance, and how diverse generated images are beside real ones."""
        generated = as_float(self._features.transform(images)) / self._scale
        found = {"kernel_distance": self.distance(generated)}
        spread = self._real.var(axis=0).sum()
        found["diversity"] = float(generated.var(axis=0).sum() / spread) if spread else float("nan")
        n_neighbors = min(_N_NEIGHBORS, len(self._real) - 1)
        found["coverage"] = float("nan")
        if n_neighbors > 0:
            found["coverage"] = feature_precision_recall(self._real, generated, n_neighbors=n_neighbors)["coverage"]
        return found

    def distance(self, generated: np.ndarray) -> float:
        """Return the kernel distance of scaled features; NaN where there is but one real image."""
        return kernel_distance(self._real, generated) if len(self._real) > 1 else float("nan")


def as_float(features: Any) -> np.ndarray:
    """Return features as a table of float64."""
    table = np.asarray(features, np.float64)
    if table.ndim != 2:
        raise ValueError(
            f"features.transform returned the shape {table.shape}; expected (n_images, n_features), as of "
            "BottleneckFeatures."
        )
    return table


def warn_of_collapse(history: Sequence[dict[str, Any]], stacklevel: int) -> None:
    """Warn if the last images that were compared differ too little, or are near too few real ones."""
    rows = [row for row in history if "diversity" in row]
    if not rows or not (is_collapsed := [_is_low(row) for row in rows])[-1]:
        return
    since = len(rows) - next((n for n, low in enumerate(reversed(is_collapsed)) if not low), len(rows))
    last = rows[-1]
    what = "too much alike" if last["diversity"] < MIN_DIVERSITY else "near too few real ones"
    warnings.warn(
        f"Generated images are {what} since epoch {rows[since]['epoch']}: they have {last['diversity']:.2f} of the "
        f"variance of real ones (expected at least {MIN_DIVERSITY}), and {last['coverage']:.0%} of the real ones have "
        f"one near them (expected at least {MIN_COVERAGE:.0%}). The generator collapsed, or has not learned yet. Use a "
        "smaller learning rate, more epochs if there were few, or loss='wgan-gp'.",
        CollapseWarning,
        stacklevel=stacklevel,
    )


def _is_low(row: dict[str, Any]) -> bool:
    return bool(row["diversity"] < MIN_DIVERSITY or row["coverage"] < MIN_COVERAGE)


def drawer(seed: tuple[int, ...], n_components: int, labels: Callable[[np.random.Generator, int], Any]) -> Any:
    """Return a function from a number of images to codes, and indicators of classes, always the same ones."""

    def draw(n_images: int) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(seed)
        batch = {"codes": generator.standard_normal((n_images, n_components)).astype(np.float32)}
        asked = labels(generator, n_images)
        return batch if asked is None else {**batch, "labels": asked}

    return draw
