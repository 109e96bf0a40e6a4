"""Reading and decoding many rows in threads, ahead of the caller."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._progress import progress_bar
from skcnn.images._bad_rows import BadRow, bad_rows_frame
from skcnn.images._held import HeldImages, fetched_ahead
from skcnn.images._input import Images, as_images
from skcnn.images._source import ImageSource

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

    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="skcnn-images") as pool:
        pending: deque[tuple[int, Future[Any]]] = deque()
        try:
            for row in rows:
                pending.append((row, pool.submit(guarded, row)))
                if len(pending) >= ahead:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()


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
        Positions of the rows; read at most two batches ahead. Those of a source are read a batch at a time.
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

    def decode(row: int) -> np.ndarray:
        return images.decode(row, size, resize=resize, max_pixels=max_pixels)

    function: Callable[[int], Any] = decode
    if isinstance(images.items, ImageSource) and not isinstance(images, HeldImages):
        images = held = HeldImages(images.items)
        rows = fetched_ahead(held, rows, batch_size)

        def function(row: int) -> np.ndarray:
            try:
                return decode(row)
            finally:
                held.release(row)

    decoded = map_ahead(function, rows, 2 * batch_size)
    for row, value in decoded:
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
