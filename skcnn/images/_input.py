"""What X may be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from skcnn._stores import in_pool, is_url
from skcnn._timing import timed
from skcnn.images._decode import (
    check_range,
    decoded,
    open_image,
    orientation_of,
    plain_errors,
    resize_image,
    to_rgb_array,
)
from skcnn.images._hugging_face import as_hugging_face
from skcnn.images._paths import plain_row, read_path
from skcnn.images._remote import RemoteImages
from skcnn.images._source import ImageSource

ACCEPTED = (
    "Accepted: an array (n, height, width) or (n, height, width, 1|3|4) of uint8 or of floats in [0, 255]; or a list, "
    "1-D array, Series or one-column DataFrame of paths, URLs, encoded bytes, {'bytes', 'path'} dicts, PIL images or "
    "arrays; or an ImageSource"
)

#: Loaders of other libraries, by where their classes come from. They give batches, pairs with labels, or never end.
_LOADERS = (
    ("tensorflow.", "Dataset"),
    ("tensorflow.", "Iterator"),
    ("keras.", "PyDataset"),
    ("keras.", "Sequence"),
    ("keras.", "Iterator"),
    ("torch.utils.data.", "DataLoader"),
    ("torch.utils.data.", "Dataset"),
)


class Images:
    """The rows of X, each of which can be read (its content) or decoded (its pixels). Made by :func:`as_images`.

    Parameters
    ----------
    items : ndarray, list or ImageSource
        A numeric array whose first axis runs over the images, one object per image, or a source that reads them.
    root : str or None
        Folder or URL that relative paths start from.
    """

    def __init__(self, items: np.ndarray | list[Any] | ImageSource, root: str | None = None):
        self.items, self.root = items, root
        self._has_urls: bool | None = None

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Sequence[int]) -> Images:
        """Return the images at ``rows`` as new Images."""
        if isinstance(self.items, (np.ndarray, ImageSource)):
            return Images(self.items[list(rows)], self.root)
        return Images([self.items[row] for row in rows], self.root)

    def path(self, row: int) -> str | None:
        """Return the path or URL of a row, or what a source calls it; None where the row holds the image itself."""
        if isinstance(self.items, ImageSource):
            return self.items.path(row)
        item = self.items[row]
        if not isinstance(item, (str, os.PathLike)):
            return None
        path = os.fspath(item)
        if self.root is None or is_url(path) or os.path.isabs(path):
            return str(path)
        return f"{self.root.rstrip('/')}/{path}" if is_url(self.root) else os.path.join(self.root, path)

    def read(self, row: int) -> bytes | np.ndarray:
        """Return the content of a row: encoded bytes, or an array of pixels.

        Raises
        ------
        OSError
            If the row cannot be read; the message is the reason alone.
        TypeError
            If the row is of another type.
        ValueError
            If the row is missing.
        """
        if isinstance(self.items, ImageSource):
            with timed("read", 1):
                return self.items.read(row)
        item = self.items[row]
        if isinstance(item, np.ndarray):
            return item
        if isinstance(item, Image.Image):
            with decoded(item) as image:
                return np.asarray(image)
        if isinstance(item, (bytes, bytearray, memoryview)):
            return bytes(item)
        path = self.path(row)
        if path == "" or (path is None and _is_missing(item)):
            raise ValueError("missing value")
        if path is None:
            raise TypeError(f"a {type(item).__name__} is not an image. {ACCEPTED}")
        with timed("read", 1):
            return read_path(path)

    def read_many(self, rows: Sequence[int]) -> list[bytes | np.ndarray | Exception]:
        """Return the content of rows, or why a row has none; what is behind URLs is fetched by many threads.

        Parameters
        ----------
        rows : sequence of int
            Positions in X.

        Returns
        -------
        list of bytes, ndarray or Exception
            See :meth:`read`.
        """
        if isinstance(self.items, ImageSource):
            return list(self.items.read_or_reasons(rows))
        return list(in_pool(self.read, rows))

    @property
    def reads_together(self) -> bool:
        """Whether rows are read quicker together than one by one: those of a source, and URLs."""
        return isinstance(self.items, ImageSource) or self.has_urls

    @property
    def has_urls(self) -> bool:
        """Whether rows are URLs, each of which is fetched whenever it is read."""
        if self._has_urls is None:
            if isinstance(self.items, (np.ndarray, ImageSource)):
                self._has_urls = isinstance(self.items, RemoteImages)
            else:
                self._has_urls = any(is_url(self.path(row) or "") for row in range(len(self)))
        return self._has_urls

    def digest(self, row: int) -> bytes:
        """Return a digest of the content of a row: two rows with the same digest hold the same image.

        It depends on the content alone, not on the path. Two files with the same pixels in different encodings have
        different digests.

        Parameters
        ----------
        row : int
            Position in X.

        Returns
        -------
        bytes
            The 32-byte BLAKE2b digest of the encoded bytes, or of an array's values, shape and dtype.

        Raises
        ------
        ValueError
            If the row is missing or empty.
        TypeError
            If the row holds something that is not an image.
        OSError
            If it cannot be read. A file is read, and a URL fetched, each time.

        Examples
        --------
        >>> from skcnn.images import as_images
        >>> as_images([b"an image"]).digest(0).hex()[:16]
        '9f983b25f3099bae'
        """
        content = self.read(row)
        if isinstance(content, np.ndarray) and content.dtype.kind not in "uifb":
            raise TypeError(f"an array of dtype {content.dtype} is not an image: uint8, or floats in [0, 255]")
        if isinstance(content, bytes):
            return hashlib.blake2b(content, digest_size=32).digest()
        # An array's bytes are never taken for those of a file, nor for those of an array of another shape.
        digest = hashlib.blake2b(f"array {content.shape} {content.dtype.str} ".encode(), digest_size=32)
        digest.update(np.ascontiguousarray(content).data)
        return digest.digest()

    def decode(
        self, row: int, size: tuple[int, int], *, resize: str = "stretch", max_pixels: int | None = None
    ) -> np.ndarray:
        """Return the pixels of a row, resized.

        Parameters
        ----------
        row : int
            Position in X.
        size : tuple of (height, width)
            In pixels.
        resize : {"stretch", "crop", "pad"}, default="stretch"
            See :func:`resize_image`.
        max_pixels : int or None, default=None
            Larger images are refused; None stands for Pillow's own limit.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8

        Raises
        ------
        OSError
            If the row cannot be read; the message is the reason alone.
        TypeError
            If the row is of another type.
        ValueError
            If the row is missing, or its pixels are invalid.
        """
        with timed("decode", 1), self._image(row, size, max_pixels) as image, plain_errors():
            return np.asarray(resize_image(image, size, resize))

    def thumbnail(self, row: int, size: int, *, max_pixels: int | None = None) -> np.ndarray:
        """Return the pixels of a row, small and of the same aspect ratio, for display.

        Parameters
        ----------
        row : int
            Position in X.
        size : int
            The longer side is at most this many pixels; smaller images are not enlarged.
        max_pixels : int or None, default=None
            Larger images are refused; None stands for Pillow's own limit.

        Returns
        -------
        ndarray of shape (height, width, 3), uint8

        Raises
        ------
        OSError
            If the row cannot be read; the message is the reason alone.
        TypeError
            If the row is of another type.
        ValueError
            If the row is missing, or its pixels are invalid.
        """
        with self._image(row, (size, size), max_pixels) as image:
            scale = min(1.0, size / max(image.size))
            width, height = (max(1, round(side * scale)) for side in image.size)
            with plain_errors():
                return np.asarray(resize_image(image, (height, width)))

    def size(self, row: int) -> tuple[int, int]:
        """Return the height and width of a row as it is upright, before any resizing.

        Parameters
        ----------
        row : int
            Position in X.

        Returns
        -------
        tuple of (height, width)
            In pixels. Nothing is decoded where the head of a file says it.

        Raises
        ------
        OSError
            If the row cannot be read; the message is the reason alone.
        TypeError
            If the row is of another type.
        ValueError
            If the row is missing or empty.

        Examples
        --------
        >>> import numpy as np
        >>> from skcnn.images import as_images
        >>> as_images(np.zeros((1, 24, 32, 3), np.uint8)).size(0)
        (24, 32)
        """
        content = self._content(row)
        if isinstance(content, np.ndarray):
            if content.ndim < 2:
                raise ValueError(f"an array of shape {content.shape} is not an image (height, width[, 1|3|4])")
            return content.shape[0], content.shape[1]
        if not isinstance(content, Image.Image):
            if not content:
                raise ValueError("empty file")
            with plain_errors():
                content = open_image(content)
        width, height = content.size
        # These four lay the image on its side.
        return (width, height) if orientation_of(content) >= 5 else (height, width)

    @contextmanager
    def _image(self, row: int, size: tuple[int, int], max_pixels: int | None) -> Iterator[Image.Image]:
        """Give the image of a row, large enough to be resized to ``size``, for the time of a ``with`` block."""
        content = self._content(row)
        if isinstance(content, np.ndarray):
            with plain_errors():
                image = Image.fromarray(to_rgb_array(content))
            yield image
        else:
            with decoded(content, max_pixels, size) as image:
                yield image

    def _content(self, row: int) -> bytes | np.ndarray | Image.Image:
        """Return a PIL image as it is, and what is read of any other row."""
        item = None if isinstance(self.items, ImageSource) else self.items[row]
        return item if isinstance(item, Image.Image) else self.read(row)


def as_images(X: Any, *, root: str | os.PathLike[str] | None = None) -> Images:
    """Return whatever X is as :class:`Images`. Looks at types and shapes; reads and decodes nothing.

    Parameters
    ----------
    X : array-like
        An array ``(n, height, width)`` or ``(n, height, width, 1|3|4)`` of uint8 or of floats in [0, 255] (rounded to
        8 bits); or a list, 1-D or ``(n, 1)`` array, Series or one-column DataFrame (pandas or polars) of paths
        (``str`` or ``Path``), fsspec URLs (extra ``remote``), encoded ``bytes``, PIL images, arrays of any sizes, or
        dicts with the keys "bytes" and "path" (as Hugging Face's datasets have them; "path" is read where "bytes" is
        None). Or an :class:`ImageSource`, which reads shards, databases and the like. It must have a length: generators
        and the loaders of deep learning libraries, which may never end and give batches, are refused.
    root : path-like or None, default=None
        Folder or URL that relative paths start from; None is the current folder.

    Returns
    -------
    Images

    Raises
    ------
    TypeError
        If X is of another type; the message lists the accepted forms.
    ValueError
        If X has another shape; the message lists the accepted forms.
    """
    root = None if root is None else os.fspath(root)
    if isinstance(X, Images):
        return X
    if isinstance(X, ImageSource):
        return Images(X, root)
    if (source := as_hugging_face(X)) is not None:
        return Images(source, root)
    if isinstance(X, (str, bytes, os.PathLike, Image.Image)):
        raise TypeError(f"X is a single {type(X).__name__}: put it in a list, [X]. {ACCEPTED}.")
    if isinstance(X, np.ndarray):
        return Images(_check_array(X), root)
    if hasattr(X, "columns"):
        if len(X.columns) != 1:
            raise ValueError(
                f"X has {len(X.columns)} columns ({', '.join(map(str, X.columns))}); expected one column of "
                "images: choose it, X[['path']], or use a ColumnTransformer."
            )
        return Images([plain_row(item) for item in X[X.columns[0]]], root)
    _check_is_no_loader(X)
    if hasattr(X, "__array__") and not hasattr(X, "dtype"):
        return as_images(np.asarray(X), root=root)
    if hasattr(X, "shape") and len(X.shape) != 1:
        # Tensors of any framework; sparse matrices end up in the message of _check_array.
        return Images(_check_array(np.asarray(X)), root)
    if not hasattr(X, "__iter__") or isinstance(X, (dict, set)):
        raise TypeError(f"X is a {type(X).__name__}. {ACCEPTED}.")
    items = [plain_row(item) for item in _finite(X)]
    if items and all(isinstance(item, (list, tuple)) for item in items):
        # A list of lists: the (n, 1) table that scikit-learn tools make of strings, or nested numbers.
        if all(len(item) == 1 for item in items):
            return Images([item[0] for item in items], root)
        return Images(_check_array(np.asarray(items)), root)
    if items and all(isinstance(item, (int, float, np.number)) and not _is_missing(item) for item in items):
        raise TypeError(f"X is a sequence of numbers. {ACCEPTED}.")
    return Images(items, root)


def _check_is_no_loader(X: Any) -> None:
    for origin in type(X).__mro__:
        for package, name in _LOADERS:
            if f"{origin.__module__}.".startswith(package) and origin.__name__.startswith(name):
                raise TypeError(
                    f"X is a {type(X).__name__} of {origin.__module__.split('.')[0]}, which gives batches or pairs and "
                    f"may never end: give the images themselves, for example the list of its files. {ACCEPTED}."
                )


def _finite(X: Any) -> list[Any]:
    """Return the elements of X, which must have a length and keep it."""
    try:
        n_samples = len(X)
    except TypeError:
        raise TypeError(
            f"X is a {type(X).__name__}, which has no length and may never end: give a list, list(X) if it ends. "
            f"{ACCEPTED}."
        ) from None
    items = list(islice(X, n_samples + 1))
    if len(items) != n_samples:
        raise TypeError(
            f"X is a {type(X).__name__} of length {n_samples} that gives "
            f"{'more' if len(items) > n_samples else len(items)} elements: give a list. {ACCEPTED}."
        )
    return items


def _check_array(X: np.ndarray) -> np.ndarray | list[Any]:
    if X.dtype.kind == "S":
        raise TypeError(
            "X is an array of fixed-size bytes ('S'), which loses trailing zero bytes: give encoded images as a list "
            f"or as an object array, and paths as str. {ACCEPTED}."
        )
    if X.dtype.kind in "OUT":
        if X.ndim == 1 or (X.ndim == 2 and X.shape[1] == 1):
            return [plain_row(item) for item in X.ravel()]
        raise ValueError(f"X is an array of shape {X.shape} and dtype {X.dtype}. {ACCEPTED}.")
    if X.dtype.kind not in "uifb":
        raise TypeError(f"X is an array of dtype {X.dtype}. {ACCEPTED}.")
    if X.ndim == 3 and X.shape[2] in (3, 4) and min(X.shape[:2]) > 4:
        raise ValueError(
            f"X has shape {X.shape}, which looks like one image (height, width, channels): use X[np.newaxis]. "
            f"{ACCEPTED}."
        )
    if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3, 4)) or 0 in X.shape[1:]:
        hint = " Channels come last." if X.ndim == 4 and X.shape[1] in (1, 3, 4) else ""
        raise ValueError(f"X has shape {X.shape} and dtype {X.dtype}.{hint} {ACCEPTED}.")
    check_range(X)
    return X


def _is_missing(item: object) -> bool:
    import pandas as pd

    return item is None or bool(np.isscalar(item) and pd.isna(item)) or item is pd.NA or item is pd.NaT
