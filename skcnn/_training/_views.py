"""Images that are changed a few times, always in the same way; so that frozen layers run once per view."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from skcnn._keras import building, import_keras
from skcnn._training._augmentation import as_augmentation, augmented_together, seed_layers
from skcnn.images import Images


class Views(Images):
    """Randomly changed views of images, as images: view ``v`` of row ``r`` is row ``r * n_views + v``.

    A view depends on the content of its image, its number, the augmentation and the seed alone, and not on the rows
    beside it: folds and candidates of a search share views.

    Parameters
    ----------
    images : Images
        All rows.
    n_views : int
        Of each of them.
    augmentation : {"light", "standard"}, keras layer or list of layers
        See :func:`as_augmentation`.
    seed : int
        Of all views.
    size : tuple of (height, width)
        That images have when they are changed.
    resize : {"stretch", "crop", "pad"}
        How they are brought to that size.
    max_pixels : int or None
        Larger images are refused.
    """

    def __init__(
        self,
        images: Images,
        n_views: int,
        augmentation: Any,
        *,
        seed: int,
        size: tuple[int, int],
        resize: str,
        max_pixels: int | None,
    ):
        self._images, self.n_views = images, n_views
        self._size, self._resize, self._max_pixels = size, resize, max_pixels
        self._layers, identity = as_augmentation(augmentation)
        self._seed = hashlib.blake2b(repr((identity, seed, size, resize)).encode()).digest()
        self._lock = threading.Lock()
        super().__init__([divmod(number, n_views) for number in range(len(images) * n_views)])

    def take(self, rows: Sequence[int]) -> Views:
        """Return the views at ``rows`` as views of their own."""
        taken = object.__new__(Views)
        taken.__dict__.update(self.__dict__)
        taken.items = [self.items[row] for row in rows]
        return taken

    def path(self, row: int) -> str | None:
        """Return None: a view lies nowhere."""
        return None

    def digest(self, row: int) -> bytes:
        """Return by what a view is known: see :meth:`skcnn.images.Images.digest`."""
        number, view = self.items[row]
        content = self._images.digest(number) + self._seed + view.to_bytes(4, "little")
        return hashlib.blake2b(content, digest_size=32).digest()

    def read(self, row: int) -> np.ndarray:
        """Return the pixels of a view, uint8 (height, width, 3)."""
        x = self._changed(row, np.empty((0, 4)))[0]
        ops = import_keras().ops
        return np.asarray(ops.convert_to_numpy(ops.round(x))[0], np.uint8)

    def boxes(self, row: int, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the resized image where they are in a view, (n_boxes, 4): see :func:`augmented_together`."""
        if not len(boxes):
            return boxes
        return np.asarray(import_keras().ops.convert_to_numpy(self._changed(row, boxes)[1])[0], float)

    def mask(self, row: int, mask: np.ndarray) -> np.ndarray:
        """Return the mask (height, width) of the resized image as that of a view: see :func:`augmented_together`."""
        moved = self._changed(row, np.empty((0, 4)), mask)[2]
        return np.asarray(import_keras().ops.convert_to_numpy(moved)[0, ..., 0], mask.dtype)

    def _changed(self, row: int, boxes: np.ndarray, mask: np.ndarray | None = None) -> tuple[Any, Any, Any]:
        """Return the pixels of a view, (1, height, width, 3) in [0, 255], and boxes and mask moved alike."""
        pixels = self._images.decode(self.items[row][0], self._size, resize=self._resize, max_pixels=self._max_pixels)
        generator = np.random.default_rng(np.frombuffer(self.digest(row), np.uint32))
        ops = import_keras().ops
        with self._lock, building():
            seed_layers(self._layers, generator)
            x = ops.convert_to_tensor(pixels[None].astype("float32"))
            if len(boxes):
                moved = ops.convert_to_tensor(boxes[None].astype("float32"))
                return augmented_together(x, self._layers, boxes=moved)
            if mask is not None:
                return augmented_together(x, self._layers, masks=ops.convert_to_tensor(mask[None, ..., None]))
            for layer in self._layers:
                x = layer(x, training=True)
            return ops.clip(x, 0, 255), boxes, None


#: What mirroring does: the axes that are turned around in each view, in order.
FLIPS: dict[str | None, tuple[tuple[str, ...], ...]] = {
    None: ((),),
    "horizontal": ((), ("horizontal",)),
    "both": ((), ("horizontal",), ("vertical",), ("horizontal", "vertical")),
}


class Flips(Images):
    """Images and their mirror images: view ``v`` of row ``r`` is row ``r * n_views + v``, and view 0 is the image.

    Parameters
    ----------
    images : Images
        All rows.
    flips : {None, "horizontal", "both"}
        Left and right, or also top and bottom.
    size : tuple of (height, width)
        That images have when they are mirrored.
    resize : {"stretch", "crop", "pad"}
        How they are brought to that size.
    max_pixels : int or None
        Larger images are refused.
    """

    def __init__(
        self, images: Images, flips: str | None, *, size: tuple[int, int], resize: str, max_pixels: int | None
    ):
        self._images, self._flips, self.n_views = images, FLIPS[flips], len(FLIPS[flips])
        self._size, self._resize, self._max_pixels = size, resize, max_pixels
        super().__init__([divmod(number, self.n_views) for number in range(len(images) * self.n_views)])

    def take(self, rows: Sequence[int]) -> Flips:
        """Return the views at ``rows`` as views of their own."""
        taken = object.__new__(Flips)
        taken.__dict__.update(self.__dict__)
        taken.items = [self.items[row] for row in rows]
        return taken

    def path(self, row: int) -> str | None:
        """Return the path of an image that is as it was; a mirror image lies nowhere."""
        number, view = self.items[row]
        return None if view else self._images.path(number)

    def digest(self, row: int) -> bytes:
        """Return by what a view is known: see :meth:`skcnn.images.Images.digest`. View 0 is known as its image."""
        number, view = self.items[row]
        content = self._images.digest(number)
        if not view:
            return content
        how = repr((self._flips[view], self._size, self._resize)).encode()
        return hashlib.blake2b(content + how, digest_size=32).digest()

    def read(self, row: int) -> np.ndarray:
        """Return the pixels of a view, uint8 (height, width, 3)."""
        number, view = self.items[row]
        pixels = self._images.decode(number, self._size, resize=self._resize, max_pixels=self._max_pixels)
        return np.ascontiguousarray(np.flip(pixels, self._axes(view)))

    def boxes(self, row: int, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the resized image where they are in a view, and the other way round, (n_boxes, 4)."""
        height, width = self._size
        moved = np.array(boxes, float)
        for axis in self._flips[self.items[row][1]]:
            low, high, side = (0, 2, width) if axis == "horizontal" else (1, 3, height)
            moved[:, [low, high]] = side - moved[:, [high, low]]
        return moved

    def mask(self, row: int, mask: np.ndarray) -> np.ndarray:
        """Return the mask (height, width, ...) of the resized image as that of a view, and the other way round."""
        return np.flip(mask, self._axes(self.items[row][1]))

    def _axes(self, view: int) -> tuple[int, ...]:
        return tuple({"vertical": 0, "horizontal": 1}[axis] for axis in self._flips[view])


class _FlippedViews(Flips):
    """Mirror images of views."""

    def __init__(self, views: Views, flips: str | None, **options: Any):
        super().__init__(views, flips, **options)
        self._views = views
        self.n_views *= views.n_views

    def boxes(self, row: int, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the resized image where they are in a view."""
        return super().boxes(row, self._views.boxes(self.items[row][0], boxes))

    def mask(self, row: int, mask: np.ndarray) -> np.ndarray:
        """Return the mask of the resized image as that of a view."""
        return super().mask(row, self._views.mask(self.items[row][0], mask))


def flipped_views(
    images: Images,
    flips: str | None,
    augmentation: Any,
    n_views: int | None,
    seed: int,
    *,
    size: tuple[int, int],
    resize: str,
    max_pixels: int | None,
) -> Flips:
    """Return the views of images that are trained on: mirror images, of augmented views where these are kept.

    Parameters
    ----------
    images : Images
        All rows.
    flips : {None, "horizontal", "both"}
        See :class:`Flips`.
    augmentation : {"light", "standard"}, keras layer, list of layers or None
        See :class:`Views`.
    n_views : int or None
        Augmented views that are kept of each image. None keeps none: what is drawn again in each epoch is no view.
    seed : int
        Of augmented views.
    size, resize, max_pixels
        How images are read.
    """
    options: dict[str, Any] = {"size": size, "resize": resize, "max_pixels": max_pixels}
    if augmentation is None or n_views is None:
        return Flips(images, flips, **options)
    return _FlippedViews(Views(images, int(n_views), augmentation, seed=seed, **options), flips, **options)
