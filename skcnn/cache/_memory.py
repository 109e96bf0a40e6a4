"""The cache of a process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from skcnn.cache._base import CacheInfo
from skcnn.cache._process import ProcessCache


class MemoryCache(ProcessCache):
    """Records of this process; the least recently used are evicted when ``max_bytes`` is reached.

    Parameters
    ----------
    max_bytes : int, default=1 GiB
        Maximum size of the records in bytes: about 75,000 images of MobileNetV2, whose record takes 14 kB.

    See Also
    --------
    FeatureCache : The same in a directory, for any number of processes.
    ActivationCache : Larger records, in memory or in a temporary file.
    memory_cache : The one that every ``cache="memory"`` shares.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.cache import MemoryCache
    >>> from skcnn.images import as_images
    >>> cache = MemoryCache()
    >>> images = as_images([b"one", b"two"])
    >>> digests = [images.digest(0), images.digest(1)]
    >>> cache.claim("a network", digests) == digests
    True
    >>> cache.put_many("a network", digests, np.ones((2, 3), "float32"))
    >>> [float(record.sum()) for _, record in cache.get_many("a network", digests)]
    [3.0, 3.0]
    """

    def __init__(self, max_bytes: int = 2**30):
        super().__init__()
        self.max_bytes = max_bytes
        self._records: OrderedDict[tuple[str, bytes], np.ndarray] = OrderedDict()
        self._n_bytes = 0

    def get_many(self, network: str, digests: Sequence[bytes]) -> Iterator[tuple[bytes, np.ndarray]]:
        """Yield the records that there are, which counts as their last use; :meth:`count_hits` counts them."""
        for digest in digests:
            with self._lock:
                record = self._records.get((network, digest))
                if record is not None:
                    self._records.move_to_end((network, digest))
            if record is not None:
                yield digest, record

    def claim(self, network: str, digests: Sequence[bytes]) -> list[bytes]:
        """Return those contents that have no record, each once: the caller is to compute them.

        Nothing is leased: within a process, extraction holds the lock of the network.
        """
        with self._lock:
            return [digest for digest in dict.fromkeys(digests) if (network, digest) not in self._records]

    def put_many(self, network: str, digests: Sequence[bytes], records: Iterable[np.ndarray]) -> None:
        """Keep records, and count one pass each; beyond ``max_bytes``, the least recently used are evicted."""
        # A copy, lest a record keep its whole batch alive; read-only, since callers get this array itself.
        copies = [np.array(record, np.float32) for record in records]
        with self._lock:
            for digest, record in zip(digests, copies, strict=True):
                record.flags.writeable = False
                replaced = self._records.pop((network, digest), None)
                self._records[network, digest] = record
                self._n_bytes += record.nbytes - (0 if replaced is None else replaced.nbytes)
            self._passes += len(copies)
            while self._n_bytes > self.max_bytes and self._records:
                self._n_bytes -= self._records.popitem(last=False)[1].nbytes

    def info(self) -> CacheInfo:
        """Return the current counts and sizes, as a :class:`CacheInfo`."""
        with self._lock:
            return CacheInfo(self._passes, self._hits, len(self._records), self._n_bytes, self.max_bytes)

    def clear(self) -> None:
        """Forget all records and digests and set the counts to zero."""
        with self._lock:
            self._records.clear()
            self._n_bytes = 0
            self._forget()


_memory_cache = MemoryCache()


def memory_cache() -> MemoryCache:
    """Return the cache of this process, which every ``cache="memory"`` shares.

    Returns
    -------
    MemoryCache

    Examples
    --------
    >>> from skcnn.cache import memory_cache
    >>> memory_cache().clear()
    >>> memory_cache().info().passes
    0
    """
    return _memory_cache
