"""What a network that learns masks is trained on: views of images, and the masks in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skcnn._keras import building, import_keras
from skcnn._training import Inputs, Read, as_augmentation, augmented_together, seed_layers
from skcnn.images import IGNORED, Geometry, Masks, read_masks

#: Masks of the network's size that take no more bytes are decoded once; those of larger sets again in every epoch.
MAX_KEPT_BYTES = 2**30


class Targets:
    """The masks of all images, at the size of the network, as numbers of classes; checked when it is made.

    Parameters
    ----------
    masks : Masks
        Of all images.
    sizes : ndarray of shape (n_images, 2), int
        Of the images, upright.
    image_size : tuple of (height, width)
        Of the network.
    resize : {"stretch", "crop", "pad"}
        How images are brought to that size.
    n_classes : int or None
        Labels are 0 to ``n_classes - 1``. None takes those that there are.
    max_pixels : int or None
        Larger masks are refused.

    Raises
    ------
    BadMaskError
        If masks do not fit.
    """

    def __init__(
        self,
        masks: Masks,
        sizes: np.ndarray,
        image_size: tuple[int, int],
        resize: str,
        n_classes: int | None,
        max_pixels: int | None,
    ):
        self._masks, self._sizes, self._max_pixels = masks, sizes, max_pixels
        self._image_size, self._resize = image_size, resize
        is_kept = len(masks) * image_size[0] * image_size[1] <= MAX_KEPT_BYTES
        self._kept = np.empty((len(masks), *image_size), np.uint8) if is_kept else None
        #: Of each label, how many pixels of the images have it.
        self.n_pixels = np.zeros(256, np.int64)
        for row, labels in read_masks(masks, sizes, n_classes=n_classes, max_pixels=max_pixels):
            self.n_pixels += np.bincount(labels.ravel(), minlength=256)
            if self._kept is not None:
                self._kept[row] = self._resized(row, labels)
        there = np.flatnonzero(self.n_pixels[:IGNORED])
        #: Labels of the classes.
        self.classes = there.astype(np.uint8) if n_classes is None else np.arange(n_classes, dtype=np.uint8)
        self._numbers = np.full(256, IGNORED, np.uint8)
        self._numbers[self.classes] = np.arange(len(self.classes))

    def __getitem__(self, row: int) -> np.ndarray:
        """Return the mask of an image, (height, width) uint8: numbers of classes, and 255."""
        if self._kept is not None:
            return self._numbers[self._kept[row]]
        return self._numbers[self._resized(row, self._masks.labels(row, max_pixels=self._max_pixels))]

    @property
    def arrays(self) -> list[np.ndarray]:
        """What the masks are, for the fingerprint of a run."""
        digests = b"".join(self._masks.digest(row) for row in range(len(self._masks)))
        return [np.frombuffer(digests, np.uint8)]

    def _resized(self, row: int, labels: np.ndarray) -> np.ndarray:
        height, width = self._sizes[row]
        return Geometry.of_resize((int(height), int(width)), self._image_size, self._resize).forth_mask(labels)


#: From pixels and masks to the same after changes that a generator draws.
Change = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def changes_of(augmentation: Any) -> Change:
    """Return the function that changes images and their masks as layers of Keras do, in another way each time."""
    layers = as_augmentation(augmentation)[0]

    def change(pixels: np.ndarray, masks: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        ops = import_keras().ops
        with building():
            seed_layers(layers, generator)
            given = ops.convert_to_tensor(pixels), ops.convert_to_tensor(masks[..., None])
            changed, _, moved = augmented_together(given[0], layers, masks=given[1])
            changed, moved = (ops.convert_to_numpy(tensor) for tensor in (ops.round(changed), moved))
        return changed.astype(np.uint8), moved[..., 0].astype(np.uint8)

    return change


def example_reader(inputs: Inputs, targets: Targets) -> Read:
    """Return the function that reads the rows of a batch, one view of each, drawn at random; and their masks."""
    moved: dict[int, np.ndarray] = {}

    def mask_of(number: int) -> np.ndarray:
        if number in moved:
            return moved[number]
        mask = inputs.views.mask(number, targets[number // inputs.views.n_views])
        if (len(moved) + 1) * mask.size <= MAX_KEPT_BYTES:  # to move one takes as long as to change its image
            moved[number] = mask
        return mask

    def read(rows: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        numbers = rows * inputs.views.n_views + generator.integers(inputs.views.n_views, size=len(rows))
        values = inputs.read(numbers)
        masks = np.stack([mask_of(int(number)) for number in numbers])
        if inputs.change is not None:
            values, masks = inputs.change(values, masks, generator)
        return values, masks, np.ones(len(rows), np.float32)

    return read
