"""Reading and decoding many rows in threads, ahead of the caller."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._progress import progress_bar
from skcnn._timing import same_recorder, timed
from skcnn.images._bad_rows import BadRow, bad_rows_frame
from skcnn.images._held import HeldImages, fetched_ahead
from skcnn.images._input import Images, as_images

if TYPE_CHECKING:
    import pandas as pd


class Batch(NamedTuple):
    """Rows of X that were decoded, their pixels (n, height, width, 3) uint8, and rows that gave none."""

    rows: list[int]
    pixels: np.ndarray
    bad: list[BadRow]


def map_ahead(function: Callable[[int], Any], rows: Iterable[int], ahead: int) -> Iterator[tuple[int, Any]]:
    """Yield ``(row, function(row))`` in order, computed in threads and at most ``ahead`` rows ahead.

    An exception becomes the value, as a :class:`BadRow` without its path. There is one thread per core: Pillow, hashing
    and reading files all release the interpreter's lock.
    """

    def guarded(row: int) -> Any:
        try:
            return function(row)
        except Exception as error:
            # Whatever a broken file does to a decoder is reported with its row.
            return BadRow(row, None, str(error) or type(error).__name__)

    def waited(future: Future[Any]) -> Any:
        with timed("wait"):
            return future.result()

    n_threads = os.cpu_count()
    with ThreadPoolExecutor(n_threads, thread_name_prefix="skcnn-images", initializer=same_recorder()) as pool:
        pending: deque[tuple[int, Future[Any]]] = deque()
        try:
            for row in rows:
                pending.append((row, pool.submit(guarded, row)))
                if len(pending) >= ahead:
                    first, future = pending.popleft()
                    yield first, waited(future)
            while pending:
                first, future = pending.popleft()
                yield first, waited(future)
        finally:
            for _, future in pending:
                future.cancel()


def map_images(
    function: Callable[[Images, int], Any], images: Images, rows: Iterable[int], ahead: int, together: int = 64
) -> Iterator[tuple[int, Any]]:
    """Yield ``(row, function(images, row))`` in order, computed as by :func:`map_ahead`.

    Rows of a source are read ``together``, ahead of that; URLs are fetched by many threads. The function is given
    images that hold what was read.
    """
    if not images.reads_together or isinstance(images, HeldImages):
        yield from map_ahead(lambda row: function(images, row), rows, ahead)
        return
    held = HeldImages(images)

    def released(row: int) -> Any:
        try:
            return function(held, row)
        finally:
            held.release(row)

    yield from map_ahead(released, fetched_ahead(held, rows, together), ahead)


def read_batches(
    images: Images,
    rows: Iterable[int],
    size: tuple[int, int],
    *,
    batch_size: int = 32,
    resize: str = "stretch",
    max_pixels: int | None = None,
) -> Iterator[Batch]:
    """Decode rows in threads, two batches ahead of the caller, in order.

    Parameters
    ----------
    images : Images
        From :func:`as_images`.
    rows : iterable of int
        Positions of the rows; read at most two batches ahead. Those of a source are read a batch at a time; URLs are
        fetched by threads of their own, at least 64 rows ahead.
    size : tuple of (height, width)
        In pixels.
    batch_size : int, default=32
        Rows per batch; a row without an image leaves its batch smaller.
    resize, max_pixels
        See :meth:`Images.decode`.

    Yields
    ------
    Batch
    """
    good: list[int] = []
    bad: list[BadRow] = []
    pixels = np.empty((batch_size, *size, 3), np.uint8)

    def decode(images: Images, row: int) -> np.ndarray:
        return images.decode(row, size, resize=resize, max_pixels=max_pixels)

    for row, value in map_images(decode, images, rows, 2 * batch_size, batch_size):
        if isinstance(value, BadRow):
            bad.append(value._replace(path=images.path(row)))
        else:
            pixels[len(good)] = value
            good.append(row)
        if len(good) + len(bad) == batch_size:
            yield Batch(good, pixels[: len(good)], bad)
            # A new buffer: the engine may still be reading the last one.
            good, bad, pixels = [], [], np.empty_like(pixels)
    if good or bad:
        yield Batch(good, pixels[: len(good)], bad)


def check_images(
    X: Any, *, root: str | os.PathLike[str] | None = None, max_pixels: int | None = None, verbose: int | str = "auto"
) -> pd.DataFrame:
    """Decode every row of X and list the rows without an image.

    Parameters
    ----------
    X : array-like
        See :func:`as_images`.
    root : path-like or None, default=None
        Folder or URL that relative paths start from.
    max_pixels : int or None, default=None
        Larger images are bad rows; None stands for Pillow's warning limit.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows one in a terminal or a notebook where the job takes longer than 5
        seconds, 1 from the first image on, 0 never.

    Returns
    -------
    pandas.DataFrame
        One line for each bad row: ``row`` (position in X), ``path`` (None where X holds no paths), ``reason``.
        Empty where every row is an image.

    See Also
    --------
    drop_bad_images : X and y without these rows.

    Examples
    --------
    >>> from skcnn.images import check_images
    >>> check_images(["no-such-file.png", b"not an image"])[["row", "path"]]
       row              path
    0    0  no-such-file.png
    1    1              None
    """
    images = as_images(X, root=root)
    # Decoded whole, resized to next to nothing: a file can be cut off at its very end.
    rows = progress_bar(range(len(images)), title="checking", verbose=verbose)
    batches = read_batches(images, rows, (8, 8), max_pixels=max_pixels)
    return bad_rows_frame([bad for batch in batches for bad in batch.bad])
