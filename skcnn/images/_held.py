"""Rows that are read together, and held until they are decoded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np

from skcnn._stores import N_THREADS
from skcnn._timing import same_recorder, timed
from skcnn.images._input import Images
from skcnn.images._source import ImageSource

#: Bytes of images behind URLs that are read ahead, by the sizes of those that are held; one piece at least.
MAX_BYTES = 2**28


class HeldImages(Images):
    """Images which are read quicker together than one by one (of a source, or URLs): some of them are held in memory.

    Parameters
    ----------
    images : Images
        All rows.
    rows : range or None, default=None
        Those of them that these images are; None is all.
    """

    def __init__(self, images: Images, rows: range | None = None):
        super().__init__(images.items if rows is None else images.items[rows.start : rows.stop], images.root)
        self._images = images
        self._rows = range(len(images)) if rows is None else rows
        self._has_urls = images.has_urls
        self._held: dict[int, bytes | np.ndarray | Exception] = {}
        self._lock = threading.Lock()

    def take(self, rows: Sequence[int]) -> Images:
        """Return the images at ``rows`` as new Images: see :meth:`Images.take`."""
        return self._images.take([self._rows[row] for row in rows])

    def path(self, row: int) -> str | None:
        """Return the path or URL of a row: see :meth:`Images.path`."""
        return self._images.path(self._rows[row])

    def fetch(self, rows: Iterable[int]) -> None:
        """Read rows together and hold them, but for those that are held, or hold an image themselves."""
        is_source = isinstance(self.items, ImageSource)
        with self._lock:
            missing = [row for row in rows if row not in self._held and (is_source or self.path(row) is not None)]
        with timed("read", len(missing)):
            contents = self._images.read_many([self._rows[row] for row in missing])
        with self._lock:
            self._held.update(zip(missing, contents, strict=True))

    def release(self, row: int) -> None:
        """Hold a row no longer."""
        with self._lock:
            self._held.pop(row, None)

    def sizes(self) -> list[int]:
        """Return the bytes of each row that is held."""
        with self._lock:
            return [len(content) for content in self._held.values() if isinstance(content, bytes)]

    def read(self, row: int) -> bytes | np.ndarray:
        """Return the content of a row: see :meth:`Images.read`."""
        with self._lock:
            content = self._held.get(row)
        if content is None:
            return self._images.read(self._rows[row])
        if isinstance(content, Exception):
            raise content
        return content


def fetched_ahead(images: HeldImages, rows: Iterable[int], n_rows: int) -> Iterator[int]:
    """Yield rows that are held, in order; the next ``n_rows`` are read meanwhile, in a thread of their own.

    Of URLs so many rows more are read ahead as are needed to have all threads wait for them, whatever ``n_rows`` is;
    fewer of large images.
    """
    rest = iter(rows)

    def n_ahead() -> int:
        sizes = images.sizes()
        return n_pieces if not sizes else max(1, min(n_pieces, MAX_BYTES * len(sizes) // max(sum(sizes) * n_rows, 1)))

    n_pieces = 1 if not images.has_urls else 1 + -(-2 * N_THREADS // n_rows)
    with ThreadPoolExecutor(n_pieces, thread_name_prefix="skcnn-source", initializer=same_recorder()) as threads:
        pending: deque[tuple[list[int], Future[None]]] = deque()
        try:
            while True:
                while len(pending) < n_ahead() and (piece := list(islice(rest, n_rows))):
                    pending.append((piece, threads.submit(images.fetch, piece)))
                if not pending:
                    return
                piece, reading = pending.popleft()
                with timed("wait"):
                    reading.result()
                if len(pending) < n_ahead() and (following := list(islice(rest, n_rows))):
                    pending.append((following, threads.submit(images.fetch, following)))
                yield from piece
        finally:
            for _, reading in pending:
                reading.cancel()
