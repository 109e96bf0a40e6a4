"""What is done once: a network's pass over images that several methods ask about, and the download of a URL."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import numpy as np

from skcnn._stores import is_url
from skcnn.images._input import Images
from skcnn.images._source import ImageSource

#: What estimators said within the block: the estimator, the images, and the array. None outside of a block.
_said: ContextVar[list[tuple[object, Images, np.ndarray]] | None] = ContextVar("skcnn_one_pass", default=None)


@contextmanager
def one_pass() -> Iterator[None]:
    """Within the block, reuse what estimators returned for the same images.

    To get both labels and scores of a classifier, call ``predict`` and ``predict_proba`` inside: everything between
    them and the network (pipelines, searches, thresholds, calibration) works as usual, and each image goes through the
    network once.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.images import as_images, one_pass, remembered
    >>> images = as_images(np.zeros((1, 2, 2), np.uint8))
    >>> with one_pass():
    ...     for _ in range(2):
    ...         result = remembered("a network", images, lambda: print("runs") or np.zeros(1))
    runs
    """
    token = _said.set([])
    try:
        yield
    finally:
        _said.reset(token)


def remembered(estimator: object, images: Images, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what an estimator gives for images: computed, or within :func:`one_pass` as before.

    Parameters
    ----------
    estimator : object
        The estimator, recognised by its identity.
    images : Images
        Its input.
    compute : callable
        Computes it, an array of floats. Values that are not finite stand for rows without an image, and are not
        remembered: the caller may handle them differently the next time.

    Returns
    -------
    ndarray
        A new array.
    """
    said = _said.get()
    if said is None:
        return compute()
    for who, before, values in said:
        if who is estimator and _are_same(before, images):
            return values.copy()
    values = compute()
    if np.isfinite(values).all():
        said.append((estimator, images, values.copy()))
    return values


def _are_same(a: Images, b: Images) -> bool:
    if a.items is b.items:
        return a.root == b.root
    if isinstance(a.items, ImageSource) or isinstance(b.items, ImageSource):
        both = isinstance(a.items, ImageSource) and isinstance(b.items, ImageSource)
        return both and a.items.is_same(b.items)  # type: ignore[union-attr,arg-type]
    if isinstance(a.items, np.ndarray) or isinstance(b.items, np.ndarray):
        are_arrays = isinstance(a.items, np.ndarray) and isinstance(b.items, np.ndarray)
        return are_arrays and np.array_equal(a.items, b.items) and a.items.dtype == b.items.dtype  # type: ignore[union-attr]
    if len(a) != len(b) or a.root != b.root:
        return False
    # Other objects are the same if they are one: to compare them may cost as much as the network.
    plain = (str, bytes, os.PathLike)
    return all(
        x is y or (isinstance(x, plain) and type(x) is type(y) and x == y)
        for x, y in zip(a.items, b.items, strict=True)
    )


@contextmanager
def fetched_once(images: Images) -> Iterator[Images]:
    """Give images whose URLs are fetched once within the block, however often they are read.

    Parameters
    ----------
    images : Images
        Any; without URLs they are given as they are.

    Yields
    ------
    Images
    """
    if isinstance(images, FetchedOnce) or not images.has_urls:
        yield images
        return
    fetched = FetchedOnce(images)
    try:
        yield fetched
    finally:
        fetched.close()


class FetchedOnce(Images):
    """Images whose URLs are fetched once, however often they are read: what came is kept in a temporary file.

    The file has no name, so that nothing is left of it, however the process ends. Where the disk has no room, a URL is
    fetched again.

    Parameters
    ----------
    images : Images
        Any.
    """

    def __init__(self, images: Images):
        super().__init__(images.items, images.root)
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}
        self._file: Any = None

    def read(self, row: int) -> bytes | np.ndarray:
        """Return the content of a row: see :meth:`Images.read`."""
        path = self.path(row)
        if path is None or not is_url(path):
            return super().read(row)
        if path in self._places:
            return self._kept(path)
        content = super().read(row)
        self._keep(path, content)
        return content

    def read_many(self, rows: Sequence[int]) -> list[bytes | np.ndarray | Exception]:
        """Return the content of rows, or why a row has none: see :meth:`Images.read_many`."""
        if not isinstance(self.items, ImageSource):
            return super().read_many(rows)  # which reads each
        missing = [row for row in rows if self.path(row) not in self._places]
        fetched = dict(zip(missing, super().read_many(missing), strict=True))
        for row, content in fetched.items():
            if not isinstance(content, Exception):
                self._keep(str(self.path(row)), content)
        return [fetched[row] if row in fetched else self._kept(str(self.path(row))) for row in rows]

    def take(self, rows: Sequence[int]) -> Images:
        """Return the images at ``rows``, what was fetched of them as bytes: for another process."""
        kept = {row: self._kept(path) for row in rows if (path := self.path(row)) in self._places}
        if not kept or (isinstance(self.items, ImageSource) and len(kept) < len(rows)):
            return super().take(rows)
        return Images([kept[row] if row in kept else self.items[row] for row in rows], self.root)

    def _keep(self, path: str, content: bytes | np.ndarray) -> None:
        with self._lock, suppress(OSError):
            if path in self._places:
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this)
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(content)
            self._file.flush()
            self._places[path] = start, len(content)

    def _kept(self, path: str) -> bytes:
        start, length = self._places[path]
        with self._lock:
            self._file.seek(start)
            return bytes(self._file.read(length))

    def close(self) -> None:
        """Give the disk its space back; what was fetched has to be fetched again."""
        self._places.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
