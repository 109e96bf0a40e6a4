"""Each image changed at random a few times, always in the same way; so that frozen layers run once per view."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from skcnn._keras import building, import_keras
from skcnn._training._augmentation import as_augmentation
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
        pixels = self._images.decode(self.items[row][0], self._size, resize=self._resize, max_pixels=self._max_pixels)
        generator = np.random.default_rng(np.frombuffer(self.digest(row), np.uint32))
        ops = import_keras().ops
        with self._lock, building():
            for layer in self._layers:
                for variable in layer.variables:
                    if variable.name == "seed_generator_state":
                        variable.assign(generator.integers(0, 2**31 - 1, variable.shape).astype("uint32"))
            x = ops.convert_to_tensor(pixels[None].astype("float32"))
            for layer in self._layers:
                x = layer(x, training=True)
            return np.asarray(ops.convert_to_numpy(ops.clip(ops.round(x), 0, 255))[0], np.uint8)
