"""The memory of what a network has already said about an image, by the image's content.

A record is everything that one pass of an image through a network gives: the pooled outputs of all the bottleneck
layers that its table names. It is filed under what the network is (weights, image size, precision ...) and under a
digest of the image's content, so that order, batch size, duplicates, file names and cross-validation folds do not
matter.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

from skcnn.images import Images


class CacheInfo(NamedTuple):
    """What :meth:`MemoryCache.info` returns.

    ``passes`` counts the images that went through a network in this process, ``hits`` the rows that were served
    without; ``n_records`` and ``n_bytes`` are what is held now, ``max_bytes`` the most that will be.
    """

    passes: int
    hits: int
    n_records: int
    n_bytes: int
    max_bytes: int


class MemoryCache:
    """Records of this process, the least recently used of which leave when ``max_bytes`` is reached.

    Parameters
    ----------
    max_bytes : int, default=1 GiB
        Most bytes of records held: some 75,000 images of MobileNetV2, whose record takes 14 kB.
    """

    def __init__(self, max_bytes: int = 2**30):
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._records: OrderedDict[tuple[str, bytes], np.ndarray] = OrderedDict()
        self._digests: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        self._n_bytes = self._passes = self._hits = 0

    def get(self, network: str, digest: bytes) -> np.ndarray | None:
        """Return the record of an image, float32 of shape (n_values,), or None; a record found counts as a hit."""
        with self._lock:
            record = self._records.get((network, digest))
            if record is not None:
                self._records.move_to_end((network, digest))
                self._hits += 1
            return record

    def put(self, network: str, digest: bytes, record: np.ndarray) -> None:
        """Keep the record of an image."""
        with self._lock:
            replaced = self._records.pop((network, digest), None)
            self._records[network, digest] = record
            self._n_bytes += record.nbytes - (0 if replaced is None else replaced.nbytes)
            while self._n_bytes > self.max_bytes and self._records:
                self._n_bytes -= self._records.popitem(last=False)[1].nbytes

    def count(self, *, passes: int = 0, hits: int = 0) -> None:
        """Add images that went through a network, or rows that were served without, to the counts."""
        with self._lock:
            self._passes += passes
            self._hits += hits

    def digest(self, images: Images, row: int) -> bytes:
        """Return the content digest of a row; an unchanged file (path, size, time of change) is not read again.

        Raises
        ------
        ValueError, TypeError, OSError
            If the row cannot be read; the message is the reason alone.
        """
        path = images.path(row)
        key = None
        if path and "://" not in path:
            try:
                status = os.stat(path)
            except OSError:
                pass  # reading it gives the better message
            else:
                key = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
                with self._lock:
                    known = self._digests.get(key)
                if known is not None:
                    return known
        digest = content_digest(images.read(row))
        if key is not None:
            with self._lock:
                self._digests[key] = digest
                while len(self._digests) > 1_000_000:  # some 250 MB of paths and digests
                    self._digests.popitem(last=False)
        return digest

    def info(self) -> CacheInfo:
        """Return the counts and sizes of this moment, a :class:`CacheInfo`."""
        with self._lock:
            return CacheInfo(self._passes, self._hits, len(self._records), self._n_bytes, self.max_bytes)

    def clear(self) -> None:
        """Forget all records and digests and set the counts to zero."""
        with self._lock:
            self._records.clear()
            self._digests.clear()
            self._n_bytes = self._passes = self._hits = 0


def content_digest(content: bytes | np.ndarray) -> bytes:
    """Return a 32-byte BLAKE2b digest of file bytes, or of an array's values, shape and dtype."""
    if isinstance(content, np.ndarray):
        digest = hashlib.blake2b(f"array {content.shape} {content.dtype.str} ".encode(), digest_size=32)
        digest.update(np.ascontiguousarray(content).data)
        return digest.digest()
    return hashlib.blake2b(content, digest_size=32).digest()


_memory_cache = MemoryCache()


def memory_cache() -> MemoryCache:
    """Return the cache of this process, which every ``cache="memory"`` shares.

    Examples
    --------
    >>> from skcnn.cache import memory_cache
    >>> memory_cache().clear()
    >>> memory_cache().info().passes
    0
    """
    return _memory_cache
