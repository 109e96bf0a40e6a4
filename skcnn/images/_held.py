"""Rows of a source, which are read together, and held until they are decoded."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from skcnn.images._input import Images
from skcnn.images._source import ImageSource


class HeldImages(Images):
    """Images of a source, which reads rows together quicker than one by one: some of them are held in memory.

    Parameters
    ----------
    source : ImageSource
        All rows.
    """

    def __init__(self, source: ImageSource):
        super().__init__(source)
        self._source = source
        self._held: dict[int, bytes | Exception] = {}
        self._lock = threading.Lock()

    def fetch(self, rows: Iterable[int]) -> None:
        """Read rows together and hold them, but for those that are held."""
        with self._lock:
            missing = [row for row in rows if row not in self._held]
        contents = self._source.read_or_reasons(missing)
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

    def read(self, row: int) -> bytes:
        """Return the content of a row: see :meth:`Images.read`."""
        with self._lock:
            content = self._held.get(row)
        if content is None:
            return self._source.read(row)
        if isinstance(content, Exception):
            raise content
        return content


def fetched_ahead(images: HeldImages, rows: Iterable[int], n_rows: int) -> Iterator[int]:
    """Yield rows that are held, in order; the next ``n_rows`` are read meanwhile, in a thread of their own."""
    rest = iter(rows)
    with ThreadPoolExecutor(1, thread_name_prefix="skcnn-source") as thread:
        piece = list(islice(rest, n_rows))
        reading = thread.submit(images.fetch, piece)
        while piece:
            following = list(islice(rest, n_rows))
            reading.result()
            reading = thread.submit(images.fetch, following)
            yield from piece
            piece = following
